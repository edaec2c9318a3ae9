"""Where compiled kernels are kept: in a folder named by the content of every file that holds a kernel.

numba keys its cache by the content of the one file that a kernel is in, so a kernel that calls another file's kernel
would go on running the old one after that file changed: `git pull` could leave measurements made by yesterday's code.
Any change to a kernel's file, in any room, therefore begins a new folder. NUMBA_CACHE_DIR, if set, is left alone.
"""

import hashlib
import os
import sys
from pathlib import Path

ROOMS = ("corpus", "tokenizer", "train")
VARIABLE = "NUMBA_CACHE_DIR"


def content_of_kernels(house: Path) -> str:
    """16 hexadecimal digits that stand for the sources of all kernels in the rooms below `house`."""
    digest = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (house / room).rglob("*.py")):
        source = path.read_bytes()
        if b"numba" in source or b"kernels.jit" in source:
            digest.update(f"{path.relative_to(house).as_posix()}\0{len(source)}\0".encode() + source)
    return digest.hexdigest()[:16]


def keep_kernels_by_content() -> None:
    """Point numba, imported already or not, and the processes started from here, to the folder of these sources."""
    if os.environ.get(VARIABLE):
        return
    package = Path(__file__).resolve().parents[1]
    inside = package / "__pycache__"
    writable = os.access(inside if inside.is_dir() else package, os.W_OK)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = (inside if writable else cache / "headwater") / f"kernels-{content_of_kernels(package.parent)}"
    os.environ[VARIABLE] = str(folder)
    config = getattr(sys.modules.get("numba"), "config", None)
    if config is not None:
        config.CACHE_DIR = str(folder)
