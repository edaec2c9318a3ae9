"""The extract stage and command: everything that is offered is a document or a counted reject, the same each time."""

import functools
import gzip
import http.server
import io
import json
import threading
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus.document import REJECTS, SCHEMA
from corpus.errors import HeadwaterError, UsageError
from corpus.io import storage
from corpus.io.table import is_whole, read_metadata, read_table
from pipelines.cli import main
from pipelines.config.extract import ExtractParameters
from pipelines.config.inputs import CrawlInput, FilesInput
from pipelines.engine.stage import NotPlanned, Upstream
from pipelines.engine.stamps import counts_if_done
from pipelines.stages.extract import ExtractStage
from tests.corpus.crawl import archives

DUMP = "CC-MAIN-2023-23"
CONTENTS = [
    archives.http(archives.page("One")),
    archives.http(archives.page("二", "傍晚时分，水退了，人们都回家去了，第二天早上又回来看。")),
    archives.http(archives.page(), status="404 Not Found"),
    archives.http(b"%PDF-1.4"),
    archives.http(b"<html></html>"),
]


def crawl(root: Path, *files: bytes, dump: str = DUMP, format: str = "warc") -> CrawlInput:
    """A dump below `root` with these files."""
    names = [f"crawl-data/{dump}/segments/1.{n}/{format}/CC-MAIN-{n:05d}.{format}.gz" for n in range(len(files))]
    for name, data in zip(names, files, strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    listing = root / f"crawl-data/{dump}/{format}.paths.gz"
    listing.write_bytes(gzip.compress("".join(name + "\n" for name in names).encode(), mtime=0))
    return CrawlInput(crawl=str(root), dumps=[dump], format=format)


def run(root: Path, *inputs: CrawlInput | FilesInput, **parameters) -> tuple[ExtractStage, list, list]:
    stage = ExtractStage(str(root), ExtractParameters(**parameters), inputs)
    tasks = stage.plan(Upstream())
    return stage, tasks, [stage.run(task) for task in tasks]


def test_a_dump(tmp_path):
    item = crawl(tmp_path, archives.warc(*CONTENTS), archives.warc(CONTENTS[0]))
    stage, tasks, counts = run(tmp_path / "out", item)
    assert [task.output for task in tasks] == [f"documents/dump={DUMP}/0000{n}.parquet" for n in (0, 1)]
    text_bytes = counts[0]["bytes"]
    assert counts[0] == {
        "documents": 2,
        "bytes": text_bytes,
        "html_bytes": sum(len(content.split(b"\r\n\r\n", 1)[1]) for content in CONTENTS[:2]),
        "responses": 5,
        "records": {"response": 5},
        "rejects": {"http-status": 1, "not-html": 1, "empty-text": 1},
        "damage": {},
        "languages": {
            "en": {"documents": 1, "bytes": counts[0]["languages"]["en"]["bytes"]},
            "zh": {"documents": 1, "bytes": counts[0]["languages"]["zh"]["bytes"]},
        },
    }
    documents = read_table(stage.path(tasks[0].output))
    rejects = read_table(stage.path(tasks[0].output.replace("documents", "rejects")))
    assert (documents.schema.remove_metadata(), rejects.schema.remove_metadata()) == (SCHEMA, REJECTS)
    first, second = documents.to_pylist()
    assert (first["url"], first["site"], first["language"], first["charset"]) == (
        "https://www.example.org/0", "example.org", "en", "utf-8"
    )  # fmt: skip
    assert first["date"].isoformat() == "2023-05-28T12:34:56+00:00"
    assert second["language"] == "zh"
    assert second["lid_zh"] > 0.5 > second["lid_en"]
    assert first["file"].startswith(f"crawl-data/{DUMP}/")
    assert [row["length"] for row in (first, second)] == [len(row["text"].encode()) for row in (first, second)]
    assert text_bytes == first["length"] + second["length"]
    assert [row["reason"] for row in rejects.to_pylist()] == ["http-status", "not-html", "empty-text"]
    assert [row["url"] for row in rejects.to_pylist()] == [f"https://www.example.org/{n}" for n in (2, 3, 4)]
    stamp = read_metadata(stage.path(tasks[0].output))
    assert list(stamp.pop("files")) == [tasks[0].shard.below("rejects")]
    assert stamp == tasks[0].stamp(counts[0])


@pytest.mark.parametrize("harm", ["delete", "cut"])
def test_harmed_rejects_are_found_by_verification(tmp_path, harm):
    stage, (task,), (counts,) = run(tmp_path / "out", crawl(tmp_path, archives.warc(*CONTENTS)))
    rejects = tmp_path / f"out/rejects/dump={DUMP}/00000.parquet"
    assert counts_if_done(stage.root, task, verify=True) == counts
    if harm == "delete":
        rejects.unlink()
    else:
        rejects.write_bytes(rejects.read_bytes()[:-1])
    assert counts_if_done(stage.root, task, verify=True) is None


def test_a_wet_file_and_damage(tmp_path):
    parts = [
        archives.record(text.encode(), "conversion")
        for text in ("The first text of a page.", "第二个网页的正文。", " ")
    ]
    data = b"".join(archives.member(part) for part in parts)
    _, _, (counts,) = run(tmp_path / "out", crawl(tmp_path, data + b"junk" + data[:120], format="wet"))
    assert (counts["documents"], counts["responses"], counts["rejects"]["empty-text"]) == (2, counts["responses"], 1)
    assert counts["documents"] + sum(counts["rejects"].values()) == counts["responses"]
    assert sum(counts["damage"].values()) >= 1


def test_plain_sources_and_their_columns(tmp_path):
    rows = [
        {"content": "The first document of a plain source.", "n": 1, "when": "2020-01-02"},
        {"content": "def f(x):\n    return x", "n": 2},
        {"content": " "},
        {"other": 1},
    ]
    path = tmp_path / "books.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    columns = {"text": "content", "id": "n", "date": "when"}
    item = FilesInput(files=[str(path)], name="books", columns=columns)
    code = FilesInput(files=[str(path)], name="code", columns=columns, language="python")
    stage, tasks, counts = run(tmp_path / "out", item, code)
    assert counts[0]["rejects"] == {"empty-text": 1, "no-text": 1, "bad-line": 1}
    assert (counts[0]["responses"], counts[0]["documents"]) == (5, 2)
    assert list(counts[1]["languages"]) == ["python"]
    assert read_table(stage.path(tasks[1].output))["language_score"].to_pylist() == [1.0, 1.0]
    documents = read_table(stage.path(tasks[0].output)).to_pylist()
    assert documents[0]["date"].isoformat() == "2020-01-02T00:00:00+00:00"
    assert [len(row["id"]) for row in documents] == [32, 32]
    assert documents[1]["offset"] > 0


def test_the_same_input_gives_the_same_bytes_below_any_root(tmp_path):
    results = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        stage, tasks, _ = run(tmp_path / name / "out", crawl(tmp_path / name, archives.warc(*CONTENTS)))
        results.append((tasks[0].fingerprint, Path(stage.path(tasks[0].output)).read_bytes()))
        assert is_whole(stage.path(tasks[0].output))
    assert results[0] == results[1]


def test_what_changes_a_fingerprint(tmp_path, monkeypatch):
    item = crawl(tmp_path, archives.warc(*CONTENTS))

    def mark(**parameters) -> str:
        stage = ExtractStage(str(tmp_path / "out"), ExtractParameters(**parameters), [item])
        return stage.plan(Upstream())[0].fingerprint

    before = mark()
    assert mark(max_html_bytes=4096) != before
    other = tmp_path / "model.ftz"
    other.write_bytes(b"another model")
    assert mark(language_model=str(other)) != before
    monkeypatch.setattr("pipelines.stages.extract.EXTRACTOR", "another extractor")
    assert mark() != before
    monkeypatch.undo()
    assert mark() == before
    crawl(tmp_path, archives.warc(*CONTENTS[:2]))
    assert mark() != before


def test_row_groups_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("corpus.extract.ingest.GROUP_BYTES", 2000)
    monkeypatch.setattr("corpus.extract.ingest.REJECT_ROWS", 3)
    pages = [archives.http(archives.page(f"Page {n}", "text " * 100)) for n in range(30)]
    rejects = [archives.http(b"", status="500 Error")] * 10
    stage, tasks, _ = run(tmp_path / "out", crawl(tmp_path, archives.warc(*pages, *rejects)))
    file = pq.ParquetFile(stage.path(tasks[0].output))
    assert file.num_row_groups >= 8
    assert [row.split("\n")[0] for row in file.read()["text"].to_pylist()] == [f"Page {n}" for n in range(30)]
    assert pq.ParquetFile(stage.path(tasks[0].output).replace("documents", "rejects")).metadata.num_rows == 10


def test_several_files_in_a_shard(tmp_path):
    item = crawl(tmp_path, *[archives.warc(*CONTENTS)] * 5)
    _, _, single = run(tmp_path / "single", item)
    stage, tasks, counts = run(tmp_path / "joined", item.model_copy(update={"files_per_shard": 2}))
    assert [len(task.inputs) for task in tasks] == [2, 2, 1]
    assert sum(count["documents"] for count in counts) == sum(count["documents"] for count in single) == 10
    assert counts[0]["rejects"] == {reason: 2 * number for reason, number in single[0]["rejects"].items()}
    files = [path.removeprefix(f"{tmp_path}/") for path in tasks[0].inputs]
    assert read_table(stage.path(tasks[0].output))["file"].to_pylist() == [files[0]] * 2 + [files[1]] * 2


def test_a_listed_file_that_is_not_there(tmp_path):
    item = crawl(tmp_path, archives.warc(*CONTENTS), archives.warc(*CONTENTS))
    stage = ExtractStage(str(tmp_path / "out"), ExtractParameters(), [item])
    first, second = stage.plan(Upstream())
    Path(second.inputs[0]).unlink()
    first, second = stage.plan(Upstream())
    stage.run(first)
    with pytest.raises(HeadwaterError, match=r"00001.warc.gz: no such file"):
        stage.run(second)
    assert not Path(stage.path(second.output)).exists()


def test_dumps_that_cannot_be_planned(tmp_path):
    gone = CrawlInput(crawl=str(tmp_path), dumps=[DUMP], expected_files=80_000)
    with pytest.raises(NotPlanned, match=r"cannot read the list"):
        ExtractStage(str(tmp_path), ExtractParameters(), [gone]).plan(Upstream())
    with pytest.raises(UsageError, match="names no dumps"):
        ExtractStage(str(tmp_path), ExtractParameters(), [CrawlInput(crawl="x")]).plan(Upstream())
    with pytest.raises(UsageError, match="not the name of a dump"):
        ExtractStage(str(tmp_path), ExtractParameters(), [CrawlInput(crawl="x", dumps=["2023"])]).plan(Upstream())


def test_a_dump_on_a_web_server(tmp_path):
    item = crawl(tmp_path / "web", archives.warc(*CONTENTS))
    _, _, here = run(tmp_path / "here", item)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        remote = CrawlInput(crawl=f"http://127.0.0.1:{server.server_port}", dumps=[DUMP])
        stage, tasks, there = run(tmp_path / "there", remote)
    finally:
        server.shutdown()
        server.server_close()
    assert there == here
    files = read_table(stage.path(tasks[0].output))["file"].unique().to_pylist()
    assert files == [f"crawl-data/{DUMP}/segments/1.0/warc/CC-MAIN-00000.warc.gz"]


def test_a_dump_and_a_root_in_an_object_store(tmp_path, s3_bucket):
    item = crawl(tmp_path / "local", archives.warc(*CONTENTS), archives.warc(CONTENTS[0])[:-20])
    here, tasks, counts = run(tmp_path / "out", item)
    for path in (path for path in (tmp_path / "local").rglob("*") if path.is_file()):
        storage.write_bytes(f"{s3_bucket}/crawl/{path.relative_to(tmp_path / 'local')}", path.read_bytes())
    there = CrawlInput(crawl=f"{s3_bucket}/crawl", dumps=[DUMP])
    stage = ExtractStage(f"{s3_bucket}/extracted", ExtractParameters(), [there])
    remote = stage.plan(Upstream())
    assert [task.output for task in remote] == [task.output for task in tasks]
    assert [stage.run(task) for task in remote] == counts
    for task, planned in zip(tasks, remote, strict=True):
        for output in (task.output, task.shard.below("rejects")):
            assert read_table(stage.path(output)).to_pylist() == read_table(here.path(output)).to_pylist()
        assert counts_if_done(stage.root, planned, verify=True) is not None
    assert counts[1]["rejects"] == {"truncated": 1}
    gone = f"{s3_bucket}/crawl/crawl-data/{DUMP}/segments/1.1/warc/CC-MAIN-00001.warc.gz"
    storage.delete(gone)
    with pytest.raises(HeadwaterError, match=r"00001.warc.gz: no such file"):
        stage.run(remote[1])
    assert main(["extract", f"{s3_bucket}/crawl", "--out", f"{s3_bucket}/plain"]) == 0
    assert len(read_table(f"{s3_bucket}/plain/documents/00000.parquet")) == 2


def test_one_name_for_two_inputs_is_a_mistake(tmp_path):
    item = crawl(tmp_path, archives.warc(*CONTENTS))
    with pytest.raises(UsageError, match="named by two inputs"):
        ExtractStage(str(tmp_path), ExtractParameters(), [item, item]).plan(Upstream())


def test_a_missing_model_keeps_the_plan_from_being_made(tmp_path):
    item = crawl(tmp_path, archives.warc(*CONTENTS))
    with pytest.raises(NotPlanned, match="no such language identification model"):
        ExtractStage(str(tmp_path), ExtractParameters(language_model=str(tmp_path / "no")), [item]).plan(Upstream())


def test_the_command(tmp_path, capsys):
    (tmp_path / "a.warc.gz").write_bytes(archives.warc(*CONTENTS))
    (tmp_path / "b.warc.gz").write_bytes(archives.warc(*CONTENTS)[:-20])
    assert main(["extract", str(tmp_path / "a.warc.gz"), "--out", str(tmp_path / "out")]) == 0
    assert "2 documents" in capsys.readouterr().out
    documents = pq.read_table(tmp_path / "out/documents/00000.parquet")
    assert documents["file"].to_pylist() == ["a.warc.gz"] * 2
    assert pq.read_metadata(tmp_path / "out/rejects/00000.parquet").num_rows == 3
    assert main(["extract", str(tmp_path), "--out", str(tmp_path / "out")]) in (0, 1)
    assert pq.read_metadata(tmp_path / "out/documents/00001.parquet").num_rows == 2
    assert main(["extract", str(tmp_path / "gone.warc.gz"), "--out", str(tmp_path / "out")]) == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ("folder", [], "none of its 1 files is called .warc"),
        ("a.warc.gz", ["--out", "{}/a.warc.gz"], "nothing can be written there"),
        ("a.warc.gz", ["--max-html-bytes", "0"], "0 is not a number above 0"),
        ("a.warc.gz", ["--language-model", "{}/a.warc.gz"], "not a fastText model"),
    ],
)
def test_what_the_command_refuses(tmp_path, capsys, inputs, options, message):
    (tmp_path / "a.warc.gz").write_bytes(archives.warc(*CONTENTS))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/readme.txt").write_text("no archive")
    filled = [option.format(tmp_path) for option in options]
    try:
        status = main(["extract", str(tmp_path / inputs), "--out", str(tmp_path / "out"), *filled])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out/documents").exists()


def test_every_malformed_file_gives_records_or_counted_rejects(tmp_path, headwater_data, capsys):
    malformed = headwater_data / "warc/malformed"
    files = sorted(path for path in malformed.rglob("*") if path.is_file())
    main(["extract", *map(str, files), "--out", str(tmp_path)])
    capsys.readouterr()
    assert len(files) == 87
    for index, path in enumerate(files):
        counts = read_metadata(str(tmp_path / f"documents/{index:05d}.parquet"))["counts"]
        rejects = read_table(str(tmp_path / f"rejects/{index:05d}.parquet")).to_pylist()
        assert counts["documents"] + sum(counts["rejects"].values()) == counts["responses"], path
        assert len(rejects) == sum(counts["rejects"].values()) + sum(counts["damage"].values()), path
        assert sum(counts["records"].values()) + sum(counts["damage"].values()) > 0, path
        assert all(0 <= row["offset"] <= path.stat().st_size and row["reason"] for row in rejects), path


@pytest.fixture(scope="module")
def three_dumps(headwater_data, tmp_path_factory):
    dumps = ["CC-MAIN-2017-43", "CC-MAIN-2018-43", "CC-MAIN-2020-40"]
    item = CrawlInput(crawl=str(headwater_data / "dumps"), dumps=dumps)
    return dumps, *run(tmp_path_factory.mktemp("dumps"), item)


def test_every_response_of_real_dumps_is_accounted_for(three_dumps, headwater_data):
    from backports import zstd

    dumps, stage, tasks, counts = three_dumps
    with zstd.open(headwater_data / "dumps/pages.jsonl.zst") as file:
        truth = [json.loads(line) for line in io.TextIOWrapper(file, "utf-8", newline="\n")]
    expected = {(row["crawl"], row["url"]): row for row in truth if row["crawl"] in dumps}
    seen: Counter[tuple[str, str]] = Counter()
    for task, count in zip(tasks, counts, strict=True):
        assert count["documents"] + sum(count["rejects"].values()) == count["responses"]
        assert count["damage"] == {}
        documents = read_table(stage.path(task.output)).to_pylist()
        rejects = read_table(stage.path(task.output.replace("documents", "rejects"))).to_pylist()
        assert [len(documents), len(rejects)] == [count["documents"], sum(count["rejects"].values())]
        for row in documents + rejects:
            page = expected[task.arguments["dump"], row["url"]]
            assert (page["warc"], page["offset"]) == (row["file"], row["offset"])
            seen[page["crawl"], page["url"]] += 1
        assert [row["offset"] for row in documents] == sorted(row["offset"] for row in documents)
    assert set(seen) == set(expected)
    assert set(seen.values()) == {1}


def test_equal_pages_have_equal_texts(three_dumps, headwater_data):
    from backports import zstd

    _, stage, tasks, _ = three_dumps
    with zstd.open(headwater_data / "dumps/pages.jsonl.zst") as file:
        truth = [json.loads(line) for line in io.TextIOWrapper(file, "utf-8", newline="\n")]
    bodies = {(row["crawl"], row["url"]): row["html_sha1"] for row in truth}
    texts: dict[str, str] = {}
    ids: dict[str, str] = {}
    for task in tasks:
        for row in read_table(stage.path(task.output), ["id", "url", "text"]).to_pylist():
            body = bodies[task.arguments["dump"], row["url"]]
            assert texts.setdefault(body, row["text"]) == row["text"]
            assert ids.setdefault(row["id"], row["url"]) == row["url"]
