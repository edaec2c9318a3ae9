"""Documents as a Python user has them: a table with a column `text`, and `id` where there is one."""

from typing import Any

import pyarrow as pa

from corpus.errors import UsageError


def as_documents(table: Any) -> pa.Table:
    """The table with `text` as large_string and `id` as string, which is the row's number where the table has none.

    `table` is a pyarrow Table, or anything that `pyarrow.table` takes: a polars or pandas frame, a dict of columns.
    Its other columns are kept. Raises UsageError where it has no column `text`, or texts or ids that are no strings.
    """
    table = table if isinstance(table, pa.Table) else pa.table(table)
    if "text" not in table.column_names:
        raise UsageError(f"the table has no column `text`, it has {', '.join(table.column_names) or 'none'}")
    if "id" not in table.column_names:
        table = table.append_column("id", pa.array(range(len(table))))
    for name, kind in (("text", pa.large_string()), ("id", pa.string())):
        try:
            column = table[name].cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise UsageError(f"the column `{name}` of type {table[name].type} is no text ({error})") from None
        table = table.set_column(table.column_names.index(name), name, column)
    return table
