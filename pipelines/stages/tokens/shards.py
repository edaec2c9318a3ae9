"""From documents to token shards: `encoded` by document shard, `layouts` by domain, `token_shards` by output shard.

`encoded` tokenizes the kept documents of one document shard and sorts them by split, domain and place in the corpus (a
seeded hash of the id). It does not know how many shards there will be, so a new dump leaves the encoded shards of the
others as they are. `layouts` cuts the places of a domain into ranges, by the tokens of each document, so that a shard
is as large as it may be and no larger. `token_shards` gathers one output shard, a range of places, from all of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.errors import CorruptShard
from corpus.io import storage, table
from corpus.io.buffers import utf8_buffers
from pipelines.engine.stage import Counts, NoParameters, NotPlanned, Stage, Task
from pipelines.engine.stamps import add_counts, read_stamp
from pipelines.stages.remix import PLAN
from pipelines.stages.tokens.tokenizer import shards_to_tokenize, texts_to_tokenize
from tokenizer.encode import Encoder
from tokenizer.evaluate import sum_by
from tokenizer.order import document_hashes
from tokenizer.shard_format import ITEM_BYTES
from tokenizer.shard_writer import PROVENANCE_SCHEMA, TokenShardWriter, cut_shards
from tokenizer.vocabulary import load_vocabulary

FOLDERS = {"train": "tokens", "validation": "validation"}
_ENCODED_SCHEMA = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("order", pa.uint64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("url", pa.string()),
        pa.field("bytes", pa.int64(), nullable=False),  # UTF-8 bytes of the text that is left
        pa.field("length", pa.int32(), nullable=False),  # tokens
        pa.field("tokens", pa.large_binary(), nullable=False),  # little-endian int32
    ]
)
_PLACES = 1 << 64
_AT_ONCE = 1 << 23  # documents whose places are sorted in memory, about: half a gigabyte
_GROUP_BYTES = 16 << 20  # of tokens in a row group, about: what a shard reads of another's rows in vain


class EncodeParameters(BaseModel):
    """What decides a document's tokens and place."""

    model_config = ConfigDict(frozen=True)
    bos: bool
    seed: int
    replacements: dict[str, str]  # of spans, by kind; other spans are cut


class ShardParameters(BaseModel):
    """How large shards are."""

    model_config = ConfigDict(frozen=True)
    shard_bytes: int


class EncodeStage(Stage[EncodeParameters]):
    """documents, domains and spans of dump=D/N.parquet + the tokenizer -> tokens/encoded/dump=D/N.parquet"""

    name: ClassVar[str] = "encoded"
    folder: ClassVar[str] = "tokens/encoded"
    version: ClassVar[int] = 2
    phase: ClassVar[str] = "tokens"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        return [
            self.task(f"tokens/encoded/{shard}", [*tasks, *done["tokenizer"]])
            for shard, tasks in shards_to_tokenize(done)
        ]

    def run(self, task: Task) -> Counts:
        """Encode what is kept, sort it, and count bytes and tokens by language, by domain, and in training by both."""
        *tables, _ = (self.path(path) for path in task.inputs)
        encoder = Encoder(load_vocabulary(self.path("tokenizer/tokenizer.json")), bos=self.parameters.bos)
        counts: Counts = {"documents": 0, "bytes": 0, "tokens": 0, "languages": {}, "domains": {}, "training": {}}
        parts = [_ENCODED_SCHEMA.empty_table()]
        for batch, marks in texts_to_tokenize(tables, self.parameters.replacements, ["url", "language"]):
            batch, marks = batch.filter(marks["keep"]), marks.filter(marks["keep"])
            parts.append(self._encode(encoder, batch, marks))
            size, tokens = parts[-1]["bytes"].to_numpy(), pc.binary_length(parts[-1]["tokens"]).to_numpy() // 4
            add_counts(counts, {"documents": len(batch), "bytes": int(size.sum()), "tokens": int(tokens.sum())})
            add_counts(counts["languages"], sum_by(batch["language"].to_pylist(), size, tokens))
            add_counts(counts["domains"], sum_by(marks["domain"].to_pylist(), size, tokens))
            columns = [marks["domain"], batch["language"], pa.array(tokens)]
            add_counts(counts["training"], _by_both(columns, pc.equal(marks["split"], "train")))
        rows = pa.concat_tables(parts)
        keys = [("split", "ascending"), ("domain", "ascending"), ("order", "ascending"), ("id", "ascending")]
        indices = pc.sort_indices(rows, keys)
        with table.ShardWriter(self.path(task.output), _ENCODED_SCHEMA) as writer:
            for first, last in _groups(rows.select(["split", "domain", "tokens"]), indices):
                writer.write(rows.take(indices[first:last]))
            writer.metadata = task.stamp(counts)
        return counts

    def _encode(self, encoder: Encoder, batch: pa.Table, marks: pa.Table) -> pa.Table:
        tokens, lengths = encoder.encode_column(batch["text"])
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        buffers = [None, pa.py_buffer(offsets * 4), pa.py_buffer(tokens)]
        packed = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(lengths), buffers)
        order = pa.array(document_hashes(batch["id"], self.parameters.seed))
        sizes = pc.binary_length(batch["text"])
        columns = [marks["split"], marks["domain"], order, batch["id"], batch["url"], sizes, lengths, packed]
        return pa.table(columns, _ENCODED_SCHEMA)


def _by_both(columns: Sequence[pa.ChunkedArray | pa.Array], chosen: pa.ChunkedArray) -> Counts:
    """`{domain: {language: tokens}}` of the chosen documents."""
    rows = pa.table(columns, ["domain", "language", "tokens"]).filter(chosen)
    sums = rows.group_by(["domain", "language"], use_threads=False).aggregate([("tokens", "sum")])
    counts: Counts = {}
    for row in sums.sort_by([("domain", "ascending"), ("language", "ascending")]).to_pylist():
        counts.setdefault(row["domain"], {})[row["language"]] = row["tokens_sum"]
    return counts


def _groups(rows: pa.Table, indices: pa.Array) -> Iterator[tuple[int, int]]:
    """Ranges of the sorted rows: each of one split and domain, and of about _GROUP_BYTES of tokens."""
    keys = pc.binary_join_element_wise(rows["split"], rows["domain"], "/").take(indices).combine_chunks()
    codes = keys.dictionary_encode().indices.to_numpy()
    blocks = np.cumsum(pc.binary_length(rows["tokens"]).take(indices).to_numpy()) // _GROUP_BYTES
    changes = np.flatnonzero((codes[1:] != codes[:-1]) | (blocks[1:] != blocks[:-1])) + 1
    bounds = [0, *changes.tolist(), len(codes)]
    return pairwise(bounds)


class ShardBoundaryStage(Stage[ShardParameters]):
    """tokens/encoded/** -> {tokens,validation}/domain=D/shard_boundaries.json, the first place of each shard"""

    name: ClassVar[str] = "shard_boundaries"
    phase: ClassVar[str] = "tokens"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task for every split and domain that has documents by the mixture's plan."""
        try:
            plan = storage.read_json(self.path(PLAN))
        except FileNotFoundError:
            raise NotPlanned(f"needs {PLAN}, which says how much there is of each domain") from None
        sizes = [("train", domain["domain"], domain["documents"]) for domain in plan["domains"]]
        sizes += [("validation", domain["domain"], domain["validation"]["documents"]) for domain in plan["domains"]]
        return [
            self.task(
                f"{FOLDERS[split]}/domain={domain}/shard_boundaries.json",
                done["encoded"],
                split=split,
                domain=domain,
                documents=documents,
            )
            for split, domain, documents in sizes
            if documents
        ]

    def run(self, task: Task) -> Counts:
        """Cut the places where a shard is full; documents of one place (copies of one id) stay together."""
        where = task.arguments
        firsts: list[int] = []
        filled, documents = self.parameters.shard_bytes, 0  # nothing is open yet, so the first document opens a shard
        parts = -(-where["documents"] // _AT_ONCE)
        for part in range(parts):
            first, last = (_PLACES * number // parts for number in (part, part + 1))
            rows = [
                _read(self.path(path), where["split"], where["domain"], first, last - 1, ["order", "length"])
                for path in task.inputs
            ]
            places = np.concatenate([table["order"].to_numpy() for table in rows])
            places, which = np.unique(places, return_inverse=True)
            lengths = np.concatenate([table["length"].to_numpy() for table in rows])
            sizes = np.bincount(which, lengths, len(places)).astype(np.int64) * ITEM_BYTES
            starts, filled = cut_shards(sizes, self.parameters.shard_bytes, filled)
            firsts += places[starts].tolist()
            documents += len(lengths)
        counts = {"documents": documents}
        storage.write_json(self.path(task.output), task.stamp(counts) | {"firsts": firsts})
        return counts


class ShardStage(Stage[NoParameters]):
    """tokens/encoded/** -> {tokens,validation}/domain=D/NNNNN.parquet (provenance), .bin, .idx and .blocks beside it"""

    name: ClassVar[str] = "token_shards"
    phase: ClassVar[str] = "tokens"
    version: ClassVar[int] = 3

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard of the layouts."""
        tasks = []
        for layout in done["shard_boundaries"]:
            stamp = read_stamp(self.path(layout.output)) or {}
            if stamp.get("fingerprint") != layout.fingerprint:
                raise NotPlanned(f"needs {layout.output}, which says where its shards begin")
            bounds = [*stamp["firsts"], _PLACES]
            tasks += [
                self.task(
                    layout.output.replace("shard_boundaries.json", f"{number:05d}.parquet"),
                    done["encoded"],
                    split=layout.arguments["split"],
                    domain=layout.arguments["domain"],
                    first=first,
                    last=after - 1,
                )
                for number, (first, after) in enumerate(pairwise(bounds))
            ]
        return tasks

    def run(self, task: Task) -> Counts:
        """Gather the shard's documents, in the order of their places, and write tokens, index and provenance."""
        where = task.arguments
        parts = [_ENCODED_SCHEMA.empty_table().append_column("dump", pa.array([], pa.string()))]
        for path in task.inputs:
            rows = _read(self.path(path), where["split"], where["domain"], where["first"], where["last"])
            dump = path.removeprefix("tokens/encoded/").split("/")[0].removeprefix("dump=")
            parts.append(rows.append_column("dump", pa.array([dump] * len(rows), pa.string())))
        rows = pa.concat_tables(parts)
        rows = rows.take(pc.sort_indices(rows, [("order", "ascending"), ("id", "ascending")]))
        data, offsets = utf8_buffers(rows["tokens"])
        tokens, starts = data[: offsets[-1]].view("<i4"), offsets // 4
        size = int(pc.sum(rows["bytes"]).as_py() or 0)
        folder, name = task.output.rsplit("/", 1)
        with TokenShardWriter(self.path(folder), name.removesuffix(".parquet")) as writer:
            writer.write(tokens, np.diff(starts).astype(np.int32), size)
        entry = writer.entry()  # its files are listed, so that they are checked with the footer
        counts = {"documents": len(rows), "bytes": size, "tokens": len(tokens)}
        columns = [rows["id"], rows["url"], rows["dump"], starts[:-1], np.diff(starts).astype(np.int32)]
        with table.ShardWriter(self.path(task.output), PROVENANCE_SCHEMA) as provenance:
            provenance.write(pa.table(columns, PROVENANCE_SCHEMA))
            provenance.metadata = task.stamp(counts) | {"shard": entry, "files": entry["files"]}
        return counts


def _read(
    path: str, split: str, domain: str, first: int, last: int, columns: list[str] = _ENCODED_SCHEMA.names
) -> pa.Table:
    """The rows of an encoded shard with this split and domain and `first <= order <= last`."""
    with table.open_shard(path) as file:
        keys = [file.schema_arrow.get_field_index(name) for name in ("split", "domain", "order")]
        groups = []
        for group in range(file.num_row_groups):
            spans = [file.metadata.row_group(group).column(column).statistics for column in keys]
            if (
                (spans[0].min, spans[1].min) == (split, domain)  # a row group holds one split and one domain
                and spans[2].min <= last
                and spans[2].max >= first
            ):
                groups.append(group)
        try:
            rows = file.read_row_groups(groups, columns, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise CorruptShard(path, str(error).splitlines()[0]) from None
    inside = pc.and_(
        pc.greater_equal(rows["order"], pa.scalar(first, pa.uint64())),
        pc.less_equal(rows["order"], pa.scalar(last, pa.uint64())),
    )
    return rows.filter(inside)
