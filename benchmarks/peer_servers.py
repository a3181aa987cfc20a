"""Servers that others offer, on the demonstration voice, each in a process of its own.

- piper-tts: its HTTP server (GPL-3), one thread for each line.
- ovos: `ovos-tts-server` with its Piper plugin (Apache-2.0), asked as OpenAI's clients ask. It
  calls the program `espeak-ng` for every line (Debian: `apt-get install espeak-ng`).
- tts-server: coqui-tts's own, on a checkpoint made of the pack; it reads text with gruut, without
  the marks of a sentence's beginning and end that the voice has learned, and speaks one line at a
  time. So it says how fast that server is, not how well it speaks.

All answer with whole WAVs. Programs that are no dependencies of ours live in environments of their
own; see `peers`.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import peers
from common import BenchmarkFailed, Child
from servers import free_port, wait_until_ready

WAV_HEADER_BYTES = 44
_WORKER = Path(__file__).with_name("worker.py")


class Server(Protocol):
    """One that is running."""

    port: int
    version: str

    def body(self, text: str, seed: int) -> tuple[str, dict[str, Any], int]:
        """Path, JSON and header bytes of a request."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class _Running:
    """A server that was started by a command and answers `GET ready` once it can speak."""

    def __init__(
        self, command: list[str], env: Mapping[str, str], port: int, ready: str, version: str
    ) -> None:
        self.port, self.version = port, version
        self.child = Child(command, env)
        with contextlib.ExitStack() as unless_ready:
            unless_ready.callback(self.close)
            wait_until_ready(self.child, port, ready)
            unless_ready.pop_all()

    def close(self) -> None:
        """End it."""
        self.child.close()


class Piper(peers.PiperServer):
    """piper-tts's HTTP server."""

    def body(self, text: str, _: int) -> tuple[str, dict[str, Any], int]:
        """It has no seed."""
        return "/synthesize", {"text": text}, WAV_HEADER_BYTES


class Ovos(_Running):
    """ovos-tts-server. It keeps what it spoke for who asks again; that is turned off."""

    def __init__(self) -> None:
        if shutil.which("espeak-ng") is None:
            raise BenchmarkFailed("ovos needs the program espeak-ng on PATH")
        python, model = peers.environment("ovos"), peers.voice_copy("ovos")
        home, port = model.parent / "config", free_port()
        engine = "ovos-tts-plugin-piper"
        voice = {"model": str(model), "voice": "joe", "lang": "en-US", "enable_cache": False}
        (home / "mycroft").mkdir(parents=True, exist_ok=True)
        settings = {"lang": "en-US", "tts": {"module": engine, engine: voice}}
        (home / "mycroft" / "mycroft.conf").write_text(json.dumps(settings))
        command = [str(python), str(_WORKER), "ovos", engine, str(port)]
        dirs = {f"XDG_{of}_HOME": str(home) for of in ("CONFIG", "DATA", "CACHE")}
        version = peers.ENVIRONMENTS["ovos"][0].partition("==")[2]
        super().__init__(command, dirs, port, "/status", version)

    def body(self, text: str, _: int) -> tuple[str, dict[str, Any], int]:
        """As OpenAI's clients ask."""
        fields = {"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"}
        return "/openai/v1/audio/speech", fields, WAV_HEADER_BYTES


class Coqui(_Running):
    """coqui-tts's tts-server; Flask, which it needs, comes from an environment of its own."""

    def __init__(self) -> None:
        flask = peers.environment("flask").parent.parent
        packages = next((flask / "lib").glob("python*/site-packages"))
        folder, port = peers.CACHE_DIR / "voice-coqui", free_port()
        made = [sys.executable, str(Path(__file__).with_name("coqui_checkpoint.py")), str(folder)]
        peers.run(made, "a checkpoint for tts-server")
        model = ["--model_path", str(folder / "model.pth")]
        config = ["--config_path", str(folder / "config.json")]
        command = [sys.executable, "-m", "TTS.server.server", *model, *config, "--port", str(port)]
        path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(packages))))
        env = {"PYTHONPATH": path}
        super().__init__(command, env, port, "/", metadata.version("coqui-tts"))

    def body(self, text: str, _: int) -> tuple[str, dict[str, Any], int]:
        """By its own route: that for OpenAI's clients needs FFmpeg's libraries."""
        return f"/api/tts?{urlencode({'text': text})}", {}, WAV_HEADER_BYTES


SERVERS: dict[str, Callable[[], Server]] = {"piper-tts": Piper, "ovos": Ovos, "tts-server": Coqui}
