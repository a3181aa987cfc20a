"""A program of our own at the other end of a pipe: a question there, a line back.

Knows nothing of what is asked. Programs end by themselves when their stdin does, so none outlives
this process.
"""

import os
import select
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

_CHUNK_BYTES = 65536
_COMPLAINT_BYTES = 500

# To Linux, the parent of a process is the thread that started it: this one lasts as long as we do,
# so a program that asks to be ended with its parent is not ended with whoever asked it first.
_STARTER = ThreadPoolExecutor(1, "starts programs")

Popen = subprocess.Popen[bytes]


class Program:
    """Started when it is first asked, and anew after it ended. One question at a time.

    `close` may be called from any thread, everything else by one at a time.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._command = tuple(command)
        self._env = env
        self._starting = threading.Lock()
        self._closed = False
        self._complaint = b""  # the end of what it wrote to stderr
        self.process: Popen | None = None

    @property
    def complaint(self) -> str:
        """The end of what it wrote to stderr."""
        return self._complaint.decode(errors="replace").strip()

    def ask(self, question: Sequence[bytes], limit_s: float) -> bytes:
        """Write all parts of the question and read one line back.

        After a failure the program is ended, so that no answer is taken for a later question's.

        Raises:
            TimeoutError: no line within `limit_s`, starting included.
            EOFError: it ended, or was closed.
            OSError: it cannot be started or written to.
        """
        if self.process is not None and self.process.poll() is not None:
            self.end()  # it ended while it was not asked anything
        done = False
        try:
            line = self._line_back(self.process or self._start(), question, limit_s)
            done = True
        finally:
            if not done:
                self.end()
        return line

    def close(self) -> None:
        """End the program and start it no more; whoever waits for it gets EOFError."""
        with self._starting:
            self._closed = True
            if self.process is not None:
                self.process.kill()

    def end(self) -> None:
        """End the program, if it runs; the next question starts it anew."""
        program, self.process = self.process, None
        if program is None:
            return
        program.kill()
        program.wait()
        if program.stderr:
            os.set_blocking(program.stderr.fileno(), False)
            last = program.stderr.read() or b""
            self._complaint = (self._complaint + last)[-_COMPLAINT_BYTES:]
        for pipe in (program.stdin, program.stdout, program.stderr):
            if pipe:
                pipe.close()

    def _start(self) -> Popen:
        with self._starting:
            if self._closed:
                raise EOFError("it was closed")
            starting = _STARTER.submit(
                subprocess.Popen,
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=self._env,
            )
            self.process = program = starting.result()
        assert program.stdin
        os.set_blocking(program.stdin.fileno(), False)
        return program

    def _line_back(self, program: Popen, question: Sequence[bytes], limit_s: float) -> bytes:
        assert program.stdin
        assert program.stdout
        assert program.stderr
        to, back, complaints = (f.fileno() for f in (program.stdin, program.stdout, program.stderr))
        until_s = time.monotonic() + limit_s
        poll = select.poll()
        poll.register(to, select.POLLOUT)
        poll.register(back, select.POLLIN)
        poll.register(complaints, select.POLLIN)
        rest = [memoryview(part) for part in question if len(part)]
        got = b""
        while not got.endswith(b"\n"):
            left_s = until_s - time.monotonic()
            events = dict(poll.poll(left_s * 1000)) if left_s > 0 else {}
            if not events:
                raise TimeoutError(f"no answer within {limit_s:g} s")
            if complaints in events:  # read at every turn, or a full pipe would stop the program
                wrote = os.read(complaints, _CHUNK_BYTES)
                self._complaint = (self._complaint + wrote)[-_COMPLAINT_BYTES:]
                if not wrote:
                    poll.unregister(complaints)
            if to in events:
                rest[0] = rest[0][os.write(to, rest[0]) :]
                if not rest[0]:
                    del rest[0]
                if not rest:
                    poll.unregister(to)
            if back in events:
                chunk = os.read(back, _CHUNK_BYTES)
                if not chunk:
                    raise EOFError("it ended")
                got += chunk
        return got
