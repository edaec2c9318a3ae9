"""The stores that paths lie in, told by the scheme of a path, as Arrow file systems.

S3 is Arrow's own client: endpoint and credentials come from the usual AWS_* variables. Google Cloud Storage (`gs://`),
Azure Blob Storage (`az://`) and the Hugging Face Hub (`hf://`) are opened through fsspec, by a package of an optional
extra. It finds credentials as its users know it. The web (`https://`) has no file system: a file of it can be read and
nothing else.
"""

import importlib
import os
from collections.abc import Callable
from errno import EIO
from functools import lru_cache, wraps
from typing import Any, NamedTuple

import pyarrow.fs as pafs

from corpus.errors import UsageError

_ATTEMPTS = "10"  # requests to S3 before an error is final; Arrow's default is 3


def _as_os_error(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method with the errors of a store's client as OSError, which callers expect and tell in one line."""

    @wraps(method)
    def told(self: Any, *arguments: Any) -> Any:
        try:
            return method(self, *arguments)
        except OSError:
            raise
        except Exception as error:
            raise OSError(EIO, f"the store answers with {type(error).__name__}: {first_line(error)}") from error

    return told


class _StoreHandler(pafs.FSSpecHandler):
    get_file_info = _as_os_error(pafs.FSSpecHandler.get_file_info)
    get_file_info_selector = _as_os_error(pafs.FSSpecHandler.get_file_info_selector)
    open_input_stream = _as_os_error(pafs.FSSpecHandler.open_input_stream)
    open_input_file = _as_os_error(pafs.FSSpecHandler.open_input_file)
    delete_file = _as_os_error(pafs.FSSpecHandler.delete_file)
    put_file = _as_os_error(lambda self, source, target: self.fs.put_file(source, target))


class Store(NamedTuple):
    """What serves a scheme through fsspec."""

    package: str  # that fsspec opens it with
    extra: str  # of headwater, which installs the package
    credentials: str  # what the package looks for, for messages
    writable: bool = True


STORES = {
    "gs": Store("gcsfs", "gcs", "GOOGLE_APPLICATION_CREDENTIALS or `gcloud auth application-default login`"),
    "az": Store("adlfs", "azure", "AZURE_STORAGE_ACCOUNT_NAME with its key, or AZURE_STORAGE_CONNECTION_STRING"),
    "hf": Store("huggingface_hub", "hf", "HF_TOKEN or `hf auth login`", writable=False),
}


def scheme(path: str) -> str:
    """`"file"`, `"s3"`, `"https"` (which stands for http too) or a key of STORES; raise UsageError for another one."""
    name, mark, _ = path.partition("://")
    if not mark:
        return "file"
    if name in ("http", "https"):
        return "https"
    if name == "s3" or name in STORES:
        return name
    known = ", ".join(f"{store}://" for store in ("s3", *STORES, "https"))
    raise UsageError(f"{path}: no storage for {name}://; use a local path or one of {known}")


def require_writable(path: str) -> None:
    """Raise UsageError for a path that can be read only."""
    kind = scheme(path)
    if kind == "https" or (kind in STORES and not STORES[kind].writable):
        raise UsageError(f"{path}: {kind}:// can be read but not written; give a folder, s3://, gs:// or az://")


def credentials(path: str) -> str:
    """What a store is reached with, for messages."""
    kind = scheme(path)
    return STORES[kind].credentials if kind in STORES else "AWS_ENDPOINT_URL and credentials"


def filesystem(path: str) -> tuple[pafs.FileSystem, str]:
    """The Arrow file system of a path and the path inside it; raise UsageError where its store cannot be opened."""
    kind = scheme(path)
    inner = path.removeprefix(f"{kind}://")
    if kind == "file":
        return pafs.LocalFileSystem(), path
    if kind == "s3":
        return _s3(os.getpid()), inner.rstrip("/")
    return pafs.PyFileSystem(_StoreHandler(client(path))), inner.rstrip("/")


def upload(source: str, path: str) -> None:
    """Send a local file to a store as one upload; raise OSError where that fails, and nothing is there then."""
    fs, inner = filesystem(path)
    if isinstance(fs, pafs.PyFileSystem):  # Arrow's stream would end as a completed upload after an error, too
        fs.handler.put_file(source, inner)
    else:
        pafs.copy_files(source, inner, source_filesystem=pafs.LocalFileSystem(), destination_filesystem=fs)


def first_line(error: BaseException) -> str:
    """What an error says, on one line."""
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]


def client(path: str) -> Any:
    """The fsspec file system of a path in one of STORES; raise UsageError where it cannot be opened."""
    kind = scheme(path)
    if kind not in STORES:
        raise UsageError(f"{path}: {kind}:// has no file system; a file there can be read and nothing else")
    store = STORES[kind]
    try:
        importlib.import_module(store.package)
        return _client(kind, os.getpid())
    except ImportError as error:
        found = "" if error.name == store.package else f", which cannot be imported ({error})"
        mend = f"pip install 'headwater[{store.extra}]'"
        raise UsageError(f"{path}: {kind}:// needs {store.package}{found}; run: {mend}") from None
    except Exception as error:  # every package has errors of its own for credentials that are missing or wrong
        raise UsageError(
            f"{path}: the store cannot be opened ({first_line(error)}); check {store.credentials}"
        ) from None


@lru_cache(maxsize=8)
def _client(kind: str, _process: int) -> Any:
    import fsspec

    # Listings are not kept: other processes write, and what is done is told by a listing.
    return fsspec.filesystem(kind, use_listings_cache=False, skip_instance_cache=True)


@lru_cache(maxsize=8)
def _s3(_process: int) -> pafs.S3FileSystem:
    retries = pafs.AwsStandardS3RetryStrategy(max_attempts=int(os.environ.get("AWS_MAX_ATTEMPTS", _ATTEMPTS)))
    return pafs.S3FileSystem(
        endpoint_override=os.environ.get("AWS_ENDPOINT_URL") or None,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        anonymous=os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes"),
        retry_strategy=retries,
    )
