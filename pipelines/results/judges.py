"""The learned judges: what each was trained on, and how it did on texts it had not seen."""

from typing import Any

from corpus.errors import UsageError
from corpus.semantic import artifact
from pipelines.config.recipe import Recipe


def judges(recipe: Recipe) -> list[dict[str, Any]] | None:
    """The cards of the recipe's fastText and n-gram models, by judge and language; None where it names none.

    A model that is gone is left out: the report draws what is there.
    """
    named = (
        ("quality", "classifier", recipe.judges.classifier),
        ("topics", "classifier", recipe.judges.topics),
        ("perplexity", "perplexity", recipe.judges.perplexity),
    )
    found = []
    for judge, kind, folders in named:
        for language, folder in folders.items():
            try:
                card = artifact.load_card(folder, kind)
            except UsageError:
                continue
            card = {key: card[key] for key in ("name", "summary", "data", "held_out", "xxh3")}
            found.append({"judge": judge, "language": language, **card})
    return found or None
