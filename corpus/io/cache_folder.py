"""Where what is made once and wanted again is kept for this user: compiled kernels, downloads."""

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from corpus.errors import HeadwaterError


def first_writable(parents: Iterable[Path], name: str) -> Path:
    """The folder `name` in the first of `parents` in which it can be written, made where it is missing.

    Raises HeadwaterError that names them all where it is none.
    """
    tried = []
    for parent in parents:
        folder = parent / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            tried.append(f"{parent} ({error.strerror})")
        else:
            return folder
    raise HeadwaterError(
        f"no folder to keep {name} in can be written; tried {', '.join(tried) or 'none'}; name one in XDG_CACHE_HOME"
    )


def user_caches() -> Iterator[Path]:
    """Headwater's folder in the user's cache (`$XDG_CACHE_HOME` or `~/.cache`); for users without one, a temporary
    folder that is theirs alone."""
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    with suppress(RuntimeError):  # a user without a home
        yield (given if given.is_absolute() else Path.home() / ".cache") / "headwater"
    with suppress(OSError):
        private = Path(tempfile.gettempdir(), f"headwater-{os.getuid()}")
        private.mkdir(mode=0o700, exist_ok=True)
        found = private.lstat()  # what another user can write may hold code of theirs
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            yield private
