"""The host's cache of blocks: fetched once, within its limit, and never taken from under a reader."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from corpus.errors import HeadwaterError
from train.data.block_cache import BlockCache


def always(_: object) -> bool:
    return True


def test_threads_fetch_a_block_once(tmp_path: Path) -> None:
    cache, fetched = BlockCache(str(tmp_path), 1 << 20), []

    def fetch() -> bytes:
        fetched.append(1)
        time.sleep(0.05)
        return b"x" * 100

    threads = [threading.Thread(target=cache.ensure, args=("a", fetch)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_oldest_go_first_and_mapped_blocks_stay_readable(tmp_path: Path) -> None:
    cache = BlockCache(str(tmp_path), 1000)
    mapped = cache.map("0", lambda: b"0" * 100, always)
    for number in range(1, 30):
        cache.ensure(str(number), lambda: b"x" * 100)
        time.sleep(0.002)
        cache.ensure("5", lambda: b"5" * 100)  # used again and again
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert {"29", "28", "5"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "0").exists()
    assert mapped[:] == b"0" * 100


def test_what_is_not_intact_is_fetched_again(tmp_path: Path) -> None:
    cache = BlockCache(str(tmp_path), 1000)
    (tmp_path / "a").write_bytes(b"torn")
    assert cache.map("a", lambda: b"whole", lambda data: data[:] == b"whole")[:] == b"whole"


def test_a_failed_fetch_leaves_nothing_and_is_not_remembered(tmp_path: Path) -> None:
    cache = BlockCache(str(tmp_path), 1000)

    def fail() -> bytes:
        raise HeadwaterError("away")

    with pytest.raises(HeadwaterError, match="away"):
        cache.ensure("a", fail)
    assert not list(tmp_path.iterdir())
    cache.ensure("a", lambda: b"there")
    assert (tmp_path / "a").read_bytes() == b"there"


DYING = """
import os, signal, sys
from train.data.block_cache import BlockCache
def fetch():
    print("fetching", flush=True)
    signal.pause()
BlockCache(sys.argv[1], 1000).ensure("a", fetch)
"""


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", DYING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "fetching\n"
    done = threading.Event()
    waiting = threading.Thread(
        target=lambda: (BlockCache(str(tmp_path), 1000).ensure("a", lambda: b"mine"), done.set()), daemon=True
    )
    waiting.start()
    assert not done.wait(0.2)  # it waits for the one that fetches
    process.kill()
    process.communicate()
    assert done.wait(10)
    assert (tmp_path / "a").read_bytes() == b"mine"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_unfinished_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".a.part", tmp_path / ".b.part"
    old.write_bytes(b"")
    new.write_bytes(b"")
    os.utime(old, (0, 0))
    BlockCache(str(tmp_path), 1000).sweep()
    assert [path.name for path in tmp_path.iterdir()] == [".b.part"]


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    cache = BlockCache(str(tmp_path / "x"), 1000)
    (tmp_path / "x").write_text("a file")
    with pytest.raises(HeadwaterError, match="the cache cannot be written"):
        cache.ensure("a", lambda: b"")
