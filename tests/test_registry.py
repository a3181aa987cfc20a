"""The register of fingerprints: every take gets one, is found by it, loses it with its audio."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Service, archived, eventually
from kept import RATE_HZ, chatter, keep

from voicesvc.archive import Archive
from voicesvc.audio import Pcm
from voicesvc.fingerprint import queries
from voicesvc.jobs import Printer
from voicesvc.loops import Manners
from voicesvc.registry import Registry
from voicesvc.store import fingerprints, takes


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened = archived(tmp_path)
    yield opened
    opened.close()


def printed(archive: Archive) -> None:
    printer = Printer(archive, Manners(lambda: False))
    while printer.work():
        pass


def look_up(registry: Registry, pcm: Pcm) -> tuple[list[str], int]:
    found, n = registry.find(queries(pcm, RATE_HZ, (1.0,)))
    return [match.take for match in found], n


def test_a_take_is_found_until_its_audio_is_removed(archive: Archive) -> None:
    one, two = chatter(1), chatter(2)
    keep(archive, "tk_1", one)
    keep(archive, "tk_2", two)
    registry = Registry(archive.database)
    assert look_up(registry, one) == ([], 0)
    printed(archive)
    assert look_up(registry, one[RATE_HZ // 2 :]) == (["tk_1"], 2)
    keep(archive, "tk_3", chatter(3))
    printed(archive)
    assert look_up(registry, chatter(3)) == (["tk_3"], 3)
    archive.database.write(lambda c: takes.delete(c, "tk_1", 1, archive.by()))
    assert look_up(registry, one) == (["tk_1"], 3)  # it can be restored: somebody may have it
    archive.purge(-1)
    assert look_up(registry, one) == ([], 2)
    assert look_up(registry, two) == (["tk_2"], 2)
    assert look_up(Registry(archive.database), one) == ([], 2)


def test_a_take_that_is_removed_before_its_turn_gets_none(archive: Archive) -> None:
    keep(archive, "tk_1", chatter(1))
    archive.database.write(lambda c: takes.delete(c, "tk_1", 1, archive.by()))
    archive.purge(-1)
    archive.database.write(lambda c: fingerprints.put(c, "tk_1", b"1234"))  # who read it before
    assert archive.database.read(fingerprints.count) == 0
    assert archive.database.read(fingerprints.awaited) is None


def test_audio_that_is_lost_keeps_no_other_waiting(archive: Archive) -> None:
    lost = keep(archive, "tk_1", chatter(1))
    keep(archive, "tk_2", chatter(2))
    archive.blobs.delete(lost.pcm_sha256 or "")
    printed(archive)
    assert archive.database.read(fingerprints.count) == 1
    assert archive.database.read(fingerprints.awaited) is None


def test_what_a_service_makes_gets_one_by_itself(tone_server: Service) -> None:
    archive = tone_server.studio.archive
    assert archive is not None
    before = archive.database.read(fingerprints.count)
    assert tone_server.speak().status_code == 200
    assert eventually(lambda: archive.database.read(fingerprints.count) > before, 20)
