"""`headwater classifier train`: fastText judges of quality, and of topics, from labelled files."""

import argparse
from typing import Any

from pydantic import ValidationError

from corpus.errors import UsageError, nearest
from pipelines.config.judges import ClassifierRecipe

EXAMPLE = """\
examples:
  headwater classifier train recipes/mine.yaml                     every model of the recipe's section `classifiers`
  headwater classifier train --positives books/ --negatives data/dumps/documents --language en --out models/quality-en
  headwater classifier train --label law=laws/ --label news=news.jsonl.zst --out models/topics-en

DIR receives model.bin (fastText), card.json (data, hashes, parameters, calibration, held-out curves) and README.md.
"""
_OPTIONS = ("epoch", "lr", "dim", "word_ngrams", "min_count", "bucket", "seed", "documents")


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    form = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "classifier", help="train a classifier of quality or topics", epilog=EXAMPLE, formatter_class=form
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = actions.add_parser("train", help="train on files", epilog=EXAMPLE, formatter_class=form)
    action.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe with a section `classifiers`")
    action.add_argument("--only", metavar="NAME", help="of the recipe's, this one")
    action.add_argument("--positives", nargs="+", default=[], metavar="FILES", help="texts like those to keep")
    action.add_argument("--negatives", nargs="+", default=[], metavar="FILES", help="texts like those to drop")
    action.add_argument("--label", action="append", default=[], metavar="NAME=FILES", help="a topic and a file or glob")
    action.add_argument("--out", metavar="DIR", help="the model's folder")
    action.add_argument("--language", metavar="CODE", help="only documents identified as being in it")
    action.add_argument("--text-column", default="text", metavar="NAME", help="the column of the text (default: text)")
    for name in _OPTIONS:
        field = ClassifierRecipe.model_fields[name]
        action.add_argument(
            f"--{name.replace('_', '-')}", type=field.annotation, default=field.default, metavar="N",
            help=f"default: {field.default}",
        )  # fmt: skip
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train each model that is asked for and print how it does on what it has not seen."""
    for name, recipe in _asked(arguments).items():
        card = train(name, recipe)
        held = card["held_out"]
        if card["positive"]:
            print(f"{name}: ROC-AUC {held['roc_auc']:.3f}, average precision {held['average_precision']:.3f}", end="")
            print(f", calibration error {held['calibration_error']:.3f} on {held['documents']:,} documents held out")
        else:
            print(f"{name}: accuracy {held['accuracy']:.3f} on {held['documents']:,} documents held out")
        print(f"written: {recipe.out}")
    return 0


def train(name: str, recipe: ClassifierRecipe) -> dict[str, Any]:
    """Train one classifier; return its card."""
    from corpus.semantic import classifier
    from pipelines.training_texts import read_texts

    texts, files = {}, {}
    for label, patterns in recipe.files.items():
        texts[label], files[label] = read_texts(patterns, recipe.text_column, recipe.language, recipe.documents)
    settings = classifier.Settings(**{key: getattr(recipe, key) for key in classifier.Settings._fields})
    return classifier.train(recipe.out, name, texts, files, settings)


def _asked(arguments: argparse.Namespace) -> dict[str, ClassifierRecipe]:
    if arguments.recipe:
        from pipelines.config.recipe import load_recipe

        known = load_recipe(arguments.recipe).classifiers
        if not known:
            raise UsageError(f"{arguments.recipe}: it has no section `classifiers`")
        if arguments.only and arguments.only not in known:
            raise UsageError(
                f"--only {arguments.only}: no such classifier; {nearest(arguments.only, known, 'there are')}"
            )
        return {arguments.only: known[arguments.only]} if arguments.only else known
    if not arguments.out:
        raise UsageError("give a recipe, or --out with --positives and --negatives or --label")
    labels: dict[str, list[str]] = {}
    for text in arguments.label:
        label, equals, pattern = text.partition("=")
        if not equals:
            raise UsageError(f"--label {text}: write NAME=FILES")
        labels.setdefault(label, []).append(pattern)
    keys = ("out", "positives", "negatives", "language", "text_column", *_OPTIONS)
    try:
        made = ClassifierRecipe(labels=labels, **{key: getattr(arguments, key) for key in keys})
    except ValidationError as error:
        mistake = error.errors()[0]
        option = "".join(f"--{part} " for part in mistake["loc"][:1])
        raise UsageError(f"{option}{mistake['msg'].removeprefix('Value error, ')}") from None
    return {arguments.out.rstrip("/").rsplit("/", 1)[-1]: made}
