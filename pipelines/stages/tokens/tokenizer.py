"""The tokenizer as three stages: `piece_counts` by shard, `pieces` added up, `tokenizer` trained from them.

Text is read once, by the first; what training needs of it is a table of how often each piece occurs. The sample is
drawn document by document by a hash of the id, each domain as much of it as its weight in the mixture's plan says, of
the training split only: what is held out for validation is held out from the tokenizer too.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from corpus.io import storage, table
from corpus.io.buffers import utf8_buffers
from corpus.spans import cut
from pipelines.config.recipe import Recipe
from pipelines.engine.stage import Counts, Stage, Task
from pipelines.engine.stamps import file_entry
from tokenizer.order import document_hashes, sampled
from tokenizer.pretoken_counts import SCHEMA, PretokenCounter, hash_rows, merge_counts
from tokenizer.train import train
from tokenizer.vocabulary import SPECIAL_TOKENS, Vocabulary

COUNTS_SCHEMA = pa.schema([pa.field("hash", pa.uint64(), nullable=False), *SCHEMA])
SPAN_TABLES = ("passages", "personal")  # names of stages and of the tables of spans that they make
_ROWS_A_GROUP = 1 << 16


class SampleParameters(BaseModel):
    """What decides which text is counted."""

    model_config = ConfigDict(frozen=True)
    sample_bytes: int
    seed: int
    replacements: dict[str, str]  # of spans, by kind; other spans are cut


class PretokenParameters(BaseModel):
    """How counts are added up."""

    model_config = ConfigDict(frozen=True)
    partitions: int
    min_count: int


class TrainingParameters(BaseModel):
    """What decides the vocabulary, given the counts."""

    model_config = ConfigDict(frozen=True)
    vocab_size: int
    model_vocab_size: int | None
    min_frequency: int


def tokenizer_stages(root: str, recipe: Recipe) -> list[Stage]:
    """The stages in order; they take documents, domains and the mixture from the stages planned before them."""
    section = recipe.tokenizer
    return [
        PretokenCountStage(
            root,
            SampleParameters(
                sample_bytes=section.sample_bytes, seed=section.seed, replacements=recipe.safety.replacements
            ),
        ),
        PretokenStage(root, PretokenParameters(partitions=section.partitions, min_count=section.min_count)),
        TokenizerStage(
            root,
            TrainingParameters(
                vocab_size=section.vocab_size,
                model_vocab_size=section.model_vocab_size,
                min_frequency=section.min_frequency,
            ),
        ),
    ]


def shards_with(done: Mapping[str, Sequence[Task]], *kinds: str) -> Iterator[tuple[str, list[Task]]]:
    """The shards (`dump=D/N.parquet`) for which every kind of output is planned, with their tasks in the given
    order."""
    known = {task.output: task for tasks in done.values() for task in tasks}
    for output in known:
        if output.startswith(f"{kinds[0]}/"):
            shard = output.removeprefix(f"{kinds[0]}/")
            names = [f"{kind}/{shard}" for kind in kinds]
            if all(name in known for name in names):
                yield shard, [known[name] for name in names]


def shards_to_tokenize(done: Mapping[str, Sequence[Task]]) -> Iterator[tuple[str, list[Task]]]:
    """The shards with their documents, domains, and every table of spans that this run makes."""
    return shards_with(done, "documents", "domains", *(name for name in SPAN_TABLES if name in done))


def texts_to_tokenize(
    paths: Sequence[str], replacements: Mapping[str, str], columns: list[str]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The documents of a shard a row group at a time, spans cut from their text, each with its rows of the domains
    table. `paths` are those of documents, domains and tables of spans; raises CorruptShard where their ids differ."""
    documents, *beside = paths
    tables = [table.read_table(path) for path in beside]
    first = 0
    for batch in table.iter_batches(documents, ["id", "text", *columns]):
        domains, *spans = (rows.slice(first, len(batch)) for rows in tables)
        for rows, path in zip((domains, *spans), beside):
            table.check_ids(batch, rows, path)
        first += len(batch)
        text = cut(batch["text"], spans, replacements)
        yield batch.set_column(batch.column_names.index("text"), "text", text), domains


class PretokenCountStage(Stage[SampleParameters]):
    """documents, domains and spans of dump=D/N.parquet + the plan -> tokenizer/pretoken_counts/dump=D/N.parquet, by
    hash"""

    name: ClassVar[str] = "pretoken_counts"
    folder: ClassVar[str] = "tokenizer/pretoken_counts"
    phase: ClassVar[str] = "tokenizer"

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per shard."""
        return [
            self.task(f"tokenizer/pretoken_counts/{shard}", [*tasks, *done["mixture"]])
            for shard, tasks in shards_to_tokenize(done)
        ]

    def run(self, task: Task) -> Counts:
        """Count the pieces of the sampled documents."""
        *tables, plan = (self.path(path) for path in task.inputs)
        shares = sample_shares(storage.read_json(plan), self.parameters.sample_bytes)
        counter = PretokenCounter()
        counts: Counts = {"documents": 0, "bytes": 0}
        for batch, marks in texts_to_tokenize(tables, self.parameters.replacements, []):
            chosen = sample(marks, shares, self.parameters.seed)
            texts = batch["text"].filter(pa.array(chosen))
            counter.add(texts)
            counts["documents"] += len(texts)
            counts["bytes"] += pc.sum(pc.binary_length(texts)).as_py() or 0
        pieces = counter.result()
        write_pieces(self.path(task.output), pieces, task, counts | {"pieces": len(pieces)})
        return counts | {"pieces": len(pieces)}


class PretokenStage(Stage[PretokenParameters]):
    """tokenizer/pretoken_counts/** -> tokenizer/pretokens/NNNNN.parquet: the sums of one range of hashes"""

    name: ClassVar[str] = "pretokens"
    phase: ClassVar[str] = "tokenizer"

    def expected_tasks(self, document_shards: int) -> int:
        """One a partition."""
        return self.parameters.partitions

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """A task per range."""
        return [
            self.task(f"tokenizer/pretokens/{part:05d}.parquet", done["pretoken_counts"], partition=part)
            for part in range(self.parameters.partitions)
        ]

    def run(self, task: Task) -> Counts:
        """Add up the range over all shards and drop what is rarer than min_count."""
        part, parts = task.arguments["partition"], self.parameters.partitions
        first, last = (part << 64) // parts, ((part + 1) << 64) // parts - 1
        tables = (table.read_between(self.path(path), "hash", first, last, SCHEMA.names) for path in task.inputs)
        pieces = merge_counts(tables, self.parameters.min_count)
        counts: Counts = {"documents": 0, "bytes": 0, "pieces": len(pieces)}
        write_pieces(self.path(task.output), pieces, task, counts)
        return counts


class TokenizerStage(Stage[TrainingParameters]):
    """tokenizer/pretokens/** -> tokenizer/manifest.json, with tokenizer.json and tokenizer_config.json beside it"""

    name: ClassVar[str] = "tokenizer"
    phase: ClassVar[str] = "tokenizer"

    def expected_tasks(self, document_shards: int) -> int:
        """One."""
        return 1

    def plan(self, done: Mapping[str, Sequence[Task]]) -> list[Task]:
        """One task over all pieces."""
        return [self.task("tokenizer/manifest.json", done["pretokens"])]

    def run(self, task: Task) -> Counts:
        """Train and save."""
        pieces = pa.concat_tables([table.read_table(self.path(path), SCHEMA.names) for path in task.inputs])
        merges = train(pieces, self.parameters.vocab_size, self.parameters.min_frequency)
        vocabulary = Vocabulary.from_merges(merges, self.parameters.model_vocab_size)
        vocabulary.save(self.path("tokenizer/tokenizer.json"))
        counts: Counts = {"documents": 0, "bytes": 0, "pieces": len(pieces), "merges": len(merges.made)}
        names = ("tokenizer.json", "tokenizer_config.json")
        manifest: dict[str, Any] = {
            "hash": vocabulary.hash,
            "vocab_size": vocabulary.size,
            "conventional_tokens": len(vocabulary.tokens),
            "special_tokens": SPECIAL_TOKENS,
            "model_vocab_size": vocabulary.model_size,
            "bos": vocabulary.bos,
            "eos": vocabulary.eos,
            "files": {name: file_entry(self.path(f"tokenizer/{name}")) for name in names},
        }
        storage.write_json(self.path(task.output), task.stamp(counts) | manifest)
        return counts


def sample_shares(plan: Mapping[str, Any], sample_bytes: int) -> dict[str, float]:
    """Which share of each domain's documents is counted: its weight's part of `sample_bytes`, at most all."""
    return {
        domain["domain"]: min(1.0, sample_bytes * domain["weight"] / domain["bytes"])
        for domain in plan["domains"]
        if domain["bytes"] > 0
    }


def sample(marks: pa.Table, shares: Mapping[str, float], seed: int) -> npt.NDArray[np.bool_]:
    """Which rows of a domains table are counted: bool[rows]."""
    hashes = document_hashes(marks["id"], seed)
    usable = pc.and_(marks["keep"], pc.equal(marks["split"], "train")).to_numpy()
    coded = marks["domain"].combine_chunks().dictionary_encode()
    chosen = np.zeros(len(marks), np.bool_)
    for code, name in enumerate(coded.dictionary.to_pylist()):
        chosen |= (coded.indices.to_numpy() == code) & sampled(hashes, shares.get(name, 0.0))
    return chosen & usable


def write_pieces(path: str, pieces: pa.Table, task: Task, counts: Counts) -> None:
    """Write a table of counts sorted by hash, in row groups that a range can be picked from."""
    rows = pieces.add_column(0, COUNTS_SCHEMA.field("hash"), pa.array(hash_rows(*utf8_buffers(pieces["pretoken"]))))
    with table.ShardWriter(path, COUNTS_SCHEMA) as writer:
        for first in range(0, len(rows), _ROWS_A_GROUP):
            writer.write(rows.slice(first, _ROWS_A_GROUP))
        writer.metadata = task.stamp(counts)
