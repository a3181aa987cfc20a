"""A filter that examines: a question a line on stdin, an answer a line on stdout.

    {"path": "/tmp/a.wav", "most_s": 300, "trust": null}
    {"report": {"kind": "WAV", ...}, "queries": [[1.0, "base64 of words"], ...]}
    {"problem": "bad-recording", "detail": "...", "where": "body", "valid": ["WAV", ...]}

It ends when stdin does, or with its parent, or when it has not been asked for as many seconds as
its first argument says; the second is its parent's id; the third how nice it is, 0 to 19.
"""

import ctypes
import json
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main(idle_s: int, parent: int, niceness: int) -> None:
    """Take a place behind others in the queue for the processor, and then load what is large."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(1)
    os.nice(niceness)
    from voicesvc.examine.report import answer

    while True:
        signal.alarm(idle_s)  # nobody catches it: it ends the program
        question = sys.stdin.buffer.readline()
        signal.alarm(0)
        if not question:
            return
        print(json.dumps(answer(json.loads(question))), flush=True)


main(*map(int, sys.argv[1:]))
