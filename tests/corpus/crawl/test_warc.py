"""Archive files, whole and damaged: every record is found, and every other byte accounted for."""

import io
import resource
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.crawl.records import Damage, Record
from corpus.crawl.warc import read_records
from corpus.crawl.warc_recovery import recover
from tests.corpus.crawl import archives
from tests.corpus.crawl.archives import http, member, page, record

MEGABYTE = 1 << 20


def read(data: bytes, **limits: int) -> tuple[list[Record], list[Damage]]:
    items = list(read_records(io.BytesIO(data), **limits))
    return [item for item in items if isinstance(item, Record)], [item for item in items if isinstance(item, Damage)]


FOUR = [http(page(f"Page {index}", "word " * 50 * index)) for index in range(1, 5)]
OFFSETS = [
    sum(len(member(record(c, uri=f"https://www.example.org/{i}"))) for i, c in enumerate(FOUR[:n])) for n in range(4)
]


def test_records_of_a_gzip_file():
    records, damage = read(archives.warc(*FOUR))
    assert not damage
    assert [found.content for found in records] == FOUR
    assert [found.offset for found in records] == OFFSETS
    assert records[1].uri == "https://www.example.org/1"
    assert records[1].date == "2023-05-28T12:34:56Z"
    assert {found.type for found in records} == {"response"}


def test_a_plain_file_and_one_with_several_records_in_a_member():
    whole = b"".join(record(content) for content in FOUR)
    for data in (
        whole,
        member(whole),
        member(record(FOUR[0])) + member(record(FOUR[1]) + record(FOUR[2])) + member(record(FOUR[3])),
    ):
        records, damage = read(data)
        assert ([found.content for found in records], damage) == (FOUR, [])
        offsets = [found.offset for found in records]
        assert offsets == sorted(offsets)
        assert max(offsets) < len(data)


def test_other_types_are_named_but_not_read():
    data = member(record(b"a: b\r\n", "warcinfo")) + member(record(b"GET /", "request")) + member(record(FOUR[0]))
    data += member(record(b"HTTP/1.1 200 OK\r\n\r\n", "revisit")) + member(record("文本".encode(), "conversion"))
    records, damage = read(data)
    assert [found.type for found in records] == ["warcinfo", "request", "response", "revisit", "conversion"]
    assert [bool(found.content) for found in records] == [False, False, True, False, True]
    assert not damage


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_cut_anywhere_gives_all_that_precedes_the_cut(packed):
    parts = [record(content, uri=f"https://www.example.org/{index}") for index, content in enumerate(FOUR)]
    parts = [member(part) for part in parts] if packed else parts
    data = b"".join(parts)
    ends = [sum(map(len, parts[: count + 1])) for count in range(4)]
    for cut in range(1, len(data), 7):
        records, damage = read(data[:cut])
        whole = [found for found in records if not found.problem]
        expected = sum(end <= cut for end in ends)
        trailing = 24 if packed else 4  # after the content: line ends, the end of the block, the checksum
        assert len(whole) in (expected, expected + 1 if cut >= ends[min(expected, 3)] - trailing else expected), cut
        assert [found.content for found in whole] == FOUR[: len(whole)]
        if cut not in ends and len(whole) == expected:
            reports = [found.problem for found in records if found.problem] + [found.reason for found in damage]
            assert len(reports) == 1, (cut, records, damage)
            assert reports[0] in ("truncated", "bad-record")
            offset = [found.offset for found in records if found.problem] + [found.offset for found in damage]
            assert offset == [([0, *ends])[expected]]


@pytest.mark.parametrize(
    "junk",
    [
        b"junk that is no gzip member, with \x1f\x8b inside",
        member(record(FOUR[0]))[:-30],
        member(b"A member that is no record."),
        member(record(FOUR[0], length=10)),
        member(record(FOUR[0], length=len(FOUR[0]) - 1)),
        member(record(FOUR[0], length="abc")),
        member(record(FOUR[0], length=-5)),
        member(b"WARC/1.0\r\nWARC-Type: response\r\n\r\n"),
        b"\0" * 5000,
    ],
)
def test_what_follows_damage_is_found_again(junk):
    good = [member(record(content)) for content in FOUR]
    records, damage = read(good[0] + good[1] + junk + good[2] + good[3])
    found = [item.content for item in records if not item.problem]
    assert [content for content in found if content in FOUR[:2]][:2] == FOUR[:2]
    assert found[-2:] == FOUR[2:]
    told = damage + [item for item in records if item.problem]
    assert told
    assert told[0].offset in (len(good[0] + good[1]), len(good[0] + good[1] + junk))


def test_plain_files_are_taken_up_at_the_next_record():
    good = [record(content) for content in FOUR]
    for junk in (b"no record at all\r\n", record(FOUR[0], length=10), b"\0" * 70_000 + b"\r\n"):
        records, damage = read(good[0] + junk + good[1] + good[2] + good[3])
        assert [item.content for item in records][-3:] == FOUR[1:]
        assert damage


def test_a_record_that_goes_on_in_the_next_gzip_member():
    head, body = record(FOUR[0])[:400], record(FOUR[0])[400:]
    records, damage = read(member(head) + member(body) + b"junk" + member(record(FOUR[1])))
    assert [item.content for item in records] == FOUR[:2]
    assert [item.reason for item in damage] == ["corrupt"]


def test_line_ends_without_carriage_return():
    lf = (
        record(b"").replace(b"Content-Length: 0", b"Content-Length: 5").replace(b"\r\n", b"\n").rstrip()
        + b"\n\nhello\n\n"
    )
    records, damage = read(lf + lf)
    assert ([item.content for item in records], damage) == ([b"hello", b"hello"], [])


def test_arc_files():
    line = b"filedesc://test.arc 0.0.0.0 20140102030405 text/plain 20\n1 0 Tests\nURL etc.\n\n\n"
    body = http(page())
    entry = b"http://example.com/a b 192.0.2.1 20140102030405 text/html %d\n" % len(body) + body + b"\n"
    for data in (line + entry + entry, member(line) + member(entry) + member(entry)):
        records, damage = read(data)
        assert [item.type for item in records] == ["warcinfo", "response", "response"]
        assert records[1].content == body
        assert (records[1].uri, records[1].date) == ("http://example.com/a b", "2014-01-02T03:04:05Z")
        assert not damage


def test_lz4_and_zstd_containers():
    from backports import zstd
    from fastwarc.stream_io import Lz4Writer

    parts = [record(content) for content in FOUR]
    packed = io.BytesIO()
    for part in parts:
        writer = Lz4Writer(packed)
        writer.write(part)
        writer.finish()
        del writer  # which writes what it still holds
    for data in (packed.getvalue(), b"".join(zstd.compress(part) for part in parts)):
        records, damage = read(data)
        assert ([item.content for item in records], damage) == (FOUR, [])
        records, damage = read(data[: len(data) - 40])
        assert [item.content for item in records if not item.problem] == FOUR[:3]
        assert [item.problem for item in records if item.problem] + [item.reason for item in damage]


def frames(parts: list[bytes]) -> bytes:
    """An LZ4 frame a part."""
    import lz4.frame

    return b"".join(lz4.frame.compress(part, content_checksum=True) for part in parts)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


@pytest.mark.parametrize("pack", [lambda parts: b"".join(map(member, parts)), frames], ids=["gzip", "lz4"])
def test_a_flipped_bit_costs_the_record_it_is_in(pack):
    pages = [http(page(str(number), " ".join(f"{number}:{word * word}" for word in range(900)))) for number in range(6)]
    parts = [record(content) for content in pages]
    data = pack(parts)
    ends = [len(pack(parts[: count + 1])) for count in range(6)]
    for at in range(40, len(data), 97):
        records, damage = read(flipped(data, at))
        hit = sum(end <= at for end in ends)
        whole = [item.content for item in records if not item.problem]
        if whole == pages:  # a bit that means nothing, such as one of the time in a header
            continue
        assert whole == pages[:hit] + pages[hit + 1 :], at
        told = [item.offset for item in records if item.problem] + [item.offset for item in damage]
        assert ([0, *ends])[hit] in told, at


def test_in_a_member_of_many_records_all_that_precedes_the_error_is_read():
    parts = [record(http(page(str(number), f"{number:x} " * number))) for number in range(200)]
    packed = member(b"".join(parts))
    ends = [sum(map(len, parts[: count + 1])) for count in range(200)]
    for at in range(100, len(packed) - 8, 171):
        records, damage = read(packed[:at] + b"\xff" * 40 + packed[at + 40 :])
        whole = len([item for item in records if not item.problem])
        came_out = len(zlib.decompressobj(31).decompress(packed[:at]))
        assert whole >= sum(end <= came_out for end in ends) - 1, at
        assert [item for item in records if item.problem] or damage


def test_a_real_lz4_file_cut_anywhere_tells_so(headwater_data):
    data = (headwater_data / "warc/malformed/warcfile.warc.lz4").read_bytes()
    every = read(data)[0]
    offsets = {item.offset for item in every} | {len(data)}
    for cut in range(700, len(data), 4093):
        records, damage = read(data[:cut])
        whole = [(item.offset, item.content) for item in records if not item.problem]
        assert whole == [(item.offset, item.content) for item in every][: len(whole)]
        assert len(whole) >= sum(offset < cut for offset in offsets) - 1
        assert cut in offsets or damage or records[-1].problem


def test_an_empty_file_is_reported():
    for data in (b"", b"\r\n\r\n", member(b"")):
        assert read(data) == ([], [Damage(0, "empty-file", "the file holds nothing")])


def test_large_records_are_passed_over():
    data = member(record(FOUR[0])) + member(record(b"x" * 3 * MEGABYTE)) + member(record(FOUR[1]))
    records, damage = read(data, max_record=MEGABYTE)
    assert [item.problem for item in records] == ["", "too-large", ""]
    assert not damage
    records, damage = read(member(record(FOUR[0])) + b"junk" + data[OFFSETS[1] :], max_record=MEGABYTE)
    assert [item.problem for item in records] == ["", "too-large", ""]


def endless(pattern: bytes, size: int, head: bytes = b"") -> bytes:
    """A gzip member of a head and a pattern repeated to that size, made without holding it."""
    packer = zlib.compressobj(1, wbits=31)
    block = pattern * (MEGABYTE // len(pattern))
    return packer.compress(head) + b"".join(packer.compress(block) for _ in range(size // MEGABYTE)) + packer.flush()


GIGABYTE = 1 << 30


@pytest.mark.parametrize(
    ("pattern", "size", "head"),
    [
        pytest.param(b"\0", GIGABYTE, b"", id="zeros"),
        pytest.param(b"\0", GIGABYTE, record(b"", length=GIGABYTE)[:-4], id="a record of zeros"),
        pytest.param(b"\0", GIGABYTE // 8, record(b"", length=10)[:-4], id="a record that goes on"),
        pytest.param(b"\0", GIGABYTE // 8, record(b"", length=1 << 60)[:-4], id="an endless record"),
        pytest.param(b"X: a\r\n", GIGABYTE // 8, b"WARC/1.0\r\n", id="an endless header"),
        pytest.param(b"a", GIGABYTE // 8, b"WARC/1.0\r\nX: ", id="an endless header line"),
        pytest.param(b"\r\n", GIGABYTE // 8, b"", id="nothing but line ends"),
    ],
)
def test_bombs_cost_bounded_time_and_memory(pattern, size, head):
    data = member(record(FOUR[0])) + endless(pattern, size, head) + member(record(FOUR[1])) + member(record(FOUR[2]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    records, _ = read(data)
    assert time.process_time() - start < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert [item.content for item in records if not item.problem and item.content in FOUR] == FOUR[:3]


def test_a_member_past_the_limit_is_given_up(monkeypatch):
    monkeypatch.setattr("corpus.crawl.warc_recovery.MAX_PASSED", 8 * MEGABYTE)
    data = member(record(FOUR[0])) + endless(b"\0", 64 * MEGABYTE) + member(record(FOUR[1]))
    records, damage = read(data)
    assert [item.content for item in records] == FOUR[:2]
    assert "too-large" in [item.reason for item in damage]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000), st.integers(0, 2), st.data())
def test_noise_never_raises(noise, mode, data):
    at = data.draw(st.integers(0, len(SOME)))
    mixed = [noise, SOME[:at] + noise + SOME[at:], member(noise)][mode]
    list(read_records(io.BytesIO(mixed)))


SOME = archives.warc(*FOUR)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=8), st.sampled_from(["gzip", "plain", "one"])
)
def test_the_fast_and_the_careful_reader_agree(contents, form):
    parts = [record(content, uri=f"https://e.org/{index}") for index, content in enumerate(contents)]
    data = b"".join(member(part) for part in parts) if form == "gzip" else b"".join(parts)
    data = member(data) if form == "one" else data
    careful = list(recover(io.BytesIO(data), 0, 0, 64 * MEGABYTE))
    assert list(read_records(io.BytesIO(data))) == careful
    assert [item.content for item in careful] == contents


def test_the_readers_agree_on_real_files(headwater_data):
    for path in sorted((headwater_data / "warc").rglob("*.warc.gz")) + sorted((headwater_data / "warc").rglob("*.lz4")):
        data = path.read_bytes()
        fast = list(read_records(io.BytesIO(data)))
        careful = list(recover(io.BytesIO(data), 0, 0, 64 * MEGABYTE))
        simple = [(item.type, item.uri, item.content) for item in fast if isinstance(item, Record)]
        assert simple == [(item.type, item.uri, item.content) for item in careful if isinstance(item, Record)], path
