"""The order of a take, without a server in between."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LINE, eventually, metric, tone_of, tone_studio, write_pack

from voicesvc.audio import Pcm
from voicesvc.config import Settings
from voicesvc.dsp.levels import CEILING_DB
from voicesvc.engines.tone import Tone
from voicesvc.errors import (
    BadSetting,
    EngineFailed,
    NothingSpeakable,
    PackRefused,
    UnknownActor,
    UnknownTake,
)
from voicesvc.line import Line
from voicesvc.packs import Pack
from voicesvc.plan import Plan
from voicesvc.rendering import Rendering
from voicesvc.script import PAUSE_PARAGRAPH_S, PAUSE_SENTENCE_S
from voicesvc.studio import Studio


class Short(Tone):
    """A tone whose streams end a chunk early."""

    def stream(self, plan: Plan, *_: object) -> Iterator[Pcm]:
        chunks = list(super().stream(plan))
        yield from chunks[:-1]


@pytest.fixture
def tones() -> dict[str, Tone]:
    """The tones that the studio has loaded."""
    return {}


@pytest.fixture
def studio(tmp_path: Path, tones: dict[str, Tone]) -> Iterator[Studio]:
    """A studio whose actor `ann` is a tone; loaded when it is first asked for."""
    write_pack(tmp_path / "models", "ann")
    made = tone_studio(tmp_path / "models", tones, {}, takes_kept=3)
    yield made
    made.close()


def line(text: str = LINE, **fields: Any) -> Line:
    return Line(actor="ann", text=text, format="pcm_f32le", **fields)


def drained(rendering: Rendering) -> Pcm:
    return np.frombuffer(b"".join(rendering.chunks()), "<f4")


def test_a_take_goes_from_open_to_complete(studio: Studio, tones: dict[str, Tone]) -> None:
    rendering = studio.open(line())
    take = rendering.take
    assert take.outcome == "open"
    assert (tones["ann"].chunks, tones["ann"].open_streams) == (1, 1)
    assert studio.cast.voices.leases() == {"ann": 1}
    samples = drained(rendering)
    assert rendering.take.outcome == "complete"
    assert tones["ann"].open_streams == 0
    assert studio.cast.voices.leases() == {}
    assert len(samples) == round(take.audio_s * 22050)
    assert take.compute_s > 0
    assert studio.takes.get(take.id) is take


def test_close_stops_the_work_and_gives_the_voice_back(
    studio: Studio, tones: dict[str, Tone]
) -> None:
    rendering = studio.open(line(" ".join([LINE] * 20)))
    rendering.chunk()
    rendering.close()
    rendering.close()
    assert rendering.take.outcome == "cancelled"
    assert rendering.chunk() is None
    assert (tones["ann"].chunks, tones["ann"].open_streams) == (2, 0)
    assert studio.cast.voices.leases() == {}
    assert metric("voicesvc_active_streams") == 0


def test_who_stops_draining_stops_the_work_and_gives_the_voice_back(
    studio: Studio, tones: dict[str, Tone]
) -> None:
    rendering = studio.open(line(" ".join([LINE] * 20)))
    chunks = rendering.chunks()
    assert next(chunks) == rendering.first
    next(chunks)
    chunks.close()
    assert rendering.take.outcome == "cancelled"
    assert (tones["ann"].chunks, tones["ann"].open_streams) == (2, 0)
    assert studio.cast.voices.leases() == {}


def test_close_waits_for_the_chunk_that_is_being_computed(
    studio: Studio, tones: dict[str, Tone]
) -> None:
    rendering = studio.open(line())
    tones["ann"].delay_s = 0.2
    computing = threading.Thread(target=rendering.chunk)
    computing.start()
    assert eventually(rendering._lock.locked)
    begin = time.perf_counter()
    rendering.close()
    assert time.perf_counter() - begin > 0.05
    assert tones["ann"].chunks == 2
    computing.join()


def test_an_engine_that_ends_short_fails_the_take(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")

    def load(pack: Pack, *_: object) -> Tone:
        return Short(frozenset(pack.text.symbols) - {""}, pack.model_sha256)

    studio = Studio(Settings.read({}, watermark="off", models_dir=tmp_path / "models"), load=load)
    rendering = studio.open(line())
    with pytest.raises(EngineFailed, match="the plan says"):
        drained(rendering)
    assert rendering.take.outcome == "failed"
    studio.close()


class Streamed(Tone):
    """A tone that keeps the plans it is given."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.plans: list[Plan] = []

    def stream(self, plan: Plan, *_: Any) -> Iterator[Pcm]:
        self.plans.append(plan)
        return super().stream(plan)


def test_an_engine_is_told_when_its_sound_waits_for_what_follows(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    tones: list[Streamed] = []

    def load(pack: Pack, *_: object) -> Tone:
        tones.append(Streamed(frozenset(pack.text.symbols) - {""}, pack.model_sha256))
        return tones[0]

    studio = Studio(Settings.read({}, watermark="off", models_dir=tmp_path / "models"), load=load)
    for asked in ({}, {"energy_db": -3.0}, {"pitch_st": 2.0}, {"breathiness": 0.3}):
        drained(studio.open(line("So.", **asked)))
    shaped = [p.shaped for p in tones[0].plans]
    assert shaped[-4:] == [False, False, True, True]  # those before measured the voice
    studio.close()


def test_sentences_are_joined_by_their_pauses(studio: Studio) -> None:
    one, two = (
        drained(studio.open(line("So.", seed=1))),
        drained(studio.open(line("It is.", seed=1))),
    )
    for text, pause_s in (("So. It is.", PAUSE_SENTENCE_S), ("So.\n\nIt is.", PAUSE_PARAGRAPH_S)):
        both = drained(studio.open(line(text, seed=1)))
        pause = round(pause_s * 22050)
        assert len(both) == len(one) + pause + len(two)
        assert (both[: len(one)] == one).all()
        assert not both[len(one) : len(one) + pause].any()


def test_a_following_sentence_comes_in_longer_chunks(studio: Studio) -> None:
    made = studio.open(line("So. So it is so it is. So it is so it is so it is.")).chunks()
    pause = round(PAUSE_SENTENCE_S * 22050) / 256
    assert [len(chunk) / 4 / 256 for chunk in made] == [
        *(26, 4, pause),  # 30 frames
        *(24, 64, 50, pause),  # 138: with the first 168
        *(128, 76),
    ]


def test_a_mark_does_not_lift_what_is_loud_over_full_scale(
    tmp_path: Path, tones: dict[str, Tone]
) -> None:
    write_pack(tmp_path / "models", "ann")
    made = tone_studio(tmp_path / "models", tones, {}, watermark="on")
    samples = drained(made.open(line("So it is.", seed=1, energy_db=12.0)))
    made.close()
    assert np.abs(samples).max() == pytest.approx(10 ** (CEILING_DB / 20), abs=0.01)
    assert np.abs(samples).max() <= 10 ** (CEILING_DB / 20) + 1e-6


def test_a_sentence_said_again_is_said_anew(studio: Studio) -> None:
    rendering = studio.open(line("So it is. So it is."))
    samples = drained(rendering)
    n = (len(samples) - round(PAUSE_SENTENCE_S * 22050)) // 2
    assert (samples[:n] != samples[-n:]).any()


def test_what_is_refused_loads_no_voice_and_keeps_no_take(
    studio: Studio, tones: dict[str, Tone]
) -> None:
    for refused, error in [
        (line("..."), NothingSpeakable),
        (line("Hi").model_copy(update={"actor": "bob"}), UnknownActor),
    ]:
        with pytest.raises(error):
            studio.open(refused)
    assert tones == {}
    assert studio.cast.voices.states()["ann"].name == "idle"
    assert not studio.takes.ids


def test_the_newest_takes_are_kept(studio: Studio) -> None:
    ids = []
    for _ in range(5):
        rendering = studio.open(line("So."))
        drained(rendering)
        ids.append(rendering.take.id)
    assert len(set(ids)) == 5
    assert [studio.takes.get(i).id for i in ids[2:]] == ids[2:]
    for forgotten in ids[:2]:
        with pytest.raises(UnknownTake, match=forgotten):
            studio.takes.get(forgotten)


def test_takes_that_need_much_room_are_forgotten_sooner(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicesvc.takes._KEPT_BYTES", 20_000)
    short = studio.open(line("So."))
    drained(short)
    long = studio.open(line(" ".join([LINE] * 10)))
    drained(long)
    assert studio.takes.get(short.take.id) is short.take
    assert long.take.kept_bytes > 20_000
    last = studio.open(line("So."))
    drained(last)
    assert studio.takes.ids == [last.take.id]


def test_timings_are_json_while_they_grow(studio: Studio) -> None:
    rendering = studio.open(line("So it is. And so it was."))
    early = json.loads(rendering.take.timings_json())
    assert ([w["text"] for w in early["words"]], early["complete"]) == (["So", "it", "is"], False)
    drained(rendering)
    late = json.loads(rendering.take.timings_json())
    assert [w["text"] for w in late["words"]] == ["So", "it", "is", "And", "so", "it", "was"]
    assert late["words"][:3] == early["words"]
    assert late["duration_s"] == pytest.approx(rendering.take.audio_s, abs=1e-6)


def test_time_spent_waiting_for_a_thread_is_counted(studio: Studio) -> None:
    rendering = studio.open(line("So."), time.perf_counter() - 0.5)
    rendering.close()
    assert 0.5 <= rendering.take.stages_s["queue"] < 5
    assert metric("voicesvc_first_audio_seconds_sum", actor="ann", format="pcm_f32le") >= 0.5


@pytest.mark.parametrize("error", [RuntimeError, OSError, MemoryError])
def test_a_voice_that_cannot_be_loaded_does_not_keep_the_others_from_it(
    tmp_path: Path, error: type[Exception]
) -> None:
    for actor in ("ann", "bea"):
        write_pack(tmp_path / "models", actor)
    told: list[str] = []

    def load(pack: Pack, _: Settings, __: Callable[[str], None]) -> Tone:
        if pack.actor_id == "ann":
            raise error("out of memory")
        return tone_of(pack)

    studio = Studio(
        Settings.read({}, watermark="off", models_dir=tmp_path / "models"),
        load=load,
        say=told.append,
    )
    assert not studio.cast.warmed
    studio.cast.warm()
    assert studio.cast.warmed
    assert studio.cast.voices.states()["bea"].name == "ready"
    assert "ann cannot be loaded: out of memory" in (
        studio.cast.voices.states()["ann"].reason or ""
    )
    assert any("out of memory" in line for line in told)
    with pytest.raises(EngineFailed, match="ann cannot be loaded"):
        studio.open(line())
    studio.close()


def test_only_the_actors_named_are_warmed_and_they_must_be_there(tmp_path: Path) -> None:
    for actor in ("ann", "bea"):
        write_pack(tmp_path / "models", actor)
    tones: dict[str, Tone] = {}
    studio = tone_studio(tmp_path / "models", tones, {}, actors="bea")
    studio.cast.warm()
    assert list(tones) == ["bea"]
    drained(studio.open(line("So.")))
    assert list(tones) == ["bea", "ann"]
    studio.close()
    assert all(tone.closed for tone in tones.values())
    with pytest.raises(BadSetting, match="no actor 'zoe'") as caught:
        tone_studio(tmp_path / "models", tones, {}, actors="bea,zoe")
    assert (caught.value.where, caught.value.valid) == ("VOICESVC_ACTORS", ["ann", "bea"])


def test_a_refused_pack_is_listed_and_not_spoken(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann", ("demonstration = true", "demonstration = 7"))
    studio = tone_studio(tmp_path / "models", {}, {})
    (listed,) = studio.cast.actors()
    assert (listed["actor_id"], listed["state"]) == ("ann", "failed")
    assert "demonstration" in listed["reason"]
    with pytest.raises(PackRefused, match="demonstration"):
        studio.open(line())
