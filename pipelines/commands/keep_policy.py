"""What `headwater dedup --keep` chooses by: the length, id or order of the texts, and columns of the input, such as a
score or a date, each with the word for what is better in it: `quality:highest,crawled:newest,length,id`."""

import math
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from corpus.errors import UsageError, nearest

CRITERIA = ("length", "id", "order")
NUMBERS, DATES = ("highest", "lowest"), ("newest", "oldest")


class Ranking(NamedTuple):
    """A column of the input that decides which document is kept."""

    column: str
    best: str  # of NUMBERS or DATES

    @property
    def name(self) -> str:
        """As it is written in the policy."""
        return f"{self.column}:{self.best}"

    @property
    def json_type(self) -> pa.DataType:
        """What its values are in JSON."""
        return pa.float64() if self.best in NUMBERS else pa.string()

    def key(self, value: Any, file: str) -> float:
        """What documents are sorted by, the best being least: of a number itself, of a date the seconds since 1970.

        NaN, which comes last, for a null, and for a text that is no ISO 8601 date (without a zone: UTC). Raises
        UsageError, naming the file, for a value of another kind.
        """
        if value is None:
            return math.nan
        try:
            found = float(value) if self.best in NUMBERS else _seconds(value)
        except (TypeError, ValueError, OverflowError):
            kind = "number" if self.best in NUMBERS else "date"
            raise UsageError(f"{file}: --keep {self.name}: {str(value)[:80]!r} is no {kind}") from None
        return -found if self.best in ("highest", "newest") else found


def parse_policy(text: str) -> tuple[tuple[str, ...], tuple[Ranking, ...]]:
    """`(policy, rankings)`: the names in a policy, in order of weight, and those of them that are columns."""
    policy = tuple(dict.fromkeys(text.replace(",", " ").split()))
    return policy, tuple(_ranking(name) for name in policy if name not in CRITERIA)


def _ranking(name: str) -> Ranking:
    column, colon, best = name.rpartition(":")
    if not colon:
        raise UsageError(
            f"--keep {name}: {nearest(name, CRITERIA, 'there are')} (a column is given with what is better in it: "
            f"{name}:highest, lowest, newest or oldest)"
        )
    if best not in NUMBERS + DATES or not column:
        raise UsageError(f"--keep {name}: {nearest(best, NUMBERS + DATES, 'write COLUMN: and one of')}")
    return Ranking(column, best)


def _seconds(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return math.nan
    if not isinstance(value, date):
        raise TypeError
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
