"""The report's section on deduplication inside documents."""

from pathlib import Path

import pyarrow as pa

from corpus import spans
from corpus.io import table
from pipelines.report.page import draw_report
from pipelines.results.collect import collect
from tests.pipelines.report.report_tables import DUMPS, HOSTILE, recipe_at, write_run


def _cut_everything(root: Path, dump: str) -> None:
    """Write spans for a shard: of every document its first ten bytes, as the stage would."""
    shard = f"dump={dump}/00000.parquet"
    documents = table.read_table(str(root / "documents" / shard), ["id", "language", "text"]).to_pylist()
    kinds = {"passage": 10, "line": 0, "rest": 0}
    counts: dict = {"documents": len(documents), "bytes": 1000 * len(documents), "languages": {}}
    for language in sorted({row["language"] for row in documents}):
        number = sum(row["language"] == language for row in documents)
        cut = {kind: {"documents": number, "spans": number, "bytes": size * number} for kind, size in kinds.items()}
        counts["languages"][language] = {"documents": number, "bytes": 1000 * number, "cut": cut}
    rows = []
    for row in documents:
        end = len(row["text"][:10].encode())
        rows.append({"id": row["id"], "spans": [{"start": 0, "end": end, "kind": "passage"}]})
    with table.ShardWriter(str(root / "passages" / shard), spans.SCHEMA) as writer:
        writer.write(pa.Table.from_pylist(rows, spans.SCHEMA))
        writer.metadata = {"counts": counts}


def test_what_is_cut_by_language_and_dump_with_examples(tmp_path: Path) -> None:
    rows = write_run(tmp_path)
    assert collect(recipe_at(tmp_path))["passages"] is None
    assert 'id="passages"' not in Path(draw_report(recipe_at(tmp_path))).read_text()
    for dump in DUMPS[:2]:
        _cut_everything(tmp_path, dump)
    found = collect(recipe_at(tmp_path))["passages"]
    assert [row["dump"] for row in found["dumps"]] == DUMPS[:2]
    assert {row["language"]: row["cut"]["passage"]["bytes"] / row["documents"] for row in found["languages"]} == {
        "en": 10.0,
        "zh": 10.0,
    }
    assert sum(row["cut"]["passage"] for row in found["dumps"]) == 10 * sum(row["documents"] for row in found["dumps"])
    texts = {row["id"]: row["text"] for row in rows}
    assert {language: len(shown) for language, shown in found["examples"]["passage"].items()} == {"en": 4, "zh": 4}
    for shown in found["examples"]["passage"].values():
        for example in shown:
            assert (example["before"], example["cut"]) == ("", texts[example["id"]][:10])
            assert example["after"] == texts[example["id"]][10:90]
    page = Path(draw_report(recipe_at(tmp_path))).read_text()
    assert 'id="passages"' in page
    assert "1.0%" in page
    assert HOSTILE not in page
