"""The program of one device: voices are loaded here, and speak what the other end asks for.

It ends when the other end does, and when its device failed: out of memory, or of no use any more.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from voicesvc.audio import Pcm
from voicesvc.devices.wire import ATTRIBUTES, NOBODY, Begun, Failed, Line, Ready, Ref, Sent, bare
from voicesvc.errors import VoiceError
from voicesvc.packs import Pack
from voicesvc.phonemes import Word
from voicesvc.plan import Plan, Variability

_THREADS = 64  # that wait for a voice's next chunk; who asks has fewer
_FAULT = 70  # EX_SOFTWARE of sysexits.h


class Program:
    """What is at the device, by number, and what can be asked for."""

    def __init__(self, line: Line, begun: Begun) -> None:
        self._line, self._begun = line, begun
        self._there: dict[int, Any] = {}
        self._numbers = itertools.count(1)
        self._asked: dict[str, Callable[..., Any]] = {
            "prepare": self._prepare,
            "place": self._place,
            "warm": lambda ref: self._there[ref.number].warm(),
            "plan": self._plan,
            "said": lambda ref: self._sent(self._there[ref.number].said()),
            "stream": self._stream,
            "next": lambda ref: next(self._there[ref.number], None),
        }

    def serve(self) -> None:
        """Answer until the other end is gone."""
        threads = ThreadPoolExecutor(_THREADS, "asked")
        while True:
            number, what, *said = self._line.read()
            if number == NOBODY:  # at once: what leaves makes room for what comes after it
                self._drop(*said, close=what == "close")
            else:
                threads.submit(self._answer, number, what, said)

    def _answer(self, number: int, what: str, said: Sequence[Any]) -> None:
        try:
            answer = self._asked[what](*said)
        except Exception as e:  # whatever it is, who asked is told
            fault = is_fault(e)
            told = e if isinstance(e, VoiceError) else RuntimeError(f"{type(e).__name__}: {e}")
            self._line.send(number, Failed(told, fault))
            if fault:
                os._exit(_FAULT)
        else:
            self._line.send(number, answer)

    def _keep(self, found: Any) -> Ref:
        number = next(self._numbers)
        self._there[number] = found
        return Ref(number)

    def _drop(self, ref: Ref, *, close: bool) -> None:
        found = self._there.pop(ref.number, None)
        if close and found is not None:
            found.close()

    def _prepare(self, pack: Pack) -> tuple[Ref, int]:
        def say(text: str) -> None:
            self._line.send(NOBODY, text)

        prepared = self._begun.prepare(pack, self._begun.settings, say)
        return self._keep(prepared), prepared.host_bytes

    def _place(self, ref: Ref) -> tuple[Ref, dict[str, Any]]:
        engine = self._there[ref.number].place()
        return self._keep(engine), {name: getattr(engine, name) for name in ATTRIBUTES}

    def _plan(
        self, ref: Ref, whole: bool, words: Sequence[Word], seed: int, variability: Variability
    ) -> Sent:
        engine = self._there[ref.number]
        return self._sent((engine.plan if whole else engine.begin)(words, seed, variability))

    def _sent(self, plan: Plan) -> Sent:
        return Sent(bare(plan), self._keep(plan), plan.said is not None)

    def _stream(self, ref: Ref, line: Plan, guessed: bool) -> Ref:
        kept = self._there.get(line.hidden.number) if isinstance(line.hidden, Ref) else None
        if kept is not None:
            line = replace(line, hidden=kept.hidden, said=kept.said if guessed else None)
        else:
            line = bare(line)
        chunks: Iterator[Pcm] = self._there[ref.number].stream(line)
        return self._keep(chunks)


def is_fault(error: Exception) -> bool:
    """Whether the device itself failed, so that nothing more is to be had from this process."""
    if not isinstance(error, RuntimeError) or "torch" not in sys.modules:
        return False
    from voicesvc.engines.memory import is_fault

    return is_fault(error)


def _ready(begun: Begun) -> tuple[Begun, Ready]:
    """The settings with the budgets of this device in them, and the two in bytes."""
    given = begun.settings
    if given.device_budget_mb is None or given.host_budget_mb is None:
        from voicesvc.engines import memory
        from voicesvc.engines.device import pin

        given = memory.with_budgets(given, pin(given.device))
    device_bytes = (given.device_budget_mb or 0) * 2**20 or None
    ready = Ready(device_bytes, (given.host_budget_mb or 0) * 2**20)
    return replace(begun, settings=given), ready


def main() -> None:
    """Serve on the socket whose number is the argument."""
    line = Line(Connection(int(sys.argv[1])))
    try:
        (_, begun) = line.read()
        begun, ready = _ready(begun)
        line.send(NOBODY, ready)
        Program(line, begun).serve()
    except (EOFError, OSError):
        os._exit(0)  # nobody is left to be told, nor to be waited for


if __name__ == "__main__":
    main()
