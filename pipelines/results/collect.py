"""All that the report says, section by section, as plain JSON-able values."""

from typing import Any

from pipelines.config.recipe import Recipe
from pipelines.results import outcome, sections
from pipelines.results.distributions import distributions
from pipelines.results.judges import judges
from pipelines.results.mixture import mixture
from pipelines.results.passages import passages
from pipelines.results.removal import removal
from pipelines.results.runs import runs
from pipelines.results.safety import safety
from pipelines.results.samples import samples
from pipelines.results.shards import dumps_of, shards_in_order
from pipelines.results.site_view import site_view
from pipelines.results.tally import ANNOTATIONS, Tally, scan


def collect(recipe: Recipe) -> dict[str, Any]:
    """Every section of the report as JSON-able values, by name; None for what has not run."""
    shards = shards_in_order(recipe)
    dumps = dumps_of(shards)
    tally = scan(recipe.root, shards)
    return {
        "recipe": {"name": recipe.name, "root": recipe.root, "dumps": dumps, "behind": _behind(tally)},
        "deduplication": sections.deduplication(recipe, tally, dumps),
        "removal": removal(recipe, tally, dumps),
        "passages": passages(recipe.root, shards),
        "waterfall": sections.waterfall(recipe, tally),
        "extraction": sections.extraction(tally, dumps),
        "filtering": sections.filtering(tally),
        "distributions": distributions(recipe, shards),
        "sites": sections.sites(tally),
        "site_view": site_view(recipe.root),
        "judges": judges(recipe),
        "safety": safety(recipe.root),
        "mixture": mixture(recipe.root),
        "tokenizer": outcome.tokenizer(recipe.root),
        "training": outcome.training(recipe.root),
        "runs": runs(recipe.root),
        "samples": samples(recipe.root, tally, shards),
    }


def _behind(tally: Tally) -> list[str]:
    total = tally.shards["documents"]
    return [
        f"{kind} of {tally.shards[kind]} of {total} shards" for kind in ANNOTATIONS if 0 < tally.shards[kind] < total
    ]
