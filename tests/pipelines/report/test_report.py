"""The report: its figures against the rows they were counted from, and the page in a real browser."""

import json
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import CorruptShard
from corpus.io import table
from corpus.site_stats import Bound, judge, sums
from pipelines.config.recipe import validate
from pipelines.engine.shard_ref import ShardRef
from pipelines.report.charts import Line, line_chart, nice_ticks
from pipelines.report.page import draw_report, render
from pipelines.results.collect import collect
from pipelines.results.differences import differences
from pipelines.results.sections import waterfall
from pipelines.results.shards import shards_in_order
from pipelines.results.tally import SUMS, Tally
from tests.pipelines.report.report_tables import DUMPS, HOSTILE, recipe_at, write_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    """A finished run, its rows, and the report's values."""
    root = tmp_path_factory.mktemp("run")
    rows = write_run(root)
    return root, rows, collect(recipe_at(root))


def test_waterfall_and_extraction_count_every_row(finished: Any) -> None:
    _, rows, report = finished
    steps = {step["step"]: step for step in report["waterfall"]["steps"]}
    assert steps["extracted"]["documents"] == len(rows)
    assert steps["extracted"]["bytes"] == sum(row["length"] for row in rows)
    assert steps["unique"]["documents"] == sum(row["duplicate_of"] is None for row in rows)
    kept = [row for row in rows if row["keep"]]
    assert steps["passed"]["documents"] == steps["kept"]["documents"] == len(kept)
    assert steps["training"]["documents"] == sum(row["split"] == "train" for row in kept)
    groups = Counter("code (source)" if row["dump"] == "code" else row["language"] for row in kept)
    assert groups["code (source)"]
    for language, count in groups.items():
        assert steps["kept"]["languages"][language]["documents"] == count
    by_dump = {row["dump"]: row for row in report["extraction"]["dumps"]}
    assert list(by_dump) == [*DUMPS, "code"]
    assert all(row["records"] == row["documents"] + 1 for row in by_dump.values())
    assert report["extraction"]["rejects"] == {"not_html": 4}


def test_a_source_named_like_a_language_is_not_counted_as_it(finished: Any) -> None:
    """A source `en`, and one `other` like the rest of the languages, beside a dump: each has its own bar and legend."""
    root, _, report = finished
    files = {"files": ["/nowhere/*.jsonl"]}
    inputs = [*recipe_at(root).model_dump()["inputs"], files | {"name": "en"}, files | {"name": "other"}]
    recipe = validate({"name": "test", "root": str(root), "inputs": inputs}, "test")
    rows = [
        ("d", "en", 4),
        ("en", "en", 2),
        ("en", "de", 1),
        ("other", "zh", 3),
        *(("d", f"x{i}", 1) for i in range(5)),
    ]
    counts = [{"dump": dump, "language": language} | dict.fromkeys(SUMS, count) for dump, language, count in rows]
    drawn = waterfall(recipe, Tally(sums=pa.Table.from_pylist(counts)))
    assert drawn
    first = drawn["steps"][0]["languages"]
    assert {name: part["documents"] for name, part in first.items()} == {
        "en": 4,
        "en (source)": 3,
        "other (source)": 3,
        "x0": 1,
        "other": 4,
    }
    page = render(report | {"waterfall": drawn})
    assert "</i>English</li>" in page
    assert "</i>en (source)</li>" in page


def test_shards_that_the_recipe_no_longer_plans_are_not_counted(tmp_path: Path) -> None:
    root = tmp_path / "run"
    rows = [row for row in write_run(root) if row["dump"] == "CC-MAIN-2019-43"]
    recipe = recipe_at(root)
    first = table.num_rows(str(root / "documents/dump=CC-MAIN-2019-43/00000.parquet"))
    crawl = recipe.inputs[0].model_copy(update={"crawl": "s3://nowhere", "dumps": ["CC-MAIN-2019-43"], "files": 1})
    fewer = collect(recipe.model_copy(update={"inputs": [crawl]}))
    assert [row["documents"] for row in fewer["extraction"]["dumps"]] == [first]
    assert first < len(rows)
    source = tmp_path / "code.jsonl"
    source.write_text('{"text": "print()"}\n')
    code = recipe.inputs[1].model_copy(update={"files": [str(source)]})
    assert [shard.number for shard in shards_in_order(recipe) if shard.dump == "code"] == [0, 1]
    assert shards_in_order(recipe.model_copy(update={"inputs": [code]})) == [ShardRef("code", 0)]


def test_filtering_and_deduplication_figures(finished: Any) -> None:
    _, rows, report = finished
    failed = sum(bool(row["reasons"]) for row in rows)
    assert report["filtering"]["dropped"] == failed
    assert {row["reason"]: row["documents"] for row in report["filtering"]["reasons"]}["words < 50"] == failed
    steps = report["filtering"]["waterfall"]
    assert [(step["reason"], step["documents"], step["left"]) for step in steps] == [
        ("words < 50", failed, len(rows) - failed)
    ]
    dedup = report["deduplication"]
    assert dedup["levels"] == dict(Counter(row["level"] for row in rows if row["level"]).most_common())
    sizes = Counter(row["cluster_size"] for row in rows if row["id"] == row["cluster"])
    assert {row["size"]: row["clusters"] for row in dedup["cluster_sizes"]} == sizes
    assert [row["dump"] for row in dedup["curve"]] == DUMPS  # the source of code is no dump
    assert dedup["paper"][0] == {"dumps": 1, "rate": 0.222}
    assert {row["percent"] for row in dedup["similarities"]} == {93}


def test_removal_by_source_and_site_with_its_warnings(finished: Any) -> None:
    _, rows, report = finished
    removal = report["removal"]
    assert [row["source"] for row in removal["sources"]] == [*DUMPS, "code"]
    for shown, column in ((removal["sources"], "source"), (removal["sites"], "site")):
        for row in shown:
            name = row[column]
            mine = [r for r in rows if name in (r["dump"] if column == "source" else r["site"] or f"({r['dump']})",)]
            gone = sum(r["duplicate_of"] is not None for r in mine)
            assert (row["documents"], row["removed"]) == (len(mine), gone)
            assert row["much"] == (gone * 2 > len(mine) >= 10)
    for row in removal["sources"]:
        levels = Counter(r["level"] for r in rows if r["dump"] == row["source"] and r["level"])
        assert {level: n for level, n in row["levels"].items() if n} == levels
    assert any(row["much"] for row in removal["sources"])
    assert removal["sites_over_half"] == sum(row["much"] for row in removal["sites"]) > 0


def test_a_cluster_names_its_other_documents(finished: Any) -> None:
    _, rows, report = finished
    clusters: dict[str, set[str]] = {}
    for row in rows:
        clusters.setdefault(row["cluster"], set()).add(row["id"])
    assert report["samples"]["duplicates"]
    for pair in report["samples"]["duplicates"]:
        others = clusters[pair["kept"]["id"]] - {pair["kept"]["id"], pair["dropped"]["id"]}
        named = [member["id"] for member in pair["members"]]
        assert len(set(named)) == len(named) == min(6, len(others))
        assert set(named) <= others


def test_sites_say_what_is_left_of_each(finished: Any) -> None:
    _, rows, report = finished
    by_site = {row["site"]: row for row in report["sites"]["rows"]}
    for name, found in by_site.items():
        mine = [row for row in rows if (row["site"] or f"({row['dump']})") == name]
        assert found["documents"] == len(mine)
        assert found["kept"] == sum(row["keep"] for row in mine)
    assert by_site["en.example.org"]["note"] == "duplicates"
    assert report["sites"]["sites"] == len(by_site) == 4


def test_the_mixture_is_planned_and_actual_by_domain_and_language(finished: Any) -> None:
    _, _, report = finished
    mixture = report["mixture"]
    assert (mixture["unit"], mixture["trained"]) == ("tokens", True)
    domains, languages = ({row[kind]: row for row in mixture[f"{kind}s"]} for kind in ("domain", "language"))
    assert set(domains) == {"web-en", "web-zh", "code"}
    assert set(languages) == {"en", "zh", "python"}
    for rows in (domains, languages):
        assert sum(row["planned"] for row in rows.values()) == pytest.approx(mixture["planned"], abs=2)
        assert sum(row["weight"] for row in rows.values()) == pytest.approx(1)
        assert sum(row["read"] for row in rows.values()) == 60_000
    assert languages["zh"]["read"] == domains["web-zh"]["read"] == 30_000
    assert domains["code"] | {"read": 0, "capped": True} == domains["code"]
    assert domains["code"]["met"] < 1
    page = render(report)
    for shown in ("<h3>By domain</h3>", "<h3>By language</h3>", "held back by the cap on epochs"):
        assert shown in page


def test_a_site_with_nothing_left_is_flagged(tmp_path: Path) -> None:
    write_run(tmp_path, pages=60)
    report = collect(recipe_at(tmp_path))
    assert {row["site"]: row["note"] for row in report["sites"]["rows"]}["spam.example.com"] == "gone"
    assert report["sites"]["gone"] == 1


def test_samples_are_real_documents_with_their_reasons(finished: Any) -> None:
    _, rows, report = finished
    by_id = {row["id"]: row for row in rows}
    for domain, cards in report["samples"]["kept"].items():
        assert cards
        for card in cards:
            assert by_id[card["id"]]["domain"] == domain
            assert by_id[card["id"]]["keep"]
            assert card["text"] == by_id[card["id"]]["text"]
    for cards in report["samples"]["filtered"].values():
        assert all(card["reasons"] == by_id[card["id"]]["reasons"] for card in cards)
    for pair in report["samples"]["duplicates"]:
        assert by_id[pair["dropped"]["id"]]["duplicate_of"] == pair["kept"]["id"]
        marked = [text for row in pair["differences"] for differs, text in row.get("right") or [] if differs]
        assert marked, "a near-duplicate shows where it differs"


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "onerror", "onload")]


def test_page_is_self_contained_and_hostile_text_stays_text(tmp_path: Path) -> None:
    write_run(tmp_path)
    page = Path(draw_report(recipe_at(tmp_path))).read_text()
    seen = _Tags()
    seen.feed(page)
    assert seen.tags["script"] == 1
    assert seen.tags["img"] == 0
    assert all(address.startswith(("#", "data:")) for address in seen.addresses)
    assert HOSTILE not in page
    assert "&lt;script&gt;document.title" in page
    assert "{{ 7*7 }}" in page
    assert len(page) < 3_000_000
    for name in ("waterfall", "deduplication", "sites", "samples"):
        assert json.loads((tmp_path / f"reports/{name}.json").read_text())


def test_the_tokenizer_stands_beside_others(finished: Any) -> None:
    report = finished[2]
    page = render(report)
    assert report["tokenizer"]["evaluation"]["unused"]["count"] == 20
    for text in ("another", " international", "20 tokens, 1.0%"):
        assert text in page


def test_the_page_does_not_grow_with_the_documents(tmp_path: Path) -> None:
    """Four times the documents, sites and verdicts on sites: as many rows, samples and bins."""
    sizes = []
    for name, pages in (("small", 200), ("large", 800)):
        root = tmp_path / name
        rows = write_run(root, pages=pages, sites=pages)
        columns = ("site", "length", "language", "reasons", "cluster_size", "cluster_dumps")
        documents = [
            {key: row[key] for key in columns}
            | {"failed": bool(row["reasons"]), "duplicate": row["duplicate_of"] is not None}
            for row in rows
        ]
        found = judge(sums(pa.Table.from_pylist(documents)), [Bound("failed_share", 0.5)], 1)
        assert len(found) > 0.9 * pages
        with table.ShardWriter(str(root / "sites/00000.parquet"), found.schema) as writer:
            writer.write(found)
        page = Path(draw_report(recipe_at(root))).read_text()
        seen = _Tags()
        seen.feed(page)
        sizes.append((len(page), sum(seen.tags.values())))
    assert sizes[1][0] < 1.05 * sizes[0][0] < 1_000_000
    assert sizes[1][1] < 1.05 * sizes[0][1] < 15_000


def test_report_is_the_same_every_time(tmp_path: Path) -> None:
    write_run(tmp_path)
    first = Path(draw_report(recipe_at(tmp_path))).read_bytes()
    assert Path(draw_report(recipe_at(tmp_path))).read_bytes() == first


def test_empty_root_and_half_a_run_still_have_a_report(tmp_path: Path) -> None:
    page = Path(draw_report(recipe_at(tmp_path / "empty"))).read_text()
    assert "Nothing has run yet" in page
    assert "The train stage has not run yet" in page
    write_run(tmp_path)
    for name in ("verdicts", "duplicates", "domains", "mixture", "train", "runs", "rejects"):
        shutil.rmtree(tmp_path / name)
    report = collect(recipe_at(tmp_path))
    assert [step["step"] for step in report["waterfall"]["steps"]] == ["extracted"]
    assert report["filtering"] is None
    assert "The filter stage has not run yet" in Path(draw_report(recipe_at(tmp_path))).read_text()


def test_annotations_of_other_documents_are_not_joined(tmp_path: Path) -> None:
    write_run(tmp_path)
    path = str(tmp_path / "verdicts/dump=CC-MAIN-2019-43/00000.parquet")
    verdicts = table.read_table(path)
    with table.ShardWriter(path, verdicts.schema) as writer:
        writer.write(verdicts.take(pa.array(range(len(verdicts) - 1, -1, -1))))
    assert collect(recipe_at(tmp_path))["recipe"]["behind"] == ["verdicts of 7 of 8 shards"]
    Path(path).write_bytes(b"PAR1 not really")
    with pytest.raises(CorruptShard, match="verdicts"):
        collect(recipe_at(tmp_path))


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
def test_ticks_enclose_the_values(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 12
    assert ticks[0] <= low + 1e-6 * max(1, abs(low), span)
    assert ticks[-1] >= low + span - 1e-6 * max(1, abs(low), span)


def test_a_chart_of_nothing_is_nothing_and_names_are_escaped() -> None:
    assert line_chart([Line("a", [], "tone-1")], label="x", x_title="x") == ""
    one = line_chart([Line("<b>", [(1, 0.5)], "tone-1")], label='"<i>', x_title="<u>", logarithmic=True)
    assert "<b>" not in one
    assert "<i>" not in one
    assert "<u>" not in one


@given(st.lists(st.text("ab 中文\n", max_size=12), max_size=8), st.lists(st.text("ab 中文\n", max_size=12), max_size=8))
def test_differences_show_both_texts(left: list[str], right: list[str]) -> None:
    a, b = "\n".join(left), "\n".join(right)
    rows = differences(a, b)
    for side, text in (("left", a), ("right", b)):
        shown = ["".join(part for _, part in row[side]) for row in rows if row.get(side) is not None]
        folded = sum(row.get("same", 0) for row in rows)
        lines = text.splitlines()
        assert len(shown) + folded == len(lines)
        assert all(line in lines for line in shown)
    if a.splitlines() != b.splitlines():
        assert any(differs for row in rows for side in ("left", "right") for differs, _ in row.get(side) or [])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A headless Chromium, as Debian and most distributions install it."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("no chromium and chromedriver on the PATH (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    quiet = "disable-gpu disable-quic no-first-run disable-background-networking disable-component-update disable-sync"
    profile = f"user-data-dir={tmp_path_factory.mktemp('profile')}"
    for flag in ["headless=new", "no-sandbox", "disable-dev-shm-usage", *quiet.split(), profile]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield found
    found.quit()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_in_a_browser(tmp_path: Path, browser: Any, width: int, scheme: str) -> None:
    write_run(tmp_path)
    page = Path(draw_report(recipe_at(tmp_path)))
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.title == "test · Headwater report"
    shown = browser.execute_script(
        "return [...document.querySelectorAll('section:not(#signals) svg')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    assert shown == 6
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(16, 22, 29)") == (scheme == "dark")
    rows = "[...document.querySelectorAll('#site-table tbody tr')].filter((row) => !row.hidden)"
    read = f"return {rows}.map((row) => row.cells[0].textContent)"
    documents = browser.find_element("css selector", "#site-table th:nth-child(2) button")
    browser.execute_script("arguments[0].click()", documents)
    assert browser.execute_script(read)[-1] == "spam.example.com"
    browser.execute_script("arguments[0].click()", documents)
    assert browser.execute_script(read)[0] == "spam.example.com"
    browser.find_element("css selector", "input[type=search]").send_keys("zh.")
    assert browser.execute_script(read) == ["zh.example.org"]
    assert browser.get_log("browser") == []
