"""Spans on the way to tokens: what is encoded, counted and weighed is the text without them, and nothing else."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from corpus import spans
from corpus.errors import HeadwaterError
from corpus.io import table
from pipelines.engine.stage import Task
from pipelines.stages.tokens.stages import tokenizer_stages
from pipelines.stages.tokens.texts import TextStage
from tests.pipelines.stages.tokens.token_corpus import (
    DUMPS,
    SHARDS,
    kept,
    rows_of,
    run_stages,
    token_recipe,
    upstream_of,
    write_corpus,
)
from tokenizer.encode import Encoder
from tokenizer.pretoken_counts import SCHEMA
from tokenizer.shards import open_shards
from tokenizer.vocabulary import load_vocabulary

CUT = {"passages": re.compile(rb"wizards box,|\xe6\x95\xb0"), "personal": re.compile(rb"2024|box, don't")}
KINDS = {"passages": "passage", "personal": "phone"}


def left(text: str) -> str:
    """A text as it is to be encoded: the passages are gone, and of what is personal what they leave is masked."""
    raw, out, at = text.encode(), b"", 0
    found = [(*match.span(), kind) for kind in CUT for match in CUT[kind].finditer(raw)]
    for start, end, kind in sorted(found, key=lambda span: (span[0], -span[1])):
        if max(start, at) < end:
            out += raw[at : max(start, at)] + (b"<phone>" if kind == "personal" else b"")
            at = end
    return (out + raw[at:]).decode()


def write_spans(root: Path, done: dict[str, list[Task]], kind: str) -> None:
    """Write one of the tables of spans, and the tasks that stand for it."""
    done[kind] = []
    for dump in DUMPS:
        for shard in range(SHARDS):
            rows: list[dict[str, Any]] = []
            for row in rows_of(dump, shard):
                matches = (match.span() for match in CUT[kind].finditer(row["text"].encode()))
                found = [{"start": a, "end": b, "kind": KINDS[kind]} for a, b in matches]
                rows.append({"id": row["id"], "spans": found})
            name = f"{kind}/dump={dump}/{shard:05d}.parquet"
            with table.ShardWriter(str(root / name), spans.SCHEMA) as writer:
                writer.write(pa.Table.from_pylist(rows, spans.SCHEMA))
            done[kind].append(Task(kind, name, (), {}, name))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Task]]]:
    root = tmp_path_factory.mktemp("spans")
    done = write_corpus(root)
    write_spans(root, done, "passages")
    write_spans(root, done, "personal")
    run_stages(token_recipe(root), done)
    return root, done


@pytest.mark.parametrize("domain", ["web-en", "web-zh"])
def test_tokens_are_those_of_the_text_that_is_left(corpus: tuple[Path, dict[str, list[Task]]], domain: str) -> None:
    root, _ = corpus
    vocabulary = load_vocabulary(str(root / "tokenizer/tokenizer.json"))
    encoder = Encoder(vocabulary)
    rows = {row["id"]: row for row in kept() if (row["split"], row["domain"]) == ("train", domain)}
    texts = {key: left(row["text"]) for key, row in rows.items()}
    assert sum(text != rows[key]["text"] for key, text in texts.items()) > 20
    shards = open_shards(str(root / f"tokens/domain={domain}"))
    seen = []
    for number, shard in enumerate(shards.shards):
        for origin in table.read_table(shard.path.removesuffix(".bin") + ".parquet").to_pylist():
            tokens = shards.tokens(number)[origin["offset"] : origin["offset"] + origin["tokens"]]
            assert tokens.tolist() == [*encoder.encode(texts[origin["id"]]).tolist(), vocabulary.eos]
            seen.append(origin["id"])
    assert sorted(seen) == sorted(rows)
    assert shards.num_bytes == sum(len(text.encode()) for text in texts.values())


def test_the_tokenizer_never_sees_them(corpus: tuple[Path, dict[str, list[Task]]]) -> None:
    root, _ = corpus
    tables = [table.read_table(str(root / f"tokenizer/pretokens/0000{part}.parquet")) for part in range(2)]
    pretokens = [pretoken for rows in tables for pretoken in rows[SCHEMA.names[0]].to_pylist()]
    assert any(b"phone" in pretoken for pretoken in pretokens)
    assert not any(b"2024" in pretoken or b"024" in pretoken for pretoken in pretokens)
    assert not any("数".encode() in pretoken for pretoken in pretokens)


def test_a_shard_whose_spans_are_missing_is_not_tokenized(
    corpus: tuple[Path, dict[str, list[Task]]], tmp_path: Path
) -> None:
    """Rather no tokens than tokens of what should have been cut."""
    root, done = corpus
    stage = tokenizer_stages(str(root), token_recipe(root))[0]
    assert isinstance(stage, TextStage)
    tasks = stage.plan(upstream_of(done))
    assert len(tasks) == len(DUMPS) * SHARDS
    missing = {**done, "personal": done["personal"][1:]}
    assert [task.output for task in stage.plan(upstream_of(missing))] == [task.output for task in tasks[1:]]
    other = done["personal"][1].output
    swapped = tuple(other if source == "personal" else path for path, source in zip(tasks[0].inputs, tasks[0].sources))
    with pytest.raises(HeadwaterError, match="ids are not those"):
        list(stage.texts(replace(tasks[0], inputs=swapped), []))
