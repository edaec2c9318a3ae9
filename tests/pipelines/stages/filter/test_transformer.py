"""The slot for transformers: a tiny model trained here (no package holds one that classifies), on actors and alone.

The model is a two-layer BERT with a word-level tokenizer, fitted for a few seconds to tell two kinds of text apart, and
saved and loaded as any published scorer is.
"""

import os
import random
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus.errors import UsageError
from corpus.io import table
from pipelines.config.recipe import validate
from pipelines.engine import cluster
from pipelines.engine.stage import Task
from pipelines.stages.filter.judges import score_stages
from pipelines.stages.filter.stages import filter_stages
from pipelines.stages.filter.transformer import Scorer, TransformerStage
from tests.pipelines.stages.run_stages import upstream_of

CLEAN = "the river bridge council engineer repair cost travellers history evening report spring".split()  # noqa: SIM905
SPAM = "casino bonus click win free slots jackpot deposit offer cheap pills viagra".split()  # noqa: SIM905
SCHEMA = pa.schema(
    [("id", pa.string()), ("language", pa.string()), ("length", pa.int64()), ("text", pa.large_string())]
)


def made(words: list[str], count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=chance.randint(4, 40))) for _ in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `save_pretrained` leaves it; label 1 is clean text."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("model")
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *CLEAN, *SPAM])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    network = transformers.BertForSequenceClassification(config)
    texts = [*made(CLEAN, 200, 1), *made(SPAM, 200, 2)]
    labels = torch.tensor([1] * 200 + [0] * 200)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for step in range(20):
        rows = torch.arange(step % 8, 400, 8)
        batch = tokenizer([texts[row] for row in rows], padding=True, return_tensors="pt")
        network(**batch, labels=labels[rows]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def stages_for(root: Path, model: Path, **options: Any) -> TransformerStage:
    judges = {"transformer": {"model": str(model), "languages": ["en"], "max_tokens": 32} | options}
    value = {"name": "t", "root": str(root), "inputs": [{"crawl": "/nowhere", "dumps": ["D"]}], "judges": judges}
    (stage,) = score_stages(str(root), validate(value, "test"))
    assert isinstance(stage, TransformerStage)
    return stage


def write_documents(root: Path, shards: int) -> list[Task]:
    tasks = []
    for shard in range(shards):
        texts = [*made(CLEAN, 5, shard), *made(SPAM, 5, 100 + shard), "kurzer Text", ""]
        languages = ["en"] * 10 + ["de", "en"]
        rows = [(f"{shard:016x}{i:016x}", languages[i], len(text), text) for i, text in enumerate(texts)]
        path = f"documents/dump=D/{shard:05d}.parquet"
        with table.ShardWriter(str(root / path), SCHEMA) as writer:
            writer.write(pa.table([pa.array(c, f.type) for c, f in zip(zip(*rows), SCHEMA)], schema=SCHEMA))
        tasks.append(Task("documents", path, (), {}, "f"))
    return tasks


def test_scores_tell_texts_apart_whatever_the_batches(model: Path, tmp_path: Path) -> None:
    stage = stages_for(tmp_path, model)
    (task,) = stage.plan(upstream_of({"documents": write_documents(tmp_path, 1)}))
    assert stage.run(task)["scored"] == 11
    rows = table.read_table(str(tmp_path / task.output))["transformer_score"].to_pylist()
    assert min(rows[:5]) > 0.8 > 0.2 > max(rows[5:10])
    assert rows[10] is None
    texts = made(CLEAN + SPAM, 50, 9)
    whole = Scorer(str(model), 1, 32, 64).scores(texts)
    assert (whole == Scorer(str(model), 1, 32, 64).scores(texts)).all()
    assert whole == pytest.approx(Scorer(str(model), 1, 32, 7).scores(texts), abs=1e-5)
    assert 1 - whole == pytest.approx(Scorer(str(model), 0, 32, 64).scores(texts), abs=1e-5)


def test_the_model_is_part_of_the_fingerprint_and_its_place_is_not(model: Path, tmp_path: Path) -> None:
    documents = write_documents(tmp_path, 1)
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in model.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())

    def mark(folder: Path, **options: Any) -> str:
        return stages_for(tmp_path, folder, **options).plan(upstream_of({"documents": documents}))[0].fingerprint

    assert mark(moved) == mark(model) == mark(model, gpus=0.5)
    assert mark(model, label=0) != mark(model)
    weights = moved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert mark(moved) != mark(model)


def test_mistakes_are_explained(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        stages_for(tmp_path, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="not a sequence classification model"):
        Scorer(str(tmp_path), 1, 32, 8)
    with pytest.raises(UsageError, match="has 2 labels, from 0"):
        Scorer(str(model), 5, 32, 8)
    inputs = [{"crawl": "/nowhere", "dumps": ["D"]}]
    bounded = {"thresholds": {"en": {"transformer_score": {"min": 0.5}}}}
    with pytest.raises(UsageError, match="measures no table `transformer`"):
        filter_stages("r", validate({"name": "t", "root": "r", "inputs": inputs, "filter": bounded}, "test"))


@pytest.mark.ray
def test_actors_load_the_model_once_and_give_the_same_bytes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    roots = tmp_path / "here", tmp_path / "ray"
    outputs = []
    for root, run in zip(roots, (cluster.run_here, cluster.run_on_ray)):
        stage = stages_for(root, model)
        tasks = stage.plan(upstream_of({"documents": write_documents(root, 6)}))
        outcomes: list[Any] = []
        if run is cluster.run_here:
            run(stage, tasks, outcomes.append)
        else:
            with cluster.connected(2):
                run(CountingStage.like(stage, tmp_path / "loads"), tasks, outcomes.append)
                with pytest.raises(UsageError, match="this machine has none; set gpus: 0"):
                    run(stages_for(root, model, gpus=1), tasks, outcomes.append)
        assert [outcome.message for outcome in outcomes] == [""] * 6
        outputs.append([(root / task.output).read_bytes() for task in tasks])
    assert outputs[0] == outputs[1]
    loads = (tmp_path / "loads").read_text().splitlines()
    assert 1 <= len(loads) == len(set(loads)) <= 2
    assert str(os.getpid()) not in loads


class CountingStage(TransformerStage):
    """A stage that notes the process in which it loads the model."""

    notes: str

    @classmethod
    def like(cls, stage: TransformerStage, notes: Path) -> "CountingStage":
        made = cls(stage.root, stage.folders, stage.parameters, 0)
        made.notes = str(notes)
        return made

    def load(self, folder: str) -> Any:
        with open(self.notes, "a") as file:
            file.write(f"{os.getpid()}\n")
        return super().load(folder)
