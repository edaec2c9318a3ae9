"""`headwater perplexity train`: an n-gram model of clean text, by which perplexity is judged."""

import argparse
from typing import Any

EXAMPLE = """\
example:
  headwater perplexity train books/*.jsonl.zst --language en --reference data/dumps/documents --out models/clean-en

Name the folder in the recipe under judges.perplexity. DIR receives model.npy, card.json and README.md; the card has
the quantiles of the reference texts, which are what ranks and CCNet's head, middle and tail are measured by.
"""


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    form = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser("perplexity", help="train an n-gram model", epilog=EXAMPLE, formatter_class=form)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    action = actions.add_parser("train", help="train on clean text", epilog=EXAMPLE, formatter_class=form)
    action.add_argument("files", nargs="+", metavar="FILES", help="clean text: files, folders, globs")
    action.add_argument("--reference", nargs="+", metavar="FILES", help="pages like those to judge (default: 1 in 20)")
    action.add_argument("--language", metavar="CODE", help="only documents identified as being in it")
    action.add_argument("--order", type=int, default=5, metavar="N", help="words of an n-gram (default: 5)")
    action.add_argument("--documents", type=int, default=1_000_000, metavar="N", help="at most (default: 1,000,000)")
    action.add_argument("--text-column", default="text", metavar="NAME", help="the column of the text (default: text)")
    action.add_argument("--out", required=True, metavar="DIR", help="the model's folder")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train and print the perplexities at CCNet's cuts."""
    from corpus.semantic.perplexity import train_model
    from pipelines.training_texts import read_texts

    def read(patterns: list[str]) -> Any:
        return read_texts(patterns, arguments.text_column, arguments.language, arguments.documents)

    texts, sources = read(arguments.files)
    reference = read(arguments.reference)[0] if arguments.reference else None
    name = arguments.out.rstrip("/").rsplit("/", 1)[-1]
    card = train_model(arguments.out, name, texts, sources, reference, arguments.order)
    held = card["held_out"]
    print(f"{name}: {card['parameters']['n-grams']:,} n-grams; of {held['documents']:,} reference documents", end=" ")
    print(f"30% lie below a perplexity of {held['perplexity_30']:,}, 60% below {held['perplexity_60']:,}")
    print(f"written: {arguments.out}")
    return 0
