"""`headwater report`: draw the report of a recipe from what its stages have written."""

import argparse

from pipelines.commands.recipes import add_recipe_arguments, recipe_from
from pipelines.report.page import draw_report


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "report",
        help="draw the report of a recipe",
        epilog="Example: headwater report recipes/sample.yaml",
    )
    add_recipe_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw it and say where it is."""
    print(f"report: {draw_report(recipe_from(arguments))}")
    return 0
