"""Every benchmark runs, on a thimble of data: our side, and one line about each peer that is not installed here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd

from tests.pipelines.small_run import DUMPS, SENTENCES, small_recipe, write_crawl

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "benchmarks"


class Case(NamedTuple):
    """How a benchmark is run here. Names in braces are those of `made` and of the function that runs it."""

    arguments: str
    says: str  # stands in what it prints
    real: bool = False  # reads HEADWATER_DATA
    status: int = 0


CASES = {
    "ablation": Case(
        "--out {tmp} --recipe {recipe} --workers 0 --seeds 1 --tokens 1024 --sequence-length 32 --batch-size 4 "
        "--precision fp32 --vocab-size 400 --held-out-bytes 4000 --validation-tokens 512 --peers {python}",
        "| remixed |",
        real=True,
    ),
    "compare_checkouts": Case(
        "{root} --turns 1 --seconds 0.01 --megabytes 0.1 --tokens 0.6 --vocab-size 400 --english {en} --chinese {zh}",
        "| signals, English |",
    ),
    "compare_roots": Case("{tmp} {tmp}", "every final table is equal"),
    "dedup_accuracy": Case("--documents 60 --language en --curve --peers {python}", "datatrove is left out", real=True),
    "dedup_end_to_end": Case(
        "--documents 60 --language zh --repeat 1 --peers {python}", "rensa is left out", real=True
    ),
    "dedup_scale": Case("--out {tmp} --documents 3000 --hub 100 --workers 0", "as generated"),
    "encode": Case(
        "{en} {zh} --tokenizer {tokenizer} --megabytes 0.1 --peers {python}",
        "fastokens is left out: ModuleNotFoundError: No module named 'fastokens'",
    ),
    "extract_overhead": Case("--data {data} --files 1 --repeat 1", "stage over bare", real=True),
    "extractors": Case("--data {data} --pages 3", "resiliparse, whole page", real=True),
    "judge_speed": Case("--documents 60", "zh: perplexity", real=True),
    "kernel_speeds": Case("{tmp}", str(ROOT)),
    "language_id": Case("--documents 3000 --peers {python}", "CLD2 is left out", real=True),
    "loader_start": Case("headwater {tokens} 20000", '"resume"'),
    "minhash_schemes": Case("--trials 4 --documents 60", "| fast similarity |", real=True),
    "multilingual_text": Case("--data {small_data} --out {tmp}/text --machine {tmp}", "text/en"),
    "packing": Case("{en} --tokens 0.2 --sequence-length 512", "best fit of all"),
    "passages": Case("{en} {zh} --megabytes 0.1 --runs 1 --peer {tmp}/dedup_dataset", "dedup_dataset is left out"),
    "quality_labels": Case("--documents 120 --peers {python}", "gambling spam", real=True),
    "shingle_size": Case("--documents 60", "| zh: words |", real=True),
    "shuffle_quality": Case("--tokens 0.01 --batch 16 --peers {python}", "MosaicML is left out"),
    "signals_and_filters": Case("--documents 3 --peers {python}", "datatrove is left out", real=True),
    "signatures": Case("{zh} --rounds 1 --seconds 0.01 --repeat 1 --peers {python}", "ratio to datasketch"),
    "stage_times": Case("--recipe {recipe} --workers 0 --runs 1 --until extract", "| all | | "),
    "stream": Case(
        "--tokens 0.1 --sequence-length 64 --batch 4 --rounds 1 --ours-only --peers {python}", "litdata is left out"
    ),
    "stream_remote": Case("--bucket {bucket} --tokens 0.1 --sequence-length 64 --batch 4", "full cache"),
    "stream_start": Case("--tokens 0.001 --peer-tokens", "0.001B"),
    "tokenizer_24gb": Case("{texts} --gigabytes 0.002 --vocab-size 400 --partitions 2 --workers 1", " s in all for "),
    "tokenizer_tradeoffs": Case(
        "{texts} --vocab-size 400 --share-size 400 --share-megabytes 0.1 --held-out 0.2", "| 90% |"
    ),
    "tokenizer_train": Case("{en} {zh} --vocab-size 400", "merges identical: True"),
    "train_memory": Case("--model nano --vocab-size 256 --ranks 1 --tokens 8", '"loss_bytes_per_logit"'),
    "train_step": Case(
        "--vocab-size 256 --batch-size 1 --sequence-length 16 --rounds 1 --ours-only", '"headwater_tokens_per_second"'
    ),
    "gpu/loss": Case("", "needs a CUDA device", status=1),
    "gpu/step": Case("--model nano --vocab-size 256 --sequence-length 16 --batch-size 1 --steps 1", "there is no GPU"),
}
PEERS = {
    *("peer_cld2", "peer_datatrove", "peer_dedup", "peer_fastokens", "peer_filters", "peer_fineweb"),
    *("peer_loaders", "peer_py1e", "peer_signatures"),
}  # scripts that run where the peer is installed
PARTS = {
    *("arguments", "datatrove_filters", "documents", "generated_signatures", "machine_limits", "near_duplicate_truth"),
    *("peer_megatron", "peer_process", "timing", "token_shards"),
}  # what scripts import


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Small files, by the names that cases use."""
    folder = tmp_path_factory.mktemp("benchmarks")
    sentences = [f"{part}。" for part in SENTENCES.split("。") if part]
    chinese = ["".join(sentences[(first * step) % len(sentences)] for step in range(1, 20)) for first in range(1, 40)]
    texts = {"en": [*topics.values()][:60], "zh": chinese}
    names = {"root": str(ROOT), "python": sys.executable}
    for language, documents in texts.items():
        path = folder / f"small-data/text/{language}/documents.jsonl.zst"
        path.parent.mkdir(parents=True)
        rows = [{"id": str(number), "text": text} for number, text in enumerate(documents)]
        path.write_bytes(zstd.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
        names[language] = str(path)
    for number in range(4):
        parts = {source: documents[number::4] for source, documents in texts.items()}
        columns = {
            "source": [f"text/{source}" for source, documents in parts.items() for _ in documents],
            "text": [text for documents in parts.values() for text in documents],
        }
        (folder / "texts").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns), folder / f"texts/{number:05d}.parquet")
    names |= {"texts": str(folder / "texts"), "small_data": str(folder / "small-data")}
    write_crawl(folder / "crawl", english=12, chinese=6)
    everything = [{"crawl": str(folder / "crawl"), "dumps": list(DUMPS), "rules": "none"}]
    recipe = small_recipe(folder / "crawl", folder / "root", inputs=everything)
    (folder / "recipe.yaml").write_text(recipe.model_dump_json(exclude_unset=True))  # JSON is YAML
    return names | {"recipe": str(folder / "recipe.yaml")}


@pytest.mark.parametrize("name", CASES)
def test_benchmark_runs(name: str, made: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    case, values = CASES[name], made | {"tmp": str(tmp_path)}
    if case.real:
        values["data"] = str(request.getfixturevalue("headwater_data"))
    if "{bucket}" in case.arguments:
        values["bucket"] = f"{request.getfixturevalue('s3_bucket')}/stream-{os.getpid()}"
    if "{tokenizer}" in case.arguments:
        values["tokenizer"] = f"{tmp_path}/tokenizer.json"
        options = ["--vocab-size", "400", "--out", values["tokenizer"]]
        run("-m", "pipelines", "tokenizer", "train", made["en"], made["zh"], *options)
    if "{tokens}" in case.arguments:
        values["tokens"] = f"{tmp_path}/tokens"
        run("-c", "import sys; from pathlib import Path; from token_shards import write_sparse; "
            "write_sparse(Path(sys.argv[1]), 20_000)", values["tokens"])  # fmt: skip
    done = run(str(FOLDER / f"{name}.py"), *case.arguments.format(**values).split(), status=case.status)
    assert case.says in done.stdout + done.stderr, done.stdout + done.stderr


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """A Python of its own, which has to end with this status and without a traceback."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{FOLDER}"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


def test_every_script_explains_itself_before_it_imports_much() -> None:
    names = sorted({*CASES, *PEERS})
    helps = """
import contextlib, io, runpy, sys
for path in sys.argv[1:]:
    said = io.StringIO()
    sys.argv = [path, "--help"]
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        runpy.run_path(path, run_name="__main__")
    heavy = {"torch", "transformers"} & {*sys.modules}
    print(path, "ok" if said.getvalue().startswith("usage: ") else "says nothing", *heavy)
"""
    done = run("-c", helps, *(str(FOLDER / f"{name}.py") for name in names))
    assert done.stdout.splitlines() == [f"{FOLDER / name}.py ok" for name in names]


def test_every_benchmark_is_in_a_table() -> None:
    there = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.py")}
    assert there == {*CASES, *PEERS, *PARTS}


def test_without_real_data_the_folder_is_asked_for() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HEADWATER_DATA"}
    command = [sys.executable, str(FOLDER / "language_id.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stderr) == (1, "set HEADWATER_DATA to the folder of real data\n")
