"""Getting pinned source distributions through pip, without ever running them.

`pip download` prepares the metadata of an old source distribution by executing its setup.py, which is slow, breaks
under newer Pythons, and runs foreign code. So pip is asked only for what it knows best: which index is configured,
how to authenticate, and where the file lies. This module runs pip's own finder and session in a child process, and
accepts a file only if its sha256 is the pinned one. Files are kept in a cache."""

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from corpus.errors import HeadwaterError
from corpus.io.cache_folder import first_writable, user_caches
from corpus.io.storage import atomic_output
from pipelines.sample.packages import Release

SUFFIXES = (".tar.gz", ".tar.bz2", ".zip")

# Runs in a child, because pip asks not to be imported into other programs. Arguments: folder, name==version==sha256...
_DOWNLOADER = """
import os, sys
from pip._internal.commands import create_command
folder, wanted = sys.argv[1], [item.split("==") for item in sys.argv[2:]]
command = create_command("download")
options, _ = command.parse_args(["--no-binary", ":all:", "--no-deps", "--quiet", "x"])
with command.main_context():
    session = command.get_default_session(options)
    finder = command._build_package_finder(options=options, session=session)
    for name, version, sha256 in wanted:
        found = [c for c in finder.find_all_candidates(name) if str(c.version) == version and not c.link.is_wheel]
        if not found:
            sys.exit(f"{name} {version}: no source distribution on the package index that pip is configured to use")
        link = next((c.link for c in found if c.link.hash == sha256), found[0].link)
        response = session.get(link.url_without_fragment)
        if response.status_code != 200:
            sys.exit(f"{name} {version}: the package index answered {response.status_code}")
        beside = os.path.join(folder, f".{name}-{version}.tmp")
        with open(beside, "wb") as file:
            file.write(response.content)
        print(name, version, beside, link.filename, sep="\\t", flush=True)
"""


def default_cache() -> Path:
    """Where downloads are kept: the first of `user_caches` that can be written."""
    return first_writable(user_caches(), "sample")


def fetch(releases: list[Release], cache: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """Return the local archive of each release by `Release.name`, downloading those that the cache lacks.

    Raises HeadwaterError where pip is missing, the index cannot be reached or lacks a release, or a file is not the
    pinned one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    archives = {item.name: path for item in releases if (path := _cached(item, cache))}
    missing = [item for item in releases if item.name not in archives]
    if missing:
        say(f"downloading {len(missing)} source distributions through pip into {cache}")
    pinned = {(item.package, item.version): item for item in missing}
    for package, version, beside, filename in _download(missing, cache):
        release, data = pinned[package, version], Path(beside).read_bytes()
        Path(beside).unlink()
        if hashlib.sha256(data).hexdigest() != release.sha256:
            raise HeadwaterError(
                f"{filename}: its sha256 is not the pinned {release.sha256}; the package index serves another file"
            )
        suffix = next((suffix for suffix in SUFFIXES if filename.endswith(suffix)), "")
        path = cache / f"{release.name}{suffix}"
        with atomic_output(str(path)) as file:
            file.write(data)
        archives[release.name] = path
        say(f"  {filename}, {len(data) / 1e6:.1f} MB")
    return archives


def _cached(release: Release, cache: Path) -> Path | None:
    for suffix in SUFFIXES:
        path = cache / f"{release.name}{suffix}"
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == release.sha256:
            return path
    return None


def _download(missing: list[Release], folder: Path) -> Iterator[list[str]]:
    if not missing:
        return
    if importlib.util.find_spec("pip") is None:
        raise HeadwaterError(
            f"the sample is downloaded through pip, which {sys.executable} lacks; run: {sys.executable} -m ensurepip"
        )
    wanted = [f"{item.package}=={item.version}=={item.sha256}" for item in missing]
    command = [sys.executable, "-c", _DOWNLOADER, str(folder), *wanted]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        for line in child.stdout:
            if line.count("\t") == 3:
                yield line.rstrip("\n").split("\t")
        complaint = child.stderr.read().strip()
    if child.returncode:
        last = complaint.splitlines()[-1] if complaint else f"exit status {child.returncode}"
        raise HeadwaterError(
            f"the sample's packages could not be downloaded: {last}\nThey are needed once, "
            f"then the cache {folder} serves them: check the network and `pip config list`, then run again"
        )
