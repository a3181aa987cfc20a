"""HTTP servers on free loopback ports, voicesvc itself among them, and how they are asked."""

import contextlib
import http.client
import json
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from common import ROOT, SETTINGS, BenchmarkFailed, Child, Heard, listen

START_LIMIT_S = 300.0  # the first start may import the voice


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_until_ready(child: Child, port: int, path: str) -> None:
    """Until GET `path` answers 200; raises BenchmarkFailed if the child ends or takes too long."""
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s:
        if child.process.poll() is not None:
            raise BenchmarkFailed(f"it ended with {child.process.returncode}: {child.tail()}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        connection.close()
        time.sleep(0.1)
    raise BenchmarkFailed(f"not ready after {START_LIMIT_S:.0f} s: {child.tail()}")


def post(port: int, path: str, body: Mapping[str, Any]) -> Iterator[bytes]:
    """The answer's bytes as they arrive; closing the iterator closes the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise BenchmarkFailed(f"HTTP {response.status}: {response.read(2000)!r}")
        while piece := response.read1(65536):
            yield piece
    finally:
        connection.close()


class Service:
    """voicesvc itself, started as a user starts it, on a free port; `settings` are VOICESVC_*.

    `root` is the checkout that it is started from.
    """

    name = "voicesvc"

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        rate_hz: int = 22050,
        root: Path = ROOT,
    ) -> None:
        self.rate_hz, self.port, self.version = rate_hz, free_port(), metadata.version("voicesvc")
        command = [sys.executable, "-m", "voicesvc", "serve", "--host", "127.0.0.1"]
        given = {**SETTINGS, **(settings or {})}
        self.child = Child([*command, "--port", str(self.port)], given, root=root)
        with contextlib.ExitStack() as unless_ready:
            unless_ready.callback(self.close)
            wait_until_ready(self.child, self.port, "/readyz")
            unless_ready.pop_all()
        told = re.search(r"device: (\S+), decoder torch\.(\w+)", self.child.tail())
        device, precision = told.groups() if told else ("unknown", "unknown")
        self.computes = {"device": device, "precision": precision}

    def stream(self, text: str, seed: int, encoding: str = "pcm_s16le") -> Iterator[bytes]:
        """Raw audio as it arrives."""
        body = {"actor": "joe", "text": text, "format": encoding, "seed": seed}
        return post(self.port, "/v1/speech", body)

    def speak(self, text: str, seed: int) -> Heard:
        """The whole text over HTTP as 16-bit samples."""
        sent_s = time.perf_counter()
        return listen(self.stream(text, seed), sent_s, self.rate_hz, "<i2")

    def close(self) -> None:
        """Ends the server."""
        self.child.close()
