"""Loops beside the compute threads: what one failure ends, and how heavy ones give way."""

import threading
import time
from pathlib import Path

import grants
import kept
import pytest
from conftest import LINE, archived, eventually, tone_studio, tones_served, write_pack

from voicesvc import jobs
from voicesvc.compute import Compute
from voicesvc.jobs import LISTENERS_S, Measurer, Printer
from voicesvc.line import Line
from voicesvc.loops import Aside, Loop, Manners
from voicesvc.schedule import Asked, Kind
from voicesvc.signer import Signer


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


def test_the_steps_of_a_piece_wait_together_as_long_as_one_alone() -> None:
    polls = 0

    def pressed() -> bool:
        nonlocal polls
        polls += 1
        return True

    between = Manners(pressed, patience_s=0.1).piece(threading.Event(), longer_s=0.225)
    for _ in range(20):
        between()
    assert polls == 5  # every 50 ms


def test_who_comes_while_a_take_is_measured_does_not_wait_for_its_end(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    studio = tone_studio(tmp_path / "models", {}, {})
    archive = studio.archive = archived(tmp_path / "data")
    grants.give(studio)
    rendering = studio.open(Line(actor="ann", text=LINE))
    for _ in rendering.chunks():
        pass
    asked: list[bool] = []

    def pressed() -> bool:
        asked.append(archive.take(rendering.take.id).measured is None)
        return len(asked) == 10  # somebody comes, and has the sound 50 ms later

    assert Measurer(studio, None, Manners(pressed)).work()
    assert len(asked) > rendering.take.audio_s / 0.2 > 10
    assert all(asked)
    studio.close()
    archive.close()


def test_a_fingerprint_gives_way_between_the_parts_that_are_read(tmp_path: Path) -> None:
    archive, asked = archived(tmp_path / "data"), list[None]()
    kept.keep(archive, "tk_long", kept.chatter(1, 10.0))  # 882 kB of samples
    Printer(archive, Manners(lambda: asked.append(None) or False)).work()
    assert len(asked) == 4  # of 256 KiB
    archive.close()


def test_it_ends_though_somebody_listens() -> None:
    loop = Heavy(Manners(lambda: True, patience_s=600.0))
    begin_s = time.monotonic()
    loop.start()
    loop.stop()
    assert time.monotonic() - begin_s < 300.0


def test_measuring_fingerprints_and_signing_give_way(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    studio = tone_studio(tmp_path / "models", {}, {}, c2pa="on")
    archive = studio.archive = archived(tmp_path / "data")
    grants.give(studio)
    for _ in studio.open(Line(actor="ann", text=LINE)).chunks():
        pass
    assert studio.seal is not None
    for loop in (
        lambda manners: Measurer(studio, None, manners),
        lambda manners: Printer(archive, manners),
        lambda manners: Signer(archive, studio.seal, None, manners),
    ):
        listens = [True, True, False]
        loop(Manners(lambda left=listens: bool(left) and left.pop(0))).work()
        assert listens == []
    studio.close()
    archive.close()


def test_a_new_take_is_measured_later_than_an_old_one(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    studio = tone_studio(tmp_path / "models", {}, {})
    archive = studio.archive = archived(tmp_path / "data")
    grants.give(studio)
    at_ms, polls = archive.now_ms(), 0
    for _ in studio.open(Line(actor="ann", text=LINE)).chunks():
        pass

    def pressed() -> bool:
        nonlocal polls
        polls += 1
        return True

    archive.now_ms = lambda: at_ms + round(1000 * (LISTENERS_S - 1.0))
    Measurer(studio, None, Manners(pressed, patience_s=0.125)).work()
    assert 10 < polls < 30  # a second of it, every 50 ms
    for _ in studio.open(Line(actor="ann", text=LINE)).chunks():
        pass
    archive.now_ms = lambda: at_ms + round(3000 * LISTENERS_S)
    polls = 0
    Measurer(studio, None, Manners(pressed, patience_s=0.125)).work()
    assert polls == 3  # its patience alone
    studio.close()
    archive.close()


def test_a_service_measures_once_nobody_waits_for_sound_or_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LISTENERS_S", 3.0)
    with tones_served(tmp_path) as service:
        compute: Compute = service.server.config.app.state.pools.compute
        waits = compute.enter(Asked("bob", Kind.AUDITION, "ann", 40))  # for a chunk, for ever
        begin_s = time.monotonic()
        take = service.speak(LINE).headers["Voicesvc-Take"]

        def measured() -> bool:
            return service.http.get(f"/v1/takes/{take}").json()["measured"] is not None

        assert eventually(measured, 60)
        assert time.monotonic() - begin_s > 2.5
        waits.end()
