"""Five hundred open sockets, nine of ten of which hardly read: what do they hold, who waits?

What is measured, of the service with its demonstration voice: resident memory of the server and its
children before, and the most of it while `--slow` clients ask for a scene of two pages each and
read `TRICKLE_BYTES` a second of it, and `--prompt` others, each on a connection of its own, hear
one short line after another. Beside it how many of the slow ones got their first bytes and were
still open at the end, how the others' first audio compares with what it was before anybody else
was there, and how long after all have left no stream is open.

The slow ones are let in whatever they would need (`VOICESVC_LOAD`), and are not cut off for taking
little: so all of them are held at once, which is the point. Ends in one JSON line on stdout.
"""

import json
import selectors
import socket
import threading
import time

from churn import sample
from common import LINES, arguments, median, report, say
from first_byte import scene
from memory import resident_mb
from servers import Service

TRICKLE_BYTES = 256
RECEIVE_BYTES = 8192
SETTINGS = {
    "VOICESVC_LOAD": "1000",
    "VOICESVC_FIRST_AUDIO_S": "600",
    "VOICESVC_WAITING": "1000",
    "VOICESVC_STALL_S": "600",
    "VOICESVC_CHECK_WORDS": "off",
}


def asked(port: int, text: str, seed: int) -> socket.socket:
    """A connection on which a scene was asked for, with hardly any room for the answer."""
    body = json.dumps({"actor": "joe", "text": text, "format": "pcm_s16le", "seed": seed})
    asker = socket.socket()
    asker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    asker.connect(("127.0.0.1", port))
    head = "POST /v1/speech HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    asker.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    asker.setblocking(False)
    return asker


class Slow:
    """Clients that read a little each second, in one thread."""

    def __init__(self, port: int, n: int) -> None:
        text = scene(2)
        self.sockets = [asked(port, text, seed) for seed in range(n)]
        self.begun: set[int] = set()  # have had bytes
        self.gone: set[int] = set()  # were closed by the other end
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with selectors.DefaultSelector() as waiting:
            for number, one in enumerate(self.sockets):
                waiting.register(one, selectors.EVENT_READ, number)
            while not self._over.wait(1.0):
                for key, _ in waiting.select(0):
                    try:
                        content = self.sockets[key.data].recv(TRICKLE_BYTES)
                    except OSError:
                        content = b""
                    (self.begun if content else self.gone).add(key.data)
                    if not content:
                        waiting.unregister(key.fileobj)

    def leave(self) -> None:
        """All of them."""
        self._over.set()
        self._thread.join()
        for one in self.sockets:
            one.close()


def prompt_ms(service: Service, n: int, lines: int) -> list[float]:
    """First audio of `n` clients who hear `lines` short lines each."""
    found: list[float] = []

    def hear(who: int) -> None:
        for i in range(lines):
            found.append(1e3 * service.speak(LINES["short"], 1000 * who + i).first_audible_s)

    threads = [threading.Thread(target=hear, args=(who,)) for who in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--slow", type=int, default=450)
    parser.add_argument("--prompt", type=int, default=50)
    parser.add_argument("--settle-s", type=float, default=300.0, help="for the slow to be served")
    options = parser.parse_args()
    service = Service(SETTINGS)
    pid = service.child.process.pid
    try:
        before_ms = prompt_ms(service, options.prompt, 2)
        before_mb = resident_mb(pid)
        slow = Slow(service.port, options.slow)
        until_s, held_mb = time.monotonic() + options.settle_s, [before_mb]
        while len(slow.begun | slow.gone) < options.slow and time.monotonic() < until_s:
            time.sleep(2.0)
            held_mb.append(resident_mb(pid))
            say(f"{len(slow.begun):4} have begun, {len(slow.gone)} are gone, {held_mb[-1]:.0f} MiB")
        beside_ms = prompt_ms(service, options.prompt, 2)
        held_mb.append(resident_mb(pid))
        open_at_the_end = sample(service, "voicesvc_active_streams")
        slow.leave()
        left_s = time.monotonic()
        while sample(service, "voicesvc_active_streams") and time.monotonic() - left_s < 60:
            time.sleep(0.1)
        gone_s = time.monotonic() - left_s
    finally:
        service.close()
    figures = {
        "slow": options.slow,
        "prompt": options.prompt,
        "slow_that_began": len(slow.begun),
        "slow_that_were_cut_off": len(slow.gone),
        "open_at_the_end": int(open_at_the_end),
        "before_mb": round(before_mb, 1),
        "grown_mb": round(max(held_mb) - before_mb, 1),
        "first_audio_ms": {"alone": median(before_ms, 1), "beside": median(beside_ms, 1)},
        "none_open_after_s": round(gone_s, 1),
        **service.computes,
    }
    say(figures)
    report("readers", figures, {"voicesvc": service.version})


if __name__ == "__main__":
    main()
