"""A dump's files, below any kind of root."""

import functools
import gzip
import http.server
import threading

import pytest

from corpus.crawl.dumps import check_dump, dump_files
from corpus.errors import HeadwaterError, UsageError

DUMP = "CC-MAIN-2023-23"
PATHS = [f"crawl-data/{DUMP}/segments/1685224643388.45/warc/CC-MAIN-{n:05d}.warc.gz" for n in range(5)]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "crawl-data" / DUMP
    folder.mkdir(parents=True)
    (folder / "warc.paths.gz").write_bytes(gzip.compress("".join(path + "\n" for path in PATHS).encode()))
    return tmp_path


def test_files_of_a_folder(root):
    assert dump_files(str(root), DUMP, "warc") == [f"{root}/{path}" for path in PATHS]
    assert dump_files(f"{root}/", DUMP, "warc", 2) == [f"{root}/{path}" for path in PATHS[:2]]


def test_files_of_a_web_server(root):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert dump_files(address, DUMP, "warc", 3) == [f"{address}/{path}" for path in PATHS[:3]]
        with pytest.raises(HeadwaterError, match=r"wet.paths.gz: cannot read the list"):
            dump_files(address, DUMP, "wet")
    finally:
        server.shutdown()
        server.server_close()


def test_a_missing_list_says_where_it_looked(root):
    with pytest.raises(HeadwaterError, match=r"wet.paths.gz: cannot read the list .* does CC-MAIN-2023-23 have WET"):
        dump_files(str(root), DUMP, "wet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b""), "is empty"),
        (gzip.compress(b"crawl-data/x\n")[:-9], "cut short"),
        (b"\x1f\x8bnot gzip", "not a gzip file"),
    ],
)
def test_a_bad_list(root, content, message):
    (root / "crawl-data" / DUMP / "warc.paths.gz").write_bytes(content)
    with pytest.raises(HeadwaterError, match=message):
        dump_files(str(root), DUMP, "warc")


@pytest.mark.parametrize("name", ["CC-MAIN-2013-20", "CC-MAIN-2024-53", "CC-MAIN-2009-2010", "CC-MAIN-2012"])
def test_names_of_dumps(name):
    assert check_dump(name) == name


@pytest.mark.parametrize(
    "name", ["2023-23", "CC-MAIN-2023", "CC-MAIN-2023-77", "CC-MAIN-2023-23/", "../x", "cc-main-2023-23"]
)
def test_what_is_no_name_of_a_dump(name):
    with pytest.raises(UsageError, match="not the name of a dump"):
        check_dump(name)


def test_real_lists(headwater_data):
    files = dump_files(str(headwater_data / "dumps"), "CC-MAIN-2018-43", "wet")
    assert len(files) == 4
    assert all(file.endswith(".warc.wet.gz") for file in files)
