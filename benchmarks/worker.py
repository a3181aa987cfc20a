"""One peer in a process of its own: JSON lines with text in on stdin, samples out on stdout.

Run as `python worker.py KIND ...` in the environment that has the peer; nothing heavier than numpy
is imported before KIND is known. `piper` and `ovos` are different: they are HTTP servers of others,
started here only to give onnxruntime one thread.

Answer, per text: frames of (uint32 byte count, float32 samples), then a count of 0 and a JSON line
with the times in seconds as this process saw them.
"""

import json
import os
import runpy
import struct
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

import numpy as np

Say = Callable[[str, int], Iterator[Any]]  # (text, seed) -> float32 arrays


def serve(say: Say, rate_hz: int, version: str, out: int) -> None:
    """Answers until stdin ends. `out` is the file descriptor that the samples go to."""
    with os.fdopen(out, "wb", buffering=0) as pipe:
        pipe.write(json.dumps({"rate_hz": rate_hz, "version": version}).encode() + b"\n")
        for line in sys.stdin:
            began_s, first_s = time.perf_counter(), None
            request = json.loads(line)
            for samples in say(request["text"], request["seed"]):
                if first_s is None and len(samples) and float(np.abs(samples).max()) > 1e-3:
                    first_s = time.perf_counter() - began_s
                data = np.ascontiguousarray(samples, "<f4").tobytes()
                if data:
                    pipe.write(struct.pack("<I", len(data)))
                    _write_all(pipe.fileno(), data)
            times = {"first_audible_s": first_s, "total_s": time.perf_counter() - began_s}
            pipe.write(struct.pack("<I", 0) + json.dumps(times).encode() + b"\n")


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def streaming_vits(onnx_path: str, calibrated: str) -> tuple[Say, int, str]:
    """streaming-vits as its own `Speaker` drives it, less the loudspeaker.

    `calibrated` "no" takes the package's default chunks (fewest computations), "yes" the profile
    that `streaming-vits calibrate` made (earliest first audio).
    """
    from streaming_vits.compat import Speaker  # type: ignore[import-not-found]
    from streaming_vits.profile import Profile, load_or_default  # type: ignore[import-not-found]

    profile = load_or_default(onnx_path, verbose=False)[0] if calibrated == "yes" else Profile()
    speaker = Speaker(onnx_path, None, num_threads=1, profile=profile)
    speaker.warmup()

    def say(text: str, seed: int) -> Iterator[Any]:
        for segment in speaker.split(text):
            for chunk in speaker.tts.stream(segment):
                yield chunk.audio

    return say, speaker.sample_rate, metadata.version("streaming-vits")


def _one_thread() -> None:
    """Give onnxruntime one thread, for which the servers that are started here have no option."""
    import onnxruntime

    class OneThread(onnxruntime.SessionOptions):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.intra_op_num_threads = 1
            self.inter_op_num_threads = 1

    onnxruntime.SessionOptions = OneThread


def piper(onnx_path: str, port: str) -> None:
    """piper-tts's HTTP server on 127.0.0.1, with one compute thread for each line."""
    _one_thread()
    sys.argv = ["piper.http_server", "--host", "127.0.0.1", "--port", port, "-m", onnx_path]
    runpy.run_module("piper.http_server", run_name="__main__")


def ovos(engine: str, port: str) -> None:
    """ovos-tts-server on 127.0.0.1, likewise."""
    _one_thread()
    sys.argv = ["ovos_tts_server", "--engine", engine, "--host", "127.0.0.1", "--port", port]
    runpy.run_module("ovos_tts_server", run_name="__main__")


SERVERS = {"piper": piper, "ovos": ovos}


def main() -> None:
    """`worker.py KIND ARGUMENT...`."""
    kind, *rest = sys.argv[1:]
    if kind in SERVERS:
        SERVERS[kind](*rest)
        return
    # Libraries print; only samples may reach the pipe.
    out = os.dup(1)
    os.dup2(2, 1)
    kinds: dict[str, Callable[..., tuple[Say, int, str]]] = {"streaming-vits": streaming_vits}
    if kind not in kinds:
        sys.path.insert(0, os.path.dirname(__file__))
        import worker_product

        kinds |= worker_product.KINDS
    say, rate_hz, version = kinds[kind](*rest)
    serve(say, rate_hz, version, out)


if __name__ == "__main__":
    main()
