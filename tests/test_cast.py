"""Packs that come, change and go while the service runs; what is loaded at its start."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import LINE, tone_of, tone_studio, write_pack

from voicesvc.config import Settings
from voicesvc.engines import memory
from voicesvc.engines.load import prepare
from voicesvc.engines.tone import Tone
from voicesvc.errors import NotReady, PackRefused, UnknownActor
from voicesvc.line import Line
from voicesvc.packs import Pack
from voicesvc.phonemes import Word
from voicesvc.rendering import Rendering
from voicesvc.studio import Studio


@pytest.fixture
def tones() -> dict[str, Tone]:
    return {}


@pytest.fixture
def studio(tmp_path: Path, tones: dict[str, Tone]) -> Iterator[Studio]:
    write_pack(tmp_path / "models", "ann")
    made = tone_studio(tmp_path / "models", tones, {})
    yield made
    made.close()


def line(text: str = LINE) -> Line:
    return Line(actor="ann", text=text, format="pcm_f32le", seed=1)


def drained(rendering: Rendering) -> bytes:
    return b"".join(rendering.chunks())


def edit(folder: Path, old: str, new: str) -> None:
    """Put another manifest in the place of the one there."""
    path = folder / "pack.toml"
    said = path.read_text("utf-8")
    assert old in said
    (folder / "new.toml").write_text(said.replace(old, new), "utf-8")
    (folder / "new.toml").replace(path)


def test_a_changed_pack_speaks_next_and_no_stream_is_broken(
    studio: Studio, tones: dict[str, Tone], tmp_path: Path
) -> None:
    said = drained(studio.open(line()))
    old = tones["ann"]
    running = studio.open(line())
    edit(tmp_path / "models" / "ann", 'name = "Joe (demonstration voice)"', 'name = "Ann"')
    assert not studio.is_ready(line())
    fresh = studio.open(line())
    assert tones["ann"] is not old
    assert studio.cast.actor("ann")["name"] == "Ann"
    assert studio.cast.voices.leases() == {"ann": 2}
    assert drained(running) == said
    assert running.take.outcome == "complete"
    assert old.closed
    assert not tones["ann"].closed
    drained(fresh)
    assert studio.is_ready(line())


@pytest.mark.parametrize("warms", [True, False])
def test_a_voice_is_warmed_and_its_pace_told_unless_it_is_loaded_for_one_line(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, warms: bool
) -> None:
    pace, told = [(0.1, 0.2)], list[object]()
    monkeypatch.setattr(Tone, "warm", lambda _: pace)
    monkeypatch.setattr(studio.cast, "paced", lambda *said: told.append(said))
    studio.cast.warms = warms
    drained(studio.open(line()))
    assert told == ([("ann", pace)] if warms else [])


def test_a_request_read_with_the_old_pack_is_not_spoken_by_the_new_one(
    studio: Studio, tmp_path: Path
) -> None:
    old = studio.cast.pack("ann")
    edit(tmp_path / "models" / "ann", 'name = "Joe (demonstration voice)"', 'name = "Ann"')
    studio.cast.pack("ann")
    with pytest.raises(NotReady, match="changed just now"):
        studio.cast.lease(old)


def test_a_file_that_is_written_anew_with_the_same_words_changes_nothing(
    studio: Studio, tones: dict[str, Tone], tmp_path: Path
) -> None:
    drained(studio.open(line("So.")))
    os.utime(tmp_path / "models" / "ann" / "pack.toml", ns=(1, 1))
    before = tones["ann"]
    drained(studio.open(line("So.")))
    assert tones["ann"] is before


def test_a_pack_that_is_broken_is_refused_until_it_is_repaired(
    studio: Studio, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "ann"
    edit(folder, "demonstration = true", "demonstration = 7")
    with pytest.raises(PackRefused, match="demonstration"):
        studio.open(line())
    assert [a["state"] for a in studio.cast.actors()] == ["failed"]
    edit(folder, "demonstration = 7", "demonstration = true")
    drained(studio.open(line("So.")))
    assert [a["state"] for a in studio.cast.actors()] == ["ready"]


def test_packs_come_and_go_without_a_restart(studio: Studio, tmp_path: Path) -> None:
    with pytest.raises(UnknownActor):
        studio.cast.pack("bea")
    write_pack(tmp_path / "models", "bea")
    assert studio.cast.load("bea", 20)["state"] == "ready"
    assert [a["actor_id"] for a in studio.cast.actors()] == ["ann", "bea"]
    (tmp_path / "models" / "bea" / "pack.toml").unlink()
    (tmp_path / "models" / "bea").rmdir()
    with pytest.raises(UnknownActor):
        studio.cast.pack("bea")
    assert studio.cast.voices.state("bea") is None


def test_an_actor_is_never_a_path(studio: Studio, tmp_path: Path) -> None:
    write_pack(tmp_path, "eve")
    with pytest.raises(UnknownActor):
        studio.cast.pack("../eve")


def test_at_the_start_voices_are_loaded_as_far_as_there_is_room(tmp_path: Path) -> None:
    for actor in ("ann", "bea", "cid"):  # each declares 59.7 MiB, and a tone takes 1 MB
        write_pack(tmp_path / "models", actor)
    tones: dict[str, Tone] = {}
    told: list[str] = []
    given = Settings.read({}, models_dir=tmp_path / "models", device_budget_mb=61)

    def load(pack: Pack, _: Settings, __: Callable[[str], None]) -> Tone:
        tones[pack.actor_id] = tone_of(pack)
        return tones[pack.actor_id]

    studio = Studio(given, load=load, say=told.append)
    studio.cast.warm()
    assert list(tones) == ["ann", "bea"]
    assert not tones["ann"].closed
    assert any("cid: no room" in t for t in told)
    studio.close()


def test_a_network_is_reckoned_at_what_one_of_it_turned_out_to_take(tmp_path: Path) -> None:
    small = ("resident_bytes = 62601836", "resident_bytes = 40000")
    other = ("num_layers_flow = 4", "num_layers_flow = 2")
    for actor, *more in (("ann",), ("bob",), ("cal", other)):
        write_pack(tmp_path / "models", actor, small, *more)
    studio = tone_studio(tmp_path / "models", {}, {}, device_budget_mb=1)
    voices = studio.cast.voices
    with studio.cast.leased("ann") as engine:
        assert engine.resident_bytes == 1_000_000
        assert [voices.fits(actor) for actor in ("bob", "cal")] == [False, True]
    studio.cast.lease(studio.cast.pack("bob")).release()
    assert voices.held_bytes == 1_000_000
    studio.close()


def test_one_voice_in_host_memory_is_placed_any_number_of_times(joe_studio: Studio) -> None:
    read = prepare(joe_studio.cast.pack("joe"), joe_studio.settings, print)
    assert read.host_bytes == joe_studio.cast.pack("joe").resident_bytes
    words = [Word("so", 0, 2, ("s", "ˈ", "o", "ʊ"), ())]
    first, second = read.place(), read.place()
    assert first.warm_key == second.warm_key
    one = np.concatenate(list(first.stream(first.plan(words, 1))))
    first.close()
    read.close()
    two = np.concatenate(list(second.stream(second.plan(words, 1))))
    assert (one == two).all()
    assert np.abs(one).max() > 0.01


def test_free_memory_is_what_machine_and_container_leave(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  4000 kB\nMemAvailable:  1000 kB\n")
    assert memory.free_bytes(meminfo, tmp_path) == 1000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("300000\n")
    assert memory.free_bytes(meminfo, tmp_path) == 1000 * 1024
    (tmp_path / "memory.max").write_text("500000\n")
    assert memory.free_bytes(meminfo, tmp_path) == 200_000
    (tmp_path / "memory.max").write_text("200000\n")
    assert memory.free_bytes(meminfo, tmp_path) == 0
    assert memory.free_bytes(tmp_path / "none", tmp_path) > 2**28
