"""Shards in a real object store behind a network that fails: the same samples, or an error that names the place."""

import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import CorruptShard, HeadwaterError, UsageError
from corpus.io import filesystems, storage
from tests.token_folders import write_shards
from tests.train.data.fault_proxy import FaultProxy
from train.data import remote_shards
from train.data.dataset import TokenLoader
from train.data.prefetch import Fetch, Prefetcher
from train.data.stream import TokenStream, micro_batches

BLOCK = 1024  # bytes
SIZES = {"web": [[700, 3, 900], [2000], [1, 1, 1], [1500, 1500]], "code": [[4000], [], [777] * 4]}
REMOTE = {"sequence_length": 64, "seed": 3, "weights": {"web": 0.7, "code": 0.3}}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shards on the disk."""
    root, at, made = tmp_path_factory.mktemp("shards"), 0, {}
    for name, sizes in SIZES.items():
        shards: list[list[np.ndarray]] = []
        for lengths in sizes:
            shards.append([])
            for length in lengths:
                shards[-1].append(np.arange(at, at + length))
                at += length
        made[name] = write_shards(root / name, shards, vocab_size=1 << 20, block_bytes=BLOCK)
    return made


@pytest.fixture(scope="module")
def there(s3_bucket: str, here: dict[str, str]) -> dict[str, str]:
    """The same shards in the object store."""
    for name, folder in here.items():
        for info in storage.list_files(folder):
            storage.write_bytes(
                f"{s3_bucket}/remote/{name}/{info.path.rsplit('/', 1)[1]}", storage.read_bytes(info.path)
            )
    return {name: f"{s3_bucket}/remote/{name}" for name in here}


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy that all requests of this process go through."""
    proxy = FaultProxy(s3_server.removeprefix("http://"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # the retries that are tested are ours
    monkeypatch.setattr(remote_shards, "FIRST_PAUSE", 0.01)
    filesystems._s3.cache_clear()
    yield proxy
    proxy.close()
    filesystems._s3.cache_clear()


def remote(there: dict[str, str], folder: Path, **more: object) -> TokenStream:
    return TokenStream(there, **(REMOTE | {"cache_folder": str(folder)} | more))


def test_blocks_are_fetched_once_and_by_ranges(
    here: dict[str, str], there: dict[str, str], proxy: FaultProxy, tmp_path: Path
) -> None:
    local, stream = TokenStream(here, **REMOTE), remote(there, tmp_path)
    assert stream.fingerprint == local.fingerprint
    for first in range(0, 300, 10):
        assert np.array_equal(stream.batch(first, 10), local.batch(first, 10))
    assert np.array_equal(stream.documents(0, 300), local.documents(0, 300))
    stream.close()
    for path, count in proxy.requests.items():
        size = storage.size(here[path.split("/")[3]] + "/" + path.split("/")[4])
        assert count <= (-(-size // BLOCK) if path.endswith((".bin", ".idx")) else 1), path
    again = remote(there, tmp_path)  # another run on this host
    before = sum(count for path, count in proxy.requests.items() if "manifest" not in path)
    assert np.array_equal(again.batch(0, 300), local.batch(0, 300))
    again.close()
    assert sum(count for path, count in proxy.requests.items() if "manifest" not in path) == before


@pytest.mark.parametrize(
    ("fault", "packing"),
    [
        ("reset", "concatenate"),
        ("throttle", "concatenate"),
        ("slow", "concatenate"),
        ("truncate", "best_fit"),
        ("flip", "best_fit"),
    ],
)
def test_a_bad_network_changes_nothing(
    fault: str, packing: str, here: dict[str, str], there: dict[str, str], proxy: FaultProxy, tmp_path: Path
) -> None:

    def faults(path: str, number: int, attempt: int) -> str | None:
        """Every twelfth request is slow; of other faults, every second attempt at a block has one, the first too."""
        hit = number % 12 == 0 if fault == "slow" else attempt % 2 == 1
        return fault if hit and not path.endswith("json") else None

    proxy.fault = faults
    local, stream = TokenStream(here, **REMOTE, packing=packing), remote(there, tmp_path, packing=packing)
    assert np.array_equal(stream.batch(0, 200), local.batch(0, 200))
    assert np.array_equal(stream.documents(0, 200), local.documents(0, 200))
    stream.close()
    assert proxy.faults[fault] >= 3


def test_what_stays_broken_is_named(
    there: dict[str, str], proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_shards, "ATTEMPTS", 3)
    for fault, kind, message in (
        ("flip", CorruptShard, r"remote/\w+/0000\d\.bin is corrupt \(the block at byte [\d,]+ was read 3 times"),
        ("throttle", HeadwaterError, r"remote/\w+/0000\d\.bin: 3 requests for the block at byte [\d,]+ failed"),
    ):
        proxy.fault = lambda path, number, attempt, fault=fault: fault if path.endswith(".bin") else None
        stream = remote(there, tmp_path / fault)
        with pytest.raises(kind, match=message):
            stream.batch(0, 10)
        stream.close()
        proxy.fault = lambda path, number, attempt: None
        assert not list((tmp_path / fault).glob(".*.part"))
        assert stream.batch(0, 10).shape == (10, 65)  # it goes on where the network does


def test_a_torn_block_on_the_disk_is_fetched_again(
    here: dict[str, str], there: dict[str, str], proxy: FaultProxy, tmp_path: Path
) -> None:
    """A host that lost its power may have kept the name of a block and not its bytes."""
    assert remote(there, tmp_path).batch(0, 100).shape
    for number, path in enumerate(sorted(tmp_path.iterdir())):
        data = path.read_bytes()
        path.write_bytes((b"", data[:-1], bytes(len(data)))[number % 3])
    assert np.array_equal(remote(there, tmp_path).batch(0, 100), TokenStream(here, **REMOTE).batch(0, 100))


def test_the_cache_keeps_its_limit(here: dict[str, str], there: dict[str, str], s3_bucket: str, tmp_path: Path) -> None:
    limit = 12 * BLOCK  # of 60 blocks
    local, stream = TokenStream(here, **REMOTE), remote(there, tmp_path, cache_bytes=limit)
    for first in range(0, 400, 8):
        assert np.array_equal(stream.batch(first, 8), local.batch(first, 8))
        assert sum(info.size for info in storage.list_files(str(tmp_path))) <= limit
    stream.close()
    assert sum(info.size for info in storage.list_files(str(tmp_path))) > limit // 2


def test_every_byte_is_verified_where_that_is_asked_for(here: dict[str, str], s3_bucket: str, tmp_path: Path) -> None:
    for info in storage.list_files(here["code"]):
        storage.write_bytes(f"{s3_bucket}/verify/{info.path.rsplit('/', 1)[1]}", storage.read_bytes(info.path))
    options = {"sequence_length": 64, "cache_folder": str(tmp_path), "verify": True}
    TokenStream({"code": f"{s3_bucket}/verify"}, **options)
    data = storage.read_bytes(f"{s3_bucket}/verify/00002.bin")
    storage.write_bytes(f"{s3_bucket}/verify/00002.bin", data[:-1] + b"\1")
    with pytest.raises(CorruptShard, match=r"verify/00002\.bin"):
        TokenStream({"code": f"{s3_bucket}/verify"}, **options)


def test_shards_without_block_checksums_are_refused(s3_bucket: str, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "old", [[np.arange(9)]])
    manifest = storage.read_json(f"{folder}/manifest.json")
    del manifest["block_bytes"]
    for info in storage.list_files(folder):
        storage.write_bytes(f"{s3_bucket}/old/{info.path.rsplit('/', 1)[1]}", storage.read_bytes(info.path))
    storage.write_json(f"{s3_bucket}/old/manifest.json", manifest)
    with pytest.raises(UsageError, match="without block checksums"):
        TokenStream({"old": f"{s3_bucket}/old"}, sequence_length=4, cache_folder=str(tmp_path / "cache"))


def test_a_manifest_of_other_files_is_refused(s3_bucket: str, tmp_path: Path) -> None:
    """One that promises more tokens than there are would be read over the end of a block."""
    folder = write_shards(tmp_path / "cut", [[np.arange(9)]])
    manifest = storage.read_json(f"{folder}/manifest.json")
    manifest["shards"][0]["tokens"] = 12
    for info in storage.list_files(folder):
        storage.write_bytes(f"{s3_bucket}/cut/{info.path.rsplit('/', 1)[1]}", storage.read_bytes(info.path))
    storage.write_json(f"{s3_bucket}/cut/manifest.json", manifest)
    stream = TokenStream({"cut": f"{s3_bucket}/cut"}, sequence_length=4, cache_folder=str(tmp_path / "cache"))
    with pytest.raises(CorruptShard, match=r"00000\.blocks.*\.bin of 36 bytes.*not what the manifest says"):
        stream.batch(0, 3)
    stream.close()


def test_fetching_ahead_goes_on_after_a_failure() -> None:
    """Planning reads indexes where samples are packed, and may fail as any reading."""

    class Plan:
        def __init__(self) -> None:
            self.asked: list[int] = []

        def blocks(self, first: int, count: int) -> list[tuple[object, Fetch]]:
            if first == 0:
                raise HeadwaterError("the index is away")
            return [(first, lambda: self.asked.append(first))]

    plan = Plan()
    prefetcher = Prefetcher(plan.blocks, 1000)
    prefetcher.seek(0)
    deadline = time.monotonic() + 20
    while len(plan.asked) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    prefetcher.close()
    assert min(plan.asked) == 256


def test_workers_of_a_data_loader_share_the_cache(
    here: dict[str, str], there: dict[str, str], s3_bucket: str, tmp_path: Path
) -> None:
    """They are spawned, because the object store's client does not survive a fork."""
    loader = TokenLoader(remote(there, tmp_path), batch_size=8, num_workers=1)
    taken = [batch["tokens"].numpy() for batch in itertools.islice(loader, 12)]
    assert np.array_equal(np.concatenate(taken), TokenStream(here, **REMOTE).batch(0, 96))
    assert loader.state_dict()["samples"] == 96


RANK = """
import hashlib, json, sys
from train.data.stream import TokenStream, micro_batches
folders, options, cache, rank, steps = json.loads(sys.argv[1])
stream = TokenStream(folders, **options, cache_folder=cache)
for step in range(steps):
    for first, count in micro_batches(step * 8, 8, 4, rank=rank, ranks=2):
        print(first, hashlib.sha256(stream.batch(first, count).tobytes()).hexdigest(), flush=True)
"""


def test_ranks_share_a_cache_and_one_is_killed(
    here: dict[str, str], there: dict[str, str], proxy: FaultProxy, tmp_path: Path
) -> None:
    """Rank 1 dies by SIGKILL while it fetches; rank 0 goes on, and a new rank 1 finds no lock and no half block."""
    proxy.fault = lambda path, number, attempt: "slow" if path.endswith(".bin") and number % 3 == 0 else None
    local, steps, cache = TokenStream(here, **REMOTE), 30, tmp_path / "cache"

    def start(rank: int) -> subprocess.Popen[str]:
        given = json.dumps([there, REMOTE, str(cache), rank, steps])
        return subprocess.Popen([sys.executable, "-c", RANK, given], stdout=subprocess.PIPE, text=True)

    def expected(rank: int) -> list[str]:
        parts = (part for step in range(steps) for part in micro_batches(step * 8, 8, 4, rank=rank, ranks=2))
        return [f"{a} {hashlib.sha256(local.batch(a, n).tobytes()).hexdigest()}" for a, n in parts]

    first, second = start(0), start(1)
    deadline = time.monotonic() + 60
    while not list(cache.glob(".*.part")):  # blocks are being fetched
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(second.pid, signal.SIGKILL)
    second.communicate()
    again = start(1)
    assert first.communicate(timeout=120)[0].splitlines() == expected(0)
    assert again.communicate(timeout=120)[0].splitlines() == expected(1)
    fetched = {path: count for path, count in proxy.requests.items() if path.endswith(".bin")}
    kept = len([path for path in cache.iterdir() if path.stat().st_size == BLOCK])
    assert (
        kept <= sum(fetched.values()) <= kept + 30
    )  # once each, but what the dead rank had begun; the last of a shard is short
    assert not [name for name in os.listdir("/dev/shm") if "headwater" in name]
