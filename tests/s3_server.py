"""A real S3 server for tests: SeaweedFS, on loopback, in a folder of its own.

conftest.py has these fixtures for all tests.
"""

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

WEED = Path(sysconfig.get_path("scripts")) / "weed"
KEY, READER, SECRET = "voicesvc", "reader", "of the tests alone"
START_WITHIN_S = 60.0


def free_ports(n: int) -> list[int]:
    """Ports that nobody listens on, nor on those 10,000 above, which SeaweedFS uses for gRPC."""
    with ExitStack() as held:
        ports: list[int] = []
        for port in range(20_000 + os.getpid() % 8_000, 32_000):
            try:
                for one in (port, port + 10_000):
                    held.enter_context(socket.create_server(("127.0.0.1", one)))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == n:
                return ports
    raise RuntimeError("no free ports for SeaweedFS")


@contextmanager
def s3_server(folder: Path) -> Iterator[dict[str, str]]:
    """A server that keeps what it is given in `folder`; the environment to reach it with.

    `KEY` may do everything, also make a bucket by writing into it; `READER` may only read.
    """
    if not WEED.exists():
        raise RuntimeError("S3 is tested on SeaweedFS; install it with: uv sync --group dev")
    master, volume, filer, s3 = free_ports(4)
    identities = [
        {
            "name": key,
            "credentials": [{"accessKey": key, "secretKey": SECRET}],
            "actions": actions,
        }
        for key, actions in ((KEY, ["Admin"]), (READER, ["Read", "List"]))
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}), "utf-8")
    (folder / "data").mkdir()
    words = [
        *(WEED, "-logtostderr", "server", f"-dir={folder / 'data'}"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
        *(f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}"),
        *("-filer", "-s3", f"-s3.port={s3}", f"-s3.config={folder / 'identities.json'}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.localSocket={folder / 's3.sock'}"),
        *(f"-filer.localSocket={folder / 'filer.sock'}", "-volume.max=20"),
        "-master.volumeSizeLimitMB=64",
    ]
    log = folder / "log"
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out) as server:
        try:
            _await(server, f"http://127.0.0.1:{s3}/status", log)
            yield {
                "AWS_ACCESS_KEY_ID": KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
                "AWS_ALLOW_HTTP": "true",
            }
        finally:
            server.kill()


def _await(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    until = time.monotonic() + START_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if server.poll() is not None or time.monotonic() > until:
                print(log.read_text("utf-8", "replace")[-4000:], file=sys.stderr)
                raise RuntimeError(f"{WEED} does not start; its log is above") from None
            time.sleep(0.05)


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3")) as environment:
        yield environment


@pytest.fixture
def s3(s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment as a service has it that keeps its audio on the server."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
