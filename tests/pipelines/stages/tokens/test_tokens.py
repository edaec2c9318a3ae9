"""Token shards as stages: every kept document once, in its place, with its tokens; resume, order and independence."""

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from corpus.document import SCHEMA
from corpus.io import storage, table
from pipelines.engine.stage import NotPlanned, Task, Upstream
from pipelines.stages.tokens import shard_boundaries
from pipelines.stages.tokens.stages import tokens_stages
from pipelines.stages.tokens.token_shards import TokenShardStage
from tests.pipelines.stages.tokens import token_corpus
from tests.pipelines.stages.tokens.token_corpus import (
    DUMPS,
    kept,
    run_stages,
    token_recipe,
    upstream_of,
    write_corpus,
)
from tokenizer.encode import Encoder
from tokenizer.order import document_hashes
from tokenizer.shards import TokenShards, open_shards
from tokenizer.vocabulary import load_vocabulary

FOLDERS = {"train": "tokens", "validation": "validation"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Task]]]:
    root = tmp_path_factory.mktemp("tokens")
    done = write_corpus(root)
    run_stages(token_recipe(root), done)
    return root, done


def _folder(root: Path, split: str, domain: str) -> str:
    return str(root / FOLDERS[split] / f"domain={domain}")


def _ids(root: Path, shards: TokenShards) -> list[str]:
    paths = [shard.path.removesuffix(".bin") + ".parquet" for shard in shards.shards]
    return [name for path in paths for name in table.read_table(path, ["id"])["id"].to_pylist()]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("domain", ["web-en", "web-zh"])
def test_every_kept_document_is_there_once_with_its_tokens(
    corpus: tuple[Path, dict[str, list[Task]]], split: str, domain: str
) -> None:
    root, _ = corpus
    vocabulary = load_vocabulary(str(root / "tokenizer/tokenizer.json"))
    shards = open_shards(_folder(root, split, domain), vocabulary.hash, vocabulary.model_size, verify=True)
    rows = {row["id"]: row for row in kept() if (row["split"], row["domain"]) == (split, domain)}
    encoder = Encoder(vocabulary)
    seen: Counter[str] = Counter()
    for number, shard in enumerate(shards.shards):
        provenance = table.read_table(shard.path.removesuffix(".bin") + ".parquet")
        assert provenance["offset"].to_pylist() == shards.document_offsets(number)[:-1].tolist()
        for origin in provenance.to_pylist():
            row = rows[origin["id"]]
            assert (origin["url"], origin["dump"]) == (row["url"], row["dump"])
            tokens = shards.tokens(number)[origin["offset"] : origin["offset"] + origin["tokens"]]
            assert tokens.tolist() == [*encoder.encode(row["text"]).tolist(), vocabulary.eos]
            seen[origin["id"]] += 1
    assert seen == Counter(rows.keys())
    assert shards.num_bytes == sum(len(row["text"].encode()) for row in rows.values())
    assert shards.manifest["domain"] == domain
    assert shards.manifest["split"] == split


MEGATRON = """
import json, sys
from megatron.core.datasets.indexed_dataset import IndexedDataset
for path in sys.argv[1:]:
    read = IndexedDataset(path)
    print(json.dumps([[read[at].tolist() for at in range(len(read))], read.document_indices.tolist()]))
"""


def test_megatrons_reader_opens_what_the_stages_wrote(corpus: tuple[Path, dict[str, list[Task]]]) -> None:
    """In a process of its own: its import changes how the whole interpreter finds distutils."""
    if importlib.util.find_spec("megatron") is None:
        pytest.skip("megatron-core is not installed (it is for Linux only)")
    root, _ = corpus
    folders = [open_shards(_folder(root, split, domain)) for split in FOLDERS for domain in ("web-en", "web-zh")]
    numbered = [(shards, number) for shards in folders for number in range(len(shards.shards))]
    paths = [shards.shards[number].path.removesuffix(".bin") for shards, number in numbered]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", MEGATRON, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for (shards, number), line in zip(numbered, done.stdout.splitlines()[-len(paths) :], strict=True):
        documents, indices = json.loads(line)
        tokens, offsets = shards.tokens(number), shards.document_offsets(number)
        assert documents == [tokens[start:end].tolist() for start, end in pairwise(offsets)]
        assert indices == list(range(len(documents) + 1))


def test_the_order_is_that_of_the_hashes_and_mixes_dumps(corpus: tuple[Path, dict[str, list[Task]]]) -> None:
    root, _ = corpus
    shards = open_shards(_folder(root, "train", "web-en"))
    assert len(shards.shards) > 1
    ids = _ids(root, shards)
    hashes = document_hashes(pa.array(ids), 1)
    assert (np.diff(hashes.astype(object)) > 0).all()
    dump = {row["id"]: row["dump"] for row in kept()}
    half = [dump[name] for name in ids[: len(ids) // 2]]
    assert set(half) == set(DUMPS)


def test_the_number_of_shards_does_not_change_the_order(
    corpus: tuple[Path, dict[str, list[Task]]], tmp_path: Path
) -> None:
    root, _ = corpus
    run_stages(token_recipe(tmp_path, tokens={"shard_bytes": 1 << 30}), write_corpus(tmp_path))
    one, many = open_shards(_folder(tmp_path, "train", "web-en")), open_shards(_folder(root, "train", "web-en"))
    assert len(one.shards) == 1
    assert _ids(tmp_path, one) == _ids(root, many)
    joined = np.concatenate([many.tokens(number) for number in range(len(many.shards))])
    assert np.array_equal(one.tokens(0), joined)


def test_the_mixture_has_the_real_token_counts(corpus: tuple[Path, dict[str, list[Task]]]) -> None:
    root, _ = corpus
    plan = storage.read_json(str(root / "mixture/tokens.json"))
    assert plan["unit"] == "tokens"
    for domain in plan["domains"]:
        assert domain["tokens"] == open_shards(_folder(root, "train", domain["domain"])).num_tokens
        assert domain["languages"] == {domain["domain"].removeprefix("web-"): domain["tokens"]}
    assert [(row["language"], row["weight"]) for row in plan["languages"]] == [("en", 0.5), ("zh", 0.5)]
    assert {domain["domain"]: domain["weight"] for domain in plan["domains"]} == {"web-en": 0.5, "web-zh": 0.5}


def test_the_mixture_promises_what_the_shards_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard of web-en, which is of two languages here, was set aside, and all of web-zh."""

    def rows_of(dump: str, shard: int) -> list[dict[str, Any]]:
        rows = _rows_of(dump, shard)
        return [row | {"domain": "web-en" if index % 2 else row["domain"]} for index, row in enumerate(rows)]

    def plan(stage: TokenShardStage, upstream: Upstream) -> list[Task]:
        tasks = _plan(stage, upstream)
        return [task for task in tasks if "domain=web-en" in task.output and not task.output.endswith("00000.parquet")]

    _rows_of, _plan = token_corpus.rows_of, TokenShardStage.plan
    monkeypatch.setattr(token_corpus, "rows_of", rows_of)
    monkeypatch.setattr(TokenShardStage, "plan", plan)
    run_stages(token_recipe(tmp_path), write_corpus(tmp_path))
    encoded = storage.read_json(str(tmp_path / "tokenizer/report.json"))["training"]
    held = open_shards(_folder(tmp_path, "train", "web-en")).num_tokens
    everything = sum(encoded["web-en"].values())
    assert 0 < held < everything
    english, chinese = storage.read_json(str(tmp_path / "mixture/tokens.json"))["domains"]
    assert (english["tokens"], english["weight"], sum(english["languages"].values())) == (held, 1, held)
    for language, tokens in encoded["web-en"].items():
        assert english["languages"][language] == pytest.approx(tokens * held / everything, abs=1)
    assert encoded["web-zh"]
    assert (chinese["tokens"], chinese["weight"], chinese["languages"]) == (0, 0, {})


def test_the_report_says_bytes_per_token(corpus: tuple[Path, dict[str, list[Task]]]) -> None:
    root, _ = corpus
    report = storage.read_json(str(root / "tokenizer/report.json"))
    rows, vocabulary = kept(), load_vocabulary(str(root / "tokenizer/tokenizer.json"))
    encoder = Encoder(vocabulary)
    for language in ("en", "zh"):
        texts = [row["text"] for row in rows if row["language"] == language]
        size, tokens = (sum(map(len, values)) for values in zip(*((t.encode(), encoder.encode(t)) for t in texts)))
        measured = report["languages"][language]
        assert measured["bytes"] == size
        assert measured["tokens"] == tokens + len(texts)  # each document's end is a token of it
        assert measured["bytes_per_token"] == size / measured["tokens"]
    assert set(report["domains"]) == {"web-en", "web-zh"}


def test_a_rerun_does_nothing_and_outputs_are_equal_bytes(
    corpus: tuple[Path, dict[str, list[Task]]], tmp_path: Path
) -> None:
    root, done = corpus
    again = run_stages(token_recipe(root), done)
    assert all(result.tasks == result.done_before for result in again.values())
    run_stages(token_recipe(tmp_path), write_corpus(tmp_path))
    for path in sorted(root.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(root)).read_bytes(), path


def test_another_shard_size_encodes_nothing_again(tmp_path: Path) -> None:
    done = write_corpus(tmp_path)
    run_stages(token_recipe(tmp_path), done)
    results = run_stages(token_recipe(tmp_path, tokens={"shard_bytes": 9000}), done)
    assert results["encoded"].done_before == results["encoded"].tasks
    assert results["token_shards"].done_before < results["token_shards"].tasks  # what is cut alike is there


def test_bos_begins_each_document(tmp_path: Path) -> None:
    run_stages(token_recipe(tmp_path, tokens={"bos": True}), write_corpus(tmp_path))
    shards = open_shards(_folder(tmp_path, "train", "web-zh"), verify=True)
    manifest, offsets, tokens = shards.manifest, shards.document_offsets(0), shards.tokens(0)
    assert (tokens[offsets[:-1]] == manifest["bos"]).all()
    assert (tokens[offsets[1:] - 1] == manifest["eos"]).all()
    assert (np.diff(offsets) >= 2).all()


@pytest.mark.parametrize(("limit", "documents"), [(1, 1), (1200, 2), (6000, 10)])
def test_no_shard_is_larger_than_it_may_be(tmp_path: Path, limit: int, documents: int) -> None:
    """One document is many times larger than a shard; the others vary. None is empty, which Megatron cannot map."""
    rows = [text for row in kept() if (text := row["text"])]
    done = write_corpus(tmp_path)
    path = f"documents/dump={DUMPS[0]}/00000.parquet"
    written = table.read_table(str(tmp_path / path)).to_pylist()
    written[1]["text"] = "\n".join(rows * 3)
    with table.ShardWriter(str(tmp_path / path), SCHEMA) as writer:
        writer.write(pa.Table.from_pylist(written, SCHEMA))
    run_stages(token_recipe(tmp_path, tokens={"shard_bytes": limit}), done)
    shards = open_shards(_folder(tmp_path, "train", "web-en"), verify=True)
    sizes = [(4 * shard.num_tokens, shard.num_documents) for shard in shards.shards]
    assert all(number == 1 or 0 < size <= limit for size, number in sizes)
    assert max(size for size, _ in sizes) > 4 * 6000
    assert max(number for _, number in sizes) >= documents
    ids = _ids(tmp_path, shards)
    assert Counter(ids) == Counter(row["id"] for row in kept() if (row["split"], row["domain"]) == ("train", "web-en"))
    firsts = storage.read_json(str(tmp_path / "tokens/domain=web-en/shard_boundaries.json"))["counts"]["firsts"]
    assert len(firsts) == len(sizes)
    assert firsts[0] == document_hashes(pa.array(ids[:1]), 1)[0]
    first_lengths = [shards.document_offsets(number)[1] * 4 for number in range(len(sizes))]
    assert all(size + after > limit for (size, _), after in zip(sizes, first_lengths[1:], strict=False))


def test_lengths_are_cut_the_same_some_at_a_time(
    corpus: tuple[Path, dict[str, list[Task]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = corpus
    monkeypatch.setattr(shard_boundaries, "_DOCUMENTS_AT_ONCE", 5)
    run_stages(token_recipe(tmp_path), write_corpus(tmp_path))
    path = "tokens/domain=web-en/shard_boundaries.json"
    assert (tmp_path / path).read_bytes() == (root / path).read_bytes()


def test_shards_are_not_planned_before_their_boundaries_are_known(tmp_path: Path) -> None:
    encoded, boundaries, shards, *_ = tokens_stages(str(tmp_path), token_recipe(tmp_path))
    upstream = upstream_of(write_corpus(tmp_path))
    upstream.add("tokenizer", [Task("tokenizer", "tokenizer/manifest.json", (), {}, "t")])
    upstream.add("encoded", encoded.plan(upstream), [{"documents": 1}, None, None, None])
    with pytest.raises(NotPlanned, match="needs the counts of encoded"):
        boundaries.plan(upstream)
    counts = [
        {"splits": {"train": {"web-en": 2}}},
        {"splits": {"train": {"web-en": 1, "web-zh": 1}}},
        *[{"splits": {}}] * 2,
    ]
    upstream.add("encoded", upstream["encoded"], counts)
    planned = boundaries.plan(upstream)
    assert [task.arguments["documents"] for task in planned] == [3, 1]
    upstream.add("shard_boundaries", planned, [{"firsts": [0]}, None])
    with pytest.raises(NotPlanned, match="needs the counts of shard_boundaries"):
        shards.plan(upstream)
    upstream.add("shard_boundaries", planned, [{"firsts": [5, 9]}, {"firsts": []}])
    one, two = shards.plan(upstream)
    assert one.inputs == two.inputs == tuple(task.output for task in upstream["encoded"])
    assert (two.output, two.arguments) == (
        "tokens/domain=web-en/00001.parquet",
        {"split": "train", "domain": "web-en", "first": 9, "last": 2**64 - 1},
    )
