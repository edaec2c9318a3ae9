"""The nine real dumps against their truth table: every response accounted for, every copy of a text found."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from backports import zstd
from rich.console import Console

from pipelines.engine import pipeline
from pipelines.recipe import builtin_recipe, load_recipe
from pipelines.stages import stages_of

Key = tuple[str, str]  # dump, URL


@pytest.fixture(scope="module")
def root(headwater_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of recipes/dumps.yaml, run up to deduplication."""
    os.environ["HEADWATER_DATA"] = str(headwater_data)
    folder = tmp_path_factory.mktemp("dumps")
    recipe = load_recipe(str(builtin_recipe("dumps"))).model_copy(update={"root": str(folder)})
    results = pipeline.run(stages_of(recipe, until="dedup"), Console(quiet=True), verify=True, on_ray=False)
    assert [result.failed for result in results if result.failed] == []
    return folder


@pytest.fixture(scope="module")
def pages(headwater_data: Path) -> list[dict[str, str]]:
    """The truth table."""
    text = zstd.decompress((headwater_data / "dumps/pages.jsonl.zst").read_bytes())
    return [json.loads(line) for line in text.split(b"\n") if line]


def _rows(root: Path, table: str, *columns: str) -> list[tuple[str, ...]]:
    """The dump and the columns of every row of a table, in order."""
    rows = []
    for path in sorted((root / table).glob("dump=*/*.parquet")):
        part = pq.read_table(path, columns=list(columns), partitioning=None)
        dump = path.parent.name.removeprefix("dump=")
        rows += [(dump, *values) for values in zip(*(part[name].to_pylist() for name in columns), strict=True)]
    return rows


def test_every_response_is_a_document_or_a_reject(root: Path, pages: list[dict[str, str]]) -> None:
    documents = [(dump, url) for dump, url in _rows(root, "documents", "url")]
    rejects = [(dump, url) for dump, url in _rows(root, "rejects", "url")]
    assert len(documents) + len(rejects) == len(pages) == 8001
    assert sorted(documents + rejects) == sorted((page["crawl"], page["url"]) for page in pages)


def test_copies_of_a_page_are_found_without_exception(root: Path, pages: list[dict[str, str]]) -> None:
    fates: dict[Key, bool] = {}
    documents = _rows(root, "documents", "id", "url")
    for (dump, key, url), (_, same, keep) in zip(documents, _rows(root, "duplicates", "id", "keep"), strict=True):
        assert key == same
        fates[dump, url] = bool(keep)
    for mark in ("text_sha1", "html_sha1"):
        copies: dict[str, list[bool]] = defaultdict(list)
        for page in pages:
            if (kept := fates.get((page["crawl"], page["url"]))) is not None:
                copies[page[mark]].append(kept)
        assert sum(len(group) > 1 for group in copies.values()) > 1000
        assert [group for group in copies.values() if sum(group) > 1] == []


def test_the_curve_covers_one_to_nine_dumps(root: Path) -> None:
    curve = json.loads((root / "dedup/curve.json").read_text())["curve"]
    assert [point["dumps"] for point in curve] == list(range(1, 10))
    rates = [point["rate"] for point in curve]
    assert 0.3 < rates[0] < 0.4  # copies of one stub and of versioned pages within the first dump
    kept = [keep for _, keep in _rows(root, "duplicates", "keep")]
    assert curve[-1]["documents"] == len(kept)
    assert curve[-1]["groups"] == sum(map(bool, kept))
    assert rates[-1] == pytest.approx(1 - sum(map(bool, kept)) / len(kept), abs=1e-6)
    clusters = _rows(root, "duplicates", "cluster")
    for point in curve:
        seen = {cluster for dump, cluster in clusters if dump <= point["dump"]}
        assert point["groups"] == len(seen)
