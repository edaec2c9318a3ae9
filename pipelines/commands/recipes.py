"""What the commands that take a recipe share: naming it, narrowing it, and overriding single values."""

import argparse
from typing import Any

import yaml

from corpus.errors import UsageError, nearest
from pipelines.config import recipe as recipes
from pipelines.config.inputs import CrawlInput
from pipelines.config.recipe import Recipe


def add_recipe_arguments(parser: argparse.ArgumentParser, optional: bool = False) -> None:
    """RECIPE, which the command may do without if `optional`, and the options that narrow or change it."""
    nargs = "?" if optional else None
    parser.add_argument(
        "recipe", metavar="RECIPE", nargs=nargs, help="a YAML file, or the name of one that ships: sample"
    )
    parser.add_argument("--dumps", metavar="D,D", help="only these dumps, in this order (comma or space separated)")
    parser.add_argument("--files", metavar="N", type=int, help="at most N files of each dump")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="override a value, e.g. train.steps=100"
    )


def recipe_from(arguments: argparse.Namespace) -> Recipe:
    """The recipe that the arguments name, narrowed and overridden as they say; raise UsageError for a mistake."""
    if arguments.files is not None and arguments.files < 1:
        raise UsageError(f"--files {arguments.files}: should be 1 or more; leave it out for all files")
    shipped = recipes.builtin_recipe(arguments.recipe)
    path = str(shipped) if shipped else arguments.recipe
    value = recipes.read_mapping(path)
    for setting in arguments.set:
        _override(value, setting)
    loaded = recipes.validate(value, path)
    dumps = (arguments.dumps or "").replace(",", " ").split()
    if not dumps and arguments.files is None:
        return loaded
    inputs = [_narrow(item, dumps, arguments.files) if isinstance(item, CrawlInput) else item for item in loaded.inputs]
    return loaded.model_copy(update={"inputs": inputs})


def _override(value: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise UsageError(f"--set {setting}: write it as KEY=VALUE, e.g. --set train.steps=100")
    *sections, last = key.split(".")
    place: Any = value
    try:
        for section in sections:
            place = place[int(section)] if isinstance(place, list) else place.setdefault(section, {})
        place[int(last) if isinstance(place, list) else last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise UsageError(f"--set {setting}: {text} is not a YAML value; close its brackets and quotes") from None
    except (AttributeError, TypeError, ValueError, IndexError):
        raise UsageError(
            f"--set {setting}: the recipe has no place {key}; name sections by key and inputs by number"
        ) from None


def _narrow(crawl: CrawlInput, dumps: list[str], files: int | None) -> CrawlInput:
    if crawl.dumps:
        for dump in dumps:
            if dump not in crawl.dumps:
                raise UsageError(f"--dumps: the recipe has no dump {dump}; {nearest(dump, crawl.dumps, 'it has')}")
    chosen = {"dumps": dumps} if dumps else {}
    return crawl.model_copy(update=chosen | ({"files": files} if files is not None else {}))
