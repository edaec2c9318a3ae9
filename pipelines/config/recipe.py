"""A recipe: one readable YAML file that says everything about a run.

Each section is the parameter model of one room (`pipelines.config`), its fields documented where they are declared;
`headwater plan` prints what they lead to. Unknown keys are refused with the nearest valid name, wrong values with what
is allowed. `${NAME}` in a string is replaced from the environment.
"""

import os
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from corpus.errors import UsageError, nearest
from corpus.io import storage
from pipelines.config.base import Name, Section
from pipelines.config.decontaminate import DecontaminateParameters
from pipelines.config.dedup import DedupParameters
from pipelines.config.extract import ExtractParameters
from pipelines.config.filter import FilterParameters
from pipelines.config.inputs import CrawlInput, FilesInput
from pipelines.config.judges import ClassifierRecipe, JudgesParameters
from pipelines.config.passages import PassageParameters
from pipelines.config.remix import RemixParameters
from pipelines.config.safety import SafetyParameters
from pipelines.config.sites import SitesParameters
from pipelines.config.tokens import TokenizerParameters, TokensParameters
from pipelines.config.train import TrainParameters

_RECIPES = Path(str(files("pipelines"))) / "recipes"  # the folder recipes/ of the repository, by a link


class Recipe(Section):
    """A whole run: where it reads, where it writes, and the parameters of every stage."""

    name: Name
    root: str  # a folder or an s3:// prefix that receives everything
    inputs: list[CrawlInput | FilesInput] = Field(min_length=1)
    extract: ExtractParameters = ExtractParameters()
    judges: JudgesParameters = JudgesParameters()
    classifiers: dict[Name, ClassifierRecipe] = Field(default={})  # what `headwater classifier train` makes
    filter: FilterParameters = FilterParameters()
    safety: SafetyParameters = SafetyParameters()
    decontaminate: DecontaminateParameters = DecontaminateParameters()
    dedup: DedupParameters = DedupParameters()
    passages: PassageParameters | None = None  # null: only whole documents are deduplicated
    sites: SitesParameters = SitesParameters()
    remix: RemixParameters = RemixParameters()
    tokenizer: TokenizerParameters = TokenizerParameters()
    tokens: TokensParameters = TokensParameters()
    train: TrainParameters | None = TrainParameters()  # null: the run ends with token shards

    @property
    def budget(self) -> int | None:
        """Tokens that the mixture is planned for; None: one pass over what there is."""
        return self.remix.budget or (self.train.steps * self.train.tokens_per_step if self.train else None)


def load_recipe(path: str) -> Recipe:
    """Read and validate a recipe; raise UsageError with every mistake in it, each with its mend."""
    return validate(read_mapping(path), path)


def read_mapping(path: str) -> dict[str, Any]:
    """A recipe's YAML with the environment filled in, not yet validated; raise UsageError where it is not a mapping."""
    try:
        text = storage.read_bytes(path).decode()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        raise UsageError(
            f"{path}: cannot read the recipe ({why}); those that ship are {', '.join(shipped())}"
        ) from None
    try:
        value = yaml.safe_load(_expand(text, path))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path}: a recipe is a mapping of sections, beginning with `name:` and `root:`")
    return value


def validate(value: dict[str, Any], where: str) -> Recipe:
    """Validate a recipe given as a mapping; `where` is named in messages."""
    inputs = value.get("inputs")
    mistakes: list[str] = []
    if isinstance(inputs, list):
        for index, item in enumerate(inputs):
            model = CrawlInput if isinstance(item, dict) and "crawl" in item else FilesInput
            mistakes += _mistakes(model, item, ("inputs", index))
        value = {**value, "inputs": [_built(item) for item in inputs]} if not mistakes else value
    if not mistakes:
        try:
            return Recipe.model_validate(value)
        except ValidationError as error:
            mistakes = [_explain(Recipe, item, ()) for item in _errors(error)]
    else:
        mistakes += _mistakes(Recipe, {key: part for key, part in value.items() if key != "inputs"}, (), skip="inputs")
    raise UsageError("\n".join([f"{where}: the recipe has {len(mistakes)} mistake(s):", *(f"  {m}" for m in mistakes)]))


def _built(item: dict[str, Any]) -> Section:
    return CrawlInput.model_validate(item) if "crawl" in item else FilesInput.model_validate(item)


def _mistakes(model: type[BaseModel], value: Any, at: tuple[str | int, ...], skip: str = "") -> list[str]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return [_explain(model, item, at) for item in _errors(error) if item["loc"][:1] != (skip,)]
    return []


def _errors(error: ValidationError) -> list[Any]:
    """The errors without those that only say that a section is not `off`."""
    return [item for item in error.errors() if "literal[False]" not in item["loc"]]


def _explain(model: type[BaseModel], error: Any, at: tuple[str | int, ...]) -> str:
    """One mistake as a person would say it: the key, what is wrong, and what is right."""
    kinds = {kind.__name__ for kind in Section.__subclasses__()}  # how pydantic marks the members of a union
    key = ".".join(str(part) for part in (*at, *error["loc"]) if part not in kinds)
    if error["type"] == "extra_forbidden":
        names = _fields_at(model, error["loc"][:-1])
        return f"{key}: unknown key; {nearest(str(error['loc'][-1]), sorted(names), 'the valid names are:')}"
    if error["type"] == "missing":
        return f"{key}: is needed and not given"
    said = re.sub(r"valid dictionary or instance of \w+", "section: a mapping of keys to values", error["msg"])
    got = "" if error["type"] == "value_error" and isinstance(error.get("input"), dict) else f", got {error['input']!r}"
    return f"{key}: {said.removeprefix('Value error, ')}{got}"


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The field names of the section that a location inside a model leads to."""
    current: Any = model
    for part in location:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            continue
        current = next(_models_in(field.annotation), current)
    return list(getattr(current, "model_fields", {}))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _expand(text: str, path: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise UsageError(
                f"{path}: it uses ${{{name}}}, but {name} is not set in the environment; export {name}=..."
            )
        return os.environ[name]

    lines = (
        line if line.lstrip().startswith("#") else re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, line)
        for line in text.split("\n")
    )
    return "\n".join(lines)


def builtin_recipe(name: str) -> Path | None:
    """The path of a recipe that ships with the code, for `headwater run sample`."""
    path = _RECIPES / f"{name}.yaml"
    return path if path.is_file() else None


def shipped() -> list[str]:
    """The names of the recipes that ship with the code."""
    return sorted(path.stem for path in _RECIPES.glob("*.yaml"))
