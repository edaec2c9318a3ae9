"""Drawing the report: one HTML file that needs nothing else, and the same figures as JSON beside it.

The template escapes everything that comes from data. The page's content security policy allows one script, its own, by
hash, and no address at all. So a hostile document that is shown cannot run or load anything.
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from corpus.io import storage
from pipelines.config.recipe import Recipe
from pipelines.engine.progress import human_bytes
from pipelines.report.charts import TONES, compact
from pipelines.report.deduplication import deduplication_charts
from pipelines.report.judges import judge_charts
from pipelines.report.small_charts import histogram, spark
from pipelines.report.training import overall_bits, training_charts
from pipelines.results.collect import collect

HERE = Path(__file__).parent
LANGUAGES = {"en": "English", "zh": "Chinese", "und": "undetermined", "other": "other languages"}


def draw_report(recipe: Recipe) -> str:
    """Write `<root>/reports/index.html` and its JSON files, from whatever has run so far; return the page's path.

    Raises CorruptShard where a table cannot be read.
    """
    report = collect(recipe)
    folder = storage.join(recipe.root, "reports")
    for name, value in report.items():
        storage.write_json(storage.join(folder, f"{name}.json"), value)
    path = storage.join(folder, "index.html")
    storage.write_bytes(path, render(report).encode())
    return path


def render(report: dict[str, Any]) -> str:
    """The page of a report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "bytes": human_bytes,
        "epochs": lambda value: f"{value:.2f}" if value >= 0.1 or not value else f"{value:.1g}",
        "number": lambda value: f"{value:,.0f}",
        "histogram": histogram,
        "percent": lambda value: f"{value:.1%}",
        "language": lambda name: LANGUAGES.get(name, name),
        "spark": spark,
        "rows": lambda counts: [(name, count, f"{count:,}") for name, count in counts.items()],
    }
    script = (HERE / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        **report,
        behind=report["recipe"]["behind"],
        style=Markup((HERE / "page.css").read_text()),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        json_files=[f"{name}.json" for name in report],
        tone=lambda index, name: "tone-0" if name == "other" else TONES[index % len(TONES)],
        tiles=list(_tiles(report)),
        **judge_charts(),
        **deduplication_charts(report["deduplication"]),
        mixture_top=_widest(report["mixture"]),
        **_tokenizer(report["tokenizer"]),
        **training_charts(report["training"]),
    )


def _tiles(report: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The headline: (figure, what it is, a detail)."""
    if extraction := report["extraction"]:
        records = sum(row["records"] for row in extraction["dumps"])
        yield compact(records), "records read", f"{len(extraction['dumps'])} dumps and sources"
    steps = {step["step"]: step for step in (report["waterfall"] or {"steps": []})["steps"]}
    if "extracted" in steps:
        yield compact(steps["extracted"]["documents"]), "documents extracted", human_bytes(steps["extracted"]["bytes"])
    if (filtering := report["filtering"]) and filtering["documents"]:
        share = 1 - filtering["dropped"] / filtering["documents"]
        yield f"{share:.1%}", "pass the filters", f"{filtering['dropped']:,} fail"
    if dedup := report["deduplication"]:
        removed, total = (sum(row[key] for row in dedup["dumps"]) for key in ("duplicates", "documents"))
        yield f"{removed / (total or 1):.1%}", "are duplicates", f"over {len(dedup['dumps'])} dumps and sources"
    if "kept" in steps:
        yield compact(steps["kept"]["documents"]), "documents kept", human_bytes(steps["kept"]["bytes"])
    tokens = [domain["tokens"] for domain in (report["mixture"] or {"domains": []})["domains"] if "tokens" in domain]
    if tokens:
        yield compact(sum(tokens)), "tokens", f"in {len(tokens)} domains"
    if (training := report["training"]) and training["final"]:
        yield f"{overall_bits(training['final']):.3f}", "bits per byte", f"after {training['steps']:,} steps"


def _widest(mixture: dict[str, Any] | None) -> float:
    """The largest share that the mixture's bars show."""
    rows = [row for kind in ("domains", "languages") for row in mixture[kind]] if mixture else []
    return max((row.get(key, 0.0) for row in rows for key in ("natural", "weight", "read_share")), default=0.0) or 1.0


def _tokenizer(tokenizer: dict[str, Any] | None) -> dict[str, Any]:
    if tokenizer is None:
        return {}
    fits = {
        group: [
            (LANGUAGES.get(name, name), row["bytes_per_token"], f"{row['bytes_per_token']:.3f}")
            for name, row in tokenizer[group].items()
        ]
        for group in ("languages", "domains")
    }
    scripts = list((tokenizer["evaluation"] or {"scripts": {}})["scripts"].items())[:12]
    rows = [(name, count, f"{count:,}") for name, count in scripts]
    return {"language_fit": fits["languages"], "domain_fit": fits["domains"], "script_rows": rows}
