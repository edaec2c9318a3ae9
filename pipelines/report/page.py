"""Drawing the report: one HTML file that needs nothing else, and the same figures as JSON beside it.

The template escapes everything that comes from data, and the page's content security policy allows one script, its own,
by hash, and no address at all: a hostile document shown for reading can neither run nor load anything."""

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
from pipelines.report import data, outcome
from pipelines.report.charts import WIDE, Line, column_chart, compact, line_chart
from pipelines.report.distributions import distributions, drawing
from pipelines.report.judges import judge_charts, judges
from pipelines.report.mixture import mixture
from pipelines.report.passages import passages
from pipelines.report.removal import removal
from pipelines.report.safety import safety
from pipelines.report.samples import samples
from pipelines.report.scan import ANNOTATIONS, Tally, scan
from pipelines.report.site_view import site_view, spark

HERE = Path(__file__).parent
TONES = ("tone-1", "tone-2", "tone-3", "tone-4")
LANGUAGES = {"en": "English", "zh": "Chinese", "und": "undetermined", "other": "other languages"}
SIZE_EDGES = (2, 3, 4, 5, 6, 8, 11, 21, 51, 101, 1001)  # first sizes of the bins of the cluster histogram


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


def collect(recipe: Recipe) -> dict[str, Any]:
    """Every section of the report as JSON-able values, by name; None for what has not run."""
    shards = data.shards_in_order(recipe)
    dumps = list(shards)
    tally = scan(recipe.root, shards)
    return {
        "recipe": {"name": recipe.name, "root": recipe.root, "dumps": dumps, "behind": _behind(tally)},
        "deduplication": data.deduplication(recipe, tally, dumps),
        "removal": removal(recipe, tally, dumps),
        "passages": passages(recipe.root, shards),
        "waterfall": data.waterfall(recipe, tally),
        "extraction": data.extraction(tally, dumps),
        "filtering": data.filtering(tally),
        "distributions": distributions(recipe, shards),
        "sites": data.sites(tally),
        "site_view": site_view(recipe.root),
        "judges": judges(recipe),
        "safety": safety(recipe.root),
        "mixture": mixture(recipe.root),
        "tokenizer": outcome.tokenizer(recipe.root),
        "training": outcome.training(recipe.root),
        "runs": outcome.runs(recipe.root),
        "samples": samples(recipe.root, tally, shards),
    }


def _behind(tally: Tally) -> list[str]:
    total = tally.shards["documents"]
    return [
        f"{kind} of {tally.shards[kind]} of {total} shards" for kind in ANNOTATIONS if 0 < tally.shards[kind] < total
    ]


def render(report: dict[str, Any]) -> str:
    """The page of a report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "bytes": human_bytes,
        "epochs": lambda value: f"{value:.2f}" if value >= 0.1 or not value else f"{value:.1g}",
        "number": lambda value: f"{value:,.0f}",
        "drawing": drawing,
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
        **_deduplication(report["deduplication"]),
        mixture_top=_widest(report["mixture"]),
        **_tokenizer(report["tokenizer"]),
        **_training(report["training"]),
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
        yield f"{_all(training['final']):.3f}", "bits per byte", f"after {training['steps']:,} steps"


def _deduplication(dedup: dict[str, Any] | None) -> dict[str, Any]:
    if dedup is None:
        return {}
    ours = {row["dumps"]: row for row in dedup["curve"]}
    paper = {row["dumps"]: row["rate"] for row in dedup["paper"]}
    rows = []
    for count in sorted({*ours, *paper}):
        mine = ours.get(count, {"dump": None, "documents": None, "rate": None})
        picked = {key: mine[key] for key in ("dump", "documents", "rate")}
        rows.append({"dumps": count, "paper": paper.get(count)} | picked)
    chart = line_chart(
        [
            Line("this run", [(row["dumps"], row["rate"]) for row in dedup["curve"]], "tone-1"),
            Line("DeepSeek LLM, Table 1", sorted(paper.items()), "tone-0", dashed=True),
        ],
        label="Share of documents removed against the number of dumps, beside the paper's Table 1",
        x_title="dumps deduplicated together (logarithmic)",
        y_format=lambda value: f"{value:.0%}",
        logarithmic=True,
        top=1.0,
        size=WIDE,
    )
    similar = {row["percent"]: float(row["documents"]) for row in dedup["similarities"]}
    spans = {row["dumps"]: float(row["clusters"]) for row in dedup["cluster_dumps"]}
    return {
        "curve_rows": rows,
        "curve_chart": chart,
        "alone": next((row["clusters"] for row in dedup["cluster_sizes"] if row["size"] == 1), 0),
        "size_chart": column_chart(
            _binned(dedup["cluster_sizes"]), label="Clusters by size", x_title="documents in the cluster"
        ),
        "span_chart": column_chart(
            [(str(size), spans.get(size, 0.0)) for size in range(2, max(spans, default=0) + 1)],
            label="Clusters by the number of dumps they span",
            x_title="dumps",
            tone="tone-3",
        ),
        "similarity_chart": column_chart(
            [(f"{percent}%", similar.get(percent, 0.0)) for percent in range(min(similar), 101)] if similar else [],
            label="Near-duplicates by similarity",
            x_title="Jaccard similarity",
            tone="tone-4",
        ),
    }


def _binned(sizes: list[dict[str, int]]) -> list[tuple[str, float]]:
    """Clusters by size, large sizes in bins, down to the last bin that holds any."""
    bins = []
    for index, low in enumerate(SIZE_EDGES):
        high = SIZE_EDGES[index + 1] - 1 if index + 1 < len(SIZE_EDGES) else None
        count = sum(row["clusters"] for row in sizes if low <= row["size"] and (high is None or row["size"] <= high))
        bins.append((f"{low}+" if high is None else str(low) if low == high else f"{low}–{high}", float(count)))
    while bins and not bins[-1][1]:
        bins.pop()
    return bins


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


def _training(training: dict[str, Any] | None) -> dict[str, Any]:
    if training is None:
        return {}
    names = sorted({name for row in training["validation"] for name in row["bits_per_byte"]} - {"all"})
    lines = [
        Line(name, [(row["step"], row["bits_per_byte"][name]) for row in training["validation"]], TONES[index])
        for index, name in enumerate(names[: len(TONES)])
    ]
    if not names or len(names) > 1:
        overall = [(row["step"], _all(row["bits_per_byte"])) for row in training["validation"]]
        lines.append(Line("all", overall, "tone-0", dashed=bool(names)))
    return {
        "loss_chart": _curve(training["loss"], "loss", "Training loss against steps"),
        "rate_chart": _curve(training.get("learning_rate", []), "learning_rate", "Learning rate against steps"),
        "norm_chart": _curve(training.get("grad_norm", []), "grad_norm", "Gradient norm before clipping"),
        "bits_chart": line_chart(lines, label="Bits per byte of held-out text", x_title="step", from_zero=False),
        "bits_rows": [(name, value, f"{value:.3f}") for name, value in sorted(training["final"].items())],
    }


def _curve(rows: list[dict[str, float]], name: str, label: str) -> Markup:
    points = [(row["step"], row[name]) for row in rows]
    line = Line(name, points, "tone-1", markers=len(points) <= 20)
    return line_chart([line], label=label, x_title="step", from_zero=name != "loss")


def _all(figures: dict[str, float]) -> float:
    return figures["all"] if "all" in figures else sum(figures.values()) / len(figures)
