"""Boilerplate through storage: `site_lines` per group of shards, and `boilerplate` per range of sites.

All lines of a site, whatever dumps they are in, meet in one task, because their keys travel by site. A site that alone
has more lines than fit in memory is read in several passes, each of which counts some of its lines. How many it has is
found by counting: a pass that meets too many is left and done as two, so the bound holds whatever the footers say.
"""

from collections.abc import Generator, Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa

from corpus.io.range_shuffle import Exchange, Window
from corpus.io.sorted_runs import RunWriter
from corpus.kernels.types import U64
from corpus.passages.site_lines import line_keys
from corpus.passages.tally import KEY_BYTES, Tally
from pipelines.engine.stage import Task
from pipelines.stages.passages.exchange import (
    ALL_KEYS,
    ExchangeParameters,
    KeyCounts,
    KeyStage,
    KeySubset,
    Positions,
    RepeatStage,
    Rows,
)

LINE_BYTES = 2 * KEY_BYTES  # of a line, which may be its site's first
LINE_SCHEMA = pa.schema(
    [
        pa.field("site", pa.uint64(), nullable=False),
        pa.field("key", pa.uint64(), nullable=False),  # of the site and the line's words
        pa.field("row", pa.uint32(), nullable=False),  # of the document within its group
        pa.field("line", pa.uint32(), nullable=False),  # its number among the lines that have words
    ]
)


class BoilerplateParameters(ExchangeParameters):
    """And what makes a line boilerplate."""

    line_documents: int
    line_share: float


class SiteLineStage(KeyStage[ExchangeParameters]):
    """documents, duplicates, verdicts of a group of shards -> dedup/site_lines/dump=D/G.parquet: (site, key, row,
    line)"""

    name: ClassVar[str] = "site_lines"
    folder: ClassVar[str] = "dedup/site_lines"
    schema: ClassVar[pa.Schema] = LINE_SCHEMA
    columns: ClassVar[tuple[str, ...]] = ("site", "text")

    def add_all(self, task: Task, writer: RunWriter) -> KeyCounts:
        """The lines of the kept documents."""

        def keys(rows: Rows, documents: pa.Table) -> list[U64 | Rows]:
            found = line_keys(documents["text"], documents["site"])
            return [found.sites, found.keys, rows[found.rows], found.lines]

        return self.add_keys(task, writer, keys)


class BoilerplateStage(RepeatStage[BoilerplateParameters]):
    """dedup/site_lines/** -> dedup/boilerplate/NNNNN.parquet: (number, position) of the boilerplate of a range of
    sites; the position is the line's"""

    name: ClassVar[str] = "boilerplate"
    folder: ClassVar[str] = "dedup/boilerplate"
    reads = ("site_lines",)
    key: ClassVar[str] = "site"

    def repeats(self, exchange: Exchange, firsts: U64) -> Iterator[tuple[U64, Positions]]:
        """Count the documents of each site and line; a line is boilerplate in all but the first document it is in."""
        for window in exchange.windows(self.parameters.count_budget, LINE_BYTES):
            waiting = [ALL_KEYS]
            while waiting:
                subset = waiting.pop()
                if not (yield from self._boilerplate(exchange, window, subset, firsts)):
                    waiting += subset.halves()

    def _boilerplate(
        self, exchange: Exchange, window: Window, subset: KeySubset, firsts: U64
    ) -> Generator[tuple[U64, Positions], None, bool]:
        """The boilerplate of a window of sites among a subset of its lines; where these do not fit in memory, none, and
        False is returned."""
        sites, lines = Tally(), Tally()
        for group, rows in exchange.read(window):
            numbers, keys = rows["row"].to_numpy() + firsts[group], rows["key"].to_numpy()
            mine = subset.has(keys)
            sites.add(rows["site"].to_numpy(), numbers)
            lines.add(keys[mine], numbers[mine])
            if len(lines.numbering) * LINE_BYTES > self.parameters.count_budget and len(lines.numbering) > 1:
                return False
        for group, rows in exchange.read(window):
            rows = rows.filter(pa.array(subset.has(rows["key"].to_numpy())))
            numbers = rows["row"].to_numpy() + firsts[group]
            have, first = lines.of(rows["key"].to_numpy())
            least = np.maximum(
                self.parameters.line_documents, self.parameters.line_share * sites.of(rows["site"].to_numpy())[0]
            )
            chosen = (have >= least) & (numbers != first)
            yield numbers[chosen], rows["line"].to_numpy()[chosen]
        return True
