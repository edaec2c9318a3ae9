"""The plain files that the stand-alone commands take, as Arrow batches of `id` and `text` in input order.

Ids are carried through as they are; a row without one is named `FILE:ROW`.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from corpus.errors import UsageError, nearest
from corpus.io import storage
from corpus.io.line_blocks import BadRow
from corpus.io.plain_files import MissingColumn, column_names, read_batches, read_objects, utf8_texts
from pipelines.commands.keep_policy import Ranking

SCHEMA = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("text", pa.large_string(), nullable=False)])


@dataclass
class Inputs:
    """The files named on a command line; iterate `batches()` once, then look at `bad`.

    Each of `rankings` adds to the tables a column of its name, float64, with its keys.
    """

    files: list[str]
    text_column: str = "text"
    id_column: str = "id"
    rankings: tuple[Ranking, ...] = ()
    bad: list[str] = field(default_factory=list)  # what could not be read, a line each

    def batches(self) -> Iterator[pa.Table]:
        """Tables of SCHEMA and the rankings, in input order; raise UsageError where a file has no such column."""
        for file in self.files if self.rankings else ():
            self._require_ranked(file)
        for file in self.files:
            yield from self._file(file)

    def report(self) -> int:
        """Say on standard error what was set aside; the exit status that follows from it."""
        for line in self.bad[:20]:
            print(f"headwater: set aside {line}", file=sys.stderr)
        if len(self.bad) > 20:
            print(f"headwater: and {len(self.bad) - 20:,} more rows set aside", file=sys.stderr)
        return 1 if self.bad else 0

    def _require_ranked(self, file: str) -> None:
        """Raise UsageError where no row of a file has a column that is ranked; some rows may lack it."""
        wanted = {ranking.column for ranking in self.rankings}
        names = column_names(file)
        known = set(names or ())
        for row in read_objects(file) if names is None else ():
            if wanted <= known:
                break
            known.update(() if isinstance(row, BadRow) else row)
        for name in sorted(wanted - known) if known else ():
            raise UsageError(f"{file}: there is no column {name!r}; {nearest(name, sorted(known), 'it has')}")

    def _file(self, file: str) -> Iterator[pa.Table]:
        columns = {"text": self.text_column, "id": self.id_column}
        ranked = {ranking.column: ranking.json_type for ranking in self.rankings}
        try:
            for batch in read_batches(file, columns, ranked, optional=["id"]):
                self.bad += [bad.describe(file) for bad in batch.bad]
                if not len(batch.rows):
                    continue
                made = pc.binary_join_element_wise(file, batch.rows["number"].cast(pa.string()), ":")
                rows = pa.table([pc.coalesce(batch.rows["id"], made), utf8_texts(batch.rows["text"])], SCHEMA)
                for ranking in self.rankings:
                    keys = [ranking.key(value, file) for value in batch.others[ranking.column]]
                    rows = rows.append_column(ranking.name, pa.array(keys, pa.float64()))
                yield rows
        except MissingColumn as error:
            raise UsageError(f"{error}; use --text-column") from None


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """FILES, --text-column and --id-column."""
    parser.add_argument("files", nargs="+", metavar="FILES", help=".jsonl[.gz|.zst], .parquet or .txt; folders, globs")
    parser.add_argument("--text-column", default="text", metavar="NAME", help="the column of the text (default: text)")
    parser.add_argument("--id-column", default="id", metavar="NAME", help="the column of the id (default: id)")


def inputs_from(arguments: argparse.Namespace, rankings: tuple[Ranking, ...] = ()) -> Inputs:
    """The files that the arguments name; raise UsageError where one names nothing."""
    files = [file for pattern in arguments.files for file in storage.expand(pattern)]
    return Inputs(files, arguments.text_column, arguments.id_column, rankings)
