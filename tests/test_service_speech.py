"""POST /v1/speech on a real socket: what comes back, when, and that it is what it says."""

import hashlib
import io
import json
import struct
import threading
import tracemalloc
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import soxr
from conftest import LINE, Service, eventually, metric, tones_served
from numpy.typing import NDArray

from voicesvc.audio import resampled_length
from voicesvc.encode import FORMATS, UNKNOWN
from voicesvc.engines.tone import CHUNK_FRAMES
from voicesvc.line import Line
from voicesvc.phonemes import Espeak
from voicesvc.studio import Studio

Floats = NDArray[np.float32]
TWO = "The harbour was quiet. Then the storm came."
SCENE = (
    "She walked to the window and looked out over the grey water, and said nothing. " * 8
).strip()


def decoded(answer: httpx.Response, format: str) -> tuple[Floats, int]:
    """The samples of an answer and their rate in Hz."""
    rate_hz = int(answer.headers["Voicesvc-Sample-Rate-Hz"])
    if format == "pcm_f32le":
        return np.frombuffer(answer.content, "<f4").astype(np.float32), rate_hz
    if format == "pcm_s16le":
        return np.frombuffer(answer.content, "<i2").astype(np.float32) / np.float32(2**15), rate_hz
    with soundfile.SoundFile(io.BytesIO(answer.content)) as file:
        samples: Floats = file.read(dtype="float32")
        return samples, file.samplerate


def floats(service: Service, text: str = LINE, **fields: Any) -> Floats:
    """The take's samples as they are, at the voice's own rate if no other is asked for."""
    answer = service.speak(text, format="pcm_f32le", **fields)
    assert answer.status_code == 200, answer.text
    return decoded(answer, "pcm_f32le")[0]


@pytest.mark.parametrize("format", list(FORMATS))
def test_every_format_carries_the_take(tone_server: Service, format: str) -> None:
    answer = tone_server.speak(format=format, seed=5)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == FORMATS[format].media_type
    samples, rate_hz = decoded(answer, format)
    expected = floats(tone_server, seed=5, sample_rate_hz=rate_hz)
    if format in ("opus", "mp3"):  # lossy; Opus may end a frame later
        assert 0 <= len(samples) - len(expected) < 0.02 * rate_hz
        heard = samples[: len(expected)]
        assert np.corrcoef(heard, expected)[0, 1] > 0.99
    else:
        assert len(samples) == len(expected)
        assert np.abs(samples - expected).max() <= 0.5 / 2**15


@pytest.mark.parametrize(
    ("bit_depth", "subtype"), [(16, "PCM_16"), (24, "PCM_24"), ("32f", "FLOAT")]
)
def test_wav_has_the_depth_asked_for(
    tone_server: Service, bit_depth: int | str, subtype: str
) -> None:
    answer = tone_server.speak(bit_depth=bit_depth, sample_rate_hz=48000)
    with soundfile.SoundFile(io.BytesIO(answer.content)) as file:
        assert (file.subtype, file.samplerate, file.channels) == (subtype, 48000, 1)


def test_headers_name_the_take_and_how_it_was_made(tone_server: Service) -> None:
    answer = tone_server.speak(seed=17, sample_rate_hz=16000)
    assert answer.headers["Voicesvc-Seed"] == "17"
    assert answer.headers["Voicesvc-Sample-Rate-Hz"] == "16000"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Length" not in answer.headers
    assert "Voicesvc-Skipped" not in answer.headers
    stages = dict(s.split(";dur=") for s in answer.headers["Server-Timing"].split(", "))
    assert list(stages) == ["queue", "text", "voice", "plan", "first"]
    assert all(float(ms) >= 0 for ms in stages.values())
    timings = tone_server.timings(answer)
    assert timings["take"] == answer.headers["Voicesvc-Take"]
    assert (timings["seed"], timings["actor"]) == (17, "ann")


def test_the_first_bytes_leave_before_the_take_is_made(tmp_path: Path) -> None:
    text = SCENE[:159]  # two sentences
    with tones_served(tmp_path, delay_s=0.3) as service:
        body = {"actor": "ann", "text": text, "format": "pcm_s16le"}
        with service.http.stream("POST", "/v1/speech", json=body) as answer:
            arriving = answer.iter_bytes()
            first = next(arriving)
            assert service.tone.chunks <= 2
            assert len(first) == 2 * CHUNK_FRAMES[0] * service.tone.hop
            early = service.timings(answer)
            assert (early["complete"], early["outcome"], early["duration_s"]) == (
                False,
                "open",
                None,
            )
            assert 0 < len(early["words"]) < len(text.split())
            rest = sum(len(part) for part in arriving)
        late = service.timings(answer)
        assert (late["complete"], late["outcome"]) == (True, "complete")
        assert len(late["words"]) == len(text.split())
        assert len(first) + rest == 2 * round(late["duration_s"] * 22050)


def test_a_seed_is_drawn_and_reported_and_gives_the_take_again(tone_server: Service) -> None:
    one, two = tone_server.speak(), tone_server.speak()
    assert one.headers["Voicesvc-Seed"] != two.headers["Voicesvc-Seed"]
    assert one.content != two.content
    again = tone_server.speak(seed=int(one.headers["Voicesvc-Seed"]))
    assert again.content == one.content
    assert again.headers["Voicesvc-Take"] != one.headers["Voicesvc-Take"]


def test_rate_shortens_the_line(tone_server: Service) -> None:
    assert len(floats(tone_server, rate=2.0)) == len(floats(tone_server)) / 2


def test_one_sentence_has_its_exact_size_in_the_header(tone_server: Service) -> None:
    content = tone_server.speak("One sentence.", sample_rate_hz=44100).content
    riff_bytes, data_bytes = (
        struct.unpack_from("<I", content, 4)[0],
        struct.unpack_from("<I", content, 40)[0],
    )
    assert riff_bytes == len(content) - 8
    assert data_bytes == len(content) - 44


def test_a_long_sentence_has_it_too_and_the_samples_of_one_that_begins_sooner(
    joe_server: Service,
) -> None:
    text = "We hold the harbour, and the harbour holds us, " * 8 + "and nobody goes home."
    kept = joe_server.speak(text, actor="joe", seed=4, bit_depth="32f").content
    heard = joe_server.speak(text, actor="joe", seed=4, format="pcm_f32le").content
    at = kept.index(b"data")
    assert struct.unpack_from("<I", kept, at + 4)[0] == len(heard) > 22050 * 4 * 10
    assert kept[at + 8 :] == heard


def test_of_more_sentences_the_header_says_that_the_size_is_not_known(tone_server: Service) -> None:
    content = tone_server.speak(TWO).content
    assert struct.unpack_from("<I", content, 40)[0] == UNKNOWN
    assert len(soundfile.read(io.BytesIO(content))[0]) == (len(content) - 44) // 2


def test_streamed_at_48_khz_it_is_the_whole_render_resampled(tone_server: Service) -> None:
    native = floats(tone_server, TWO, seed=3)
    streamed = floats(tone_server, TWO, seed=3, sample_rate_hz=48000)
    assert len(streamed) == resampled_length(len(native), 22050, 48000)
    whole = soxr.resample(native, 22050, 48000, quality="HQ")
    n = min(len(whole), len(streamed))
    assert abs(len(whole) - len(streamed)) <= 1
    assert np.abs(whole[:n] - streamed[:n]).max() < 1e-6


def test_timings_agree_with_the_samples(tone_server: Service) -> None:
    answer = tone_server.speak(TWO, format="pcm_f32le")
    samples, rate_hz = decoded(answer, "pcm_f32le")
    timings = tone_server.timings(answer)
    assert timings["duration_s"] == pytest.approx(len(samples) / rate_hz, abs=1e-6)
    words = timings["words"]
    assert [w["text"] for w in words] == TWO.replace(".", "").split()
    assert [TWO[w["char_start"] : w["char_end"]] for w in words] == [w["text"] for w in words]
    edges = [t for w in words for t in (w["start_s"], w["end_s"])]
    assert edges == sorted(edges)
    assert edges[-1] <= timings["duration_s"]
    frame = 256
    for word, following in pairwise(words):
        assert word["phonemes"][0]["start_s"] == word["start_s"]
        assert word["phonemes"][-1]["end_s"] == word["end_s"]
        begin, end, after = (
            round(t * rate_hz) for t in (word["start_s"], word["end_s"], following["start_s"])
        )
        assert np.abs(samples[begin:end]).max() > 0.29  # a tone in the word
        if after > end:
            assert np.abs(samples[end + frame : after]).max() == 0  # silence after it


def test_what_is_skipped_is_said_and_the_rest_is_spoken(tone_server: Service) -> None:
    for text, header in [
        ("Hold 🙂 the line", "5-6 emoji"),
        ("Hold the line שלום now", "14-18 script"),
        ("Hold\x07 the line", "4-5 control"),
        ("Hold \ud83d the line", "5-6 control"),
    ]:
        answer = tone_server.speak(text)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Voicesvc-Skipped"] == header
        said = tone_server.timings(answer)["words"]
        assert [w["text"] for w in said][:3] == ["Hold", "the", "line"]


def test_a_scene_starts_as_fast_as_a_line_and_takes_no_more_memory(tmp_path: Path) -> None:
    pages = "\n\n".join([SCENE] * 80)  # 20 pages
    assert len(pages) > 50_000
    with tones_served(tmp_path, frames_per_symbol=1) as service:
        service.speak(SCENE)
        planned = service.tone.planned
        body = {"actor": "ann", "text": pages, "format": "pcm_f32le"}
        tracemalloc.start()
        with service.http.stream("POST", "/v1/speech", json=body) as answer:
            arriving = answer.iter_raw()
            size_bytes = len(next(arriving))
            assert float(answer.headers["Server-Timing"].rsplit("=", 1)[1]) < 1000
            assert service.tone.planned - planned < 640 / 2
            size_bytes += sum(len(part) for part in arriving)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert service.tone.planned - planned == 640
        assert size_bytes > 40e6
        assert peak_bytes < size_bytes / 4


def test_the_same_seed_gives_the_same_samples_beside_other_streams(joe_server: Service) -> None:
    def digest(seed: int) -> str:
        return hashlib.sha256(floats(joe_server, TWO, seed=seed).tobytes()).hexdigest()

    alone = digest(1)
    assert digest(2) != alone
    beside = [
        threading.Thread(target=joe_server.speak, kwargs={"text": text, "seed": i})
        for i, text in enumerate(("Somebody else is talking all the while.", SCENE[:158], LINE))
    ]
    for thread in beside:
        thread.start()
    together = [digest(1), digest(1)]
    for thread in beside:
        thread.join()
    assert together == [alone, alone]
    assert eventually(joe_server.idle)


def test_joe_speaks_and_says_when(joe_server: Service) -> None:
    answer = joe_server.speak(LINE, seed=1, sample_rate_hz=48000, bit_depth=24)
    samples, rate_hz = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    assert rate_hz == 48000
    assert 1.5 < len(samples) / rate_hz < 5
    timings = joe_server.timings(answer)
    assert timings["complete"]
    assert [w["text"] for w in timings["words"]] == LINE.rstrip(".").split()
    loud = [
        np.sqrt(np.mean(samples[round(w["start_s"] * rate_hz) : round(w["end_s"] * rate_hz)] ** 2))
        for w in timings["words"]
    ]
    assert min(loud) > 3e-3
    assert np.sqrt(np.mean(samples**2)) > 0.02


def test_chunk_borders_do_not_click(joe_studio: Studio) -> None:
    lease = joe_studio.cast.voices.lease("joe")
    try:
        with closing(Espeak("en-us")) as espeak:
            words = espeak.words(SCENE[:78], 0)
        chunks = list(lease.engine.stream(lease.engine.plan(words, 4)))
    finally:
        lease.release()
    assert len(chunks) > 3
    steps = np.abs(np.diff(np.concatenate(chunks)))
    borders = np.cumsum([len(c) for c in chunks])[:-1] - 1
    elsewhere = np.delete(steps, borders)
    assert steps[borders].max() <= elsewhere.max()
    assert steps[borders].mean() < 4 * elsewhere.mean()


@pytest.mark.parametrize("kind", ["live", "audition", "batch"])
def test_a_take_is_counted_by_its_class(tone_server: Service, kind: str) -> None:
    before = metric("voicesvc_takes_total", actor="ann", outcome="complete")
    made = {"actor": "ann", "format": "pcm_f32le", "class": kind}
    made_s = metric("voicesvc_audio_seconds_total", **made)
    body = json.dumps({"actor": "ann", "text": LINE, "format": "pcm_f32le"})
    samples = np.frombuffer(tone_server.post(body, **{"Voicesvc-Class": kind}).content, np.float32)
    assert eventually(tone_server.idle)
    assert metric("voicesvc_takes_total", actor="ann", outcome="complete") == before + 1
    after_s = metric("voicesvc_audio_seconds_total", **made)
    assert after_s - made_s == pytest.approx(len(samples) / 22050)


def test_the_studio_and_the_service_make_the_same_bytes(tone_server: Service) -> None:
    line = Line(actor="ann", text=TWO, seed=9, format="flac")
    made = b"".join(tone_server.studio.open(line).chunks())
    assert made == tone_server.speak(TWO, seed=9, format="flac").content
