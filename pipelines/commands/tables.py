"""Printing a table of figures whole, however narrow the terminal is: a figure that is cut is none."""

from rich.console import Console
from rich.table import Table


def print_table(console: Console, table: Table) -> None:
    """Print the table in as much width as its cells need."""
    whole = console.measure(table, options=console.options.update(max_width=10_000)).maximum
    console.width = max(console.width, whole)
    console.print(table)
