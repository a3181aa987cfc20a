"""Loops beside the compute threads: what one failure ends, and how heavy ones give way."""

import time

import pytest
from conftest import eventually

from voicesvc.loops import Aside, Loop, Manners


class Steps(Loop):
    """Does what it is given, once each."""

    def __init__(self, n: int) -> None:
        super().__init__(60.0)
        self.left, self.done = n, 0

    def work(self) -> bool:
        if not self.left:
            return False
        self.left -= 1
        if self.left == 1:
            raise ValueError("this piece cannot be done")
        self.done += 1
        return True


def test_one_piece_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture) -> None:
    loop = Steps(3)
    loop.start()
    assert eventually(lambda: loop.left == 1)
    loop.wake()
    assert eventually(lambda: loop.done == 2)
    loop.stop()
    assert [r.message for r in caplog.records if "failed" in r.message] == ["jobs failed"]


class Heavy(Aside):
    """Gives way before each piece of work, and notes when it is done."""

    def __init__(self, manners: Manners) -> None:
        super().__init__(60.0, manners)
        self.log: list[str] = []

    def work(self) -> bool:
        self.give_way()
        self.log.append("done")
        return False


def test_it_waits_until_nobody_listens() -> None:
    asked = iter([True, True, True, False])

    def pressed() -> bool:
        now = next(asked)
        loop.log.append("pressed" if now else "quiet")
        return now

    loop = Heavy(Manners(pressed, patience_s=60.0))
    loop.start()
    assert eventually(lambda: "done" in loop.log)
    loop.stop()
    assert loop.log == ["pressed", "pressed", "pressed", "quiet", "done"]


def test_it_does_not_wait_for_ever() -> None:
    loop = Heavy(Manners(lambda: True, patience_s=0.2))
    loop.start()
    assert eventually(lambda: loop.log == ["done"])
    loop.stop()


def test_it_ends_though_somebody_listens() -> None:
    loop = Heavy(Manners(lambda: True, patience_s=600.0))
    begin_s = time.monotonic()
    loop.start()
    loop.stop()
    assert time.monotonic() - begin_s < 300.0
