"""The drawings of the section on deduplication: the rate by number of dumps, and how clusters are distributed."""

from typing import Any

from pipelines.report.charts import WIDE, Line, column_chart, line_chart

SIZE_EDGES = (2, 3, 4, 5, 6, 8, 11, 21, 51, 101, 1001)  # first sizes of the bins of the cluster histogram


def deduplication_charts(dedup: dict[str, Any] | None) -> dict[str, Any]:
    """What the section's template draws; nothing before deduplication."""
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
