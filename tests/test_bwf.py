"""Broadcast Wave, read back by programs that are not ours: wavinfo, FFmpeg, libsndfile."""

import dataclasses
import io
import re
import struct
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st
from wavinfo import WavInfoReader

from voicesvc import bwf, encode
from voicesvc.audio import Pcm
from voicesvc.bwf import About, Loudness
from voicesvc.encode import Depth, Output
from voicesvc.errors import InvalidRequest
from voicesvc.timecode import RATES, samples_of

DEPTHS: tuple[Depth, ...] = (16, 24, "32f")
AT = datetime(2026, 11, 25, 13, 30, 5, tzinfo=timezone(timedelta(hours=1)))
FULL = About(
    file_name="Harbour_12A.wav",
    uid="tk_0123456789abcdef0123",
    at=AT,
    frames=RATES["23.976"],
    time_reference=samples_of("10:00:00:00", "23.976", 48_000),
    native_rate_hz=22_050,
    software="voicesvc 0.1.0",
    made_of="seed 7, model 8d3f",
    project="Härbour & <Lights>",
    scene="12A",
    cue="c03",
    take="2",
    tape="20261125",
    circled=True,
    note="“good”, slower",
    character="Señora Øst",
    actor="joe",
    text="We hold the harbour until morning — Straße.",
    loudness=Loudness(-23.45, 3.2, -1.234, -18.5, -19.999),
)


def wav(depth: Depth = 24, rate_hz: int = 48_000) -> Output:
    return encode.choose("wav", rate_hz, depth, native_rate_hz=rate_hz)


def noise(n: int) -> Pcm:
    pcm: Pcm = np.random.default_rng(n).normal(0, 0.3, n).astype(np.float32)
    return pcm


def written(about: About, output: Output, pcm: Pcm) -> bytes:
    enc = bwf.encoder(about, output, len(pcm))
    return enc.feed(pcm) + enc.flush()


def changed(**facts: Any) -> About:
    return dataclasses.replace(FULL, **facts)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every chunk, by a reader that keeps strictly to RIFF; fails on a byte too few or too many."""
    form, size, kind = struct.unpack_from("<4sI4s", data)
    assert (form, size, kind) == (b"RIFF", len(data) - 8, b"WAVE")
    at = 12
    while at < len(data):
        name, n = struct.unpack_from("<4sI", data, at)
        assert at + 8 + n <= len(data)
        yield name, data[at + 8 : at + 8 + n]
        at += 8 + n + n % 2
    assert at == len(data)


def tags(data: bytes) -> dict[str, str]:
    """Every leaf of iXML, as SPEED/TIMECODE_RATE."""
    found: dict[str, str] = {}

    def walk(element: Any, above: str) -> None:
        for child in element:
            if len(child):
                walk(child, f"{above}{child.tag}/")
            else:
                found[above + child.tag] = child.text

    walk(ElementTree.fromstring(dict(chunks(data))[b"iXML"]), "")
    return found


def ffmpeg(path: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    """FFmpeg, as a program of its own."""
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path), *options, "-"]
    return subprocess.run(words, check=True, capture_output=True, timeout=60)


# -- read back -----------------------------------------------------------------------------------


def test_wavinfo_reads_every_field_of_bext(tmp_path: Path) -> None:
    path = tmp_path / "line.wav"
    path.write_bytes(written(FULL, wav(), noise(4801)))
    assert WavInfoReader(path).bext.to_dict() == {
        "description": "12A c03 T2 Senora Ost: We hold the harbour until morning - Strasse.",
        "originator": "voicesvc 0.1.0",
        "originator_ref": "ZZVSVFA446E80CE6B123005881956791",
        "originator_date": "2026-11-25",
        "originator_time": "12:30:05",
        "time_reference": 1_729_728_000,
        "version": 2,
        "umid": bytes(64),
        "coding_history": "A=PCM,F=22050,W=32,M=mono,T=voicesvc 0.1.0;float;seed 7; model 8d3f\r\n"
        "A=PCM,F=48000,W=24,M=mono,T=soxr HQ;no dither\r\n",
        "loudness_value": -23.45,
        "loudness_range": 3.2,
        "max_true_peak": -1.23,
        "max_momentary_loudness": -18.5,
        "max_shortterm_loudness": -20.0,
    }


def test_wavinfo_reads_every_field_of_ixml(tmp_path: Path) -> None:
    path = tmp_path / "line.wav"
    path.write_bytes(written(FULL, wav(), noise(4801)))
    info = WavInfoReader(path)
    track = {"channel_index": "1", "interleave_index": "1", "name": "Señora Øst", "function": ""}
    assert info.ixml.to_dict() == {
        "track_list": [track],
        "project": "Härbour & <Lights>",
        "scene": "12A",
        "take": "2",
        "tape": "20261125",
        "family_uid": "tk_0123456789abcdef0123",
        "family_name": "Harbour_12A",
    }
    read = {e.tag: e.text for e in info.ixml.raw_xml.getroot().iter() if not len(e)}
    assert read == {path.rpartition("/")[2]: v for path, v in tags(path.read_bytes()).items()}


def test_ixml_has_the_whole_of_what_is_known() -> None:
    assert tags(written(FULL, wav(), noise(480))) == {
        "IXML_VERSION": "3.01",
        "PROJECT": "Härbour & <Lights>",
        "SCENE": "12A",
        "TAPE": "20261125",
        "TAKE": "2",
        "CIRCLED": "TRUE",
        "FILE_UID": "tk_0123456789abcdef0123-48000-24",
        "UBITS": "00000000",
        "NOTE": "“good”, slower",
        "SPEED/MASTER_SPEED": "24000/1001",
        "SPEED/CURRENT_SPEED": "24000/1001",
        "SPEED/TIMECODE_RATE": "24000/1001",
        "SPEED/TIMECODE_FLAG": "NDF",
        "SPEED/FILE_SAMPLE_RATE": "48000",
        "SPEED/AUDIO_BIT_DEPTH": "24",
        "SPEED/DIGITIZER_SAMPLE_RATE": "48000",
        "SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI": "0",
        "SPEED/TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO": "1729728000",
        "SPEED/TIMESTAMP_SAMPLE_RATE": "48000",
        "LOUDNESS/LOUDNESS_VALUE": "-23.45",
        "LOUDNESS/LOUDNESS_RANGE": "3.20",
        "LOUDNESS/MAX_TRUE_PEAK_LEVEL": "-1.23",
        "LOUDNESS/MAX_MOMENTARY_LOUDNESS": "-18.50",
        "LOUDNESS/MAX_SHORT_TERM_LOUDNESS": "-20.00",
        "HISTORY/ORIGINAL_FILENAME": "Harbour_12A.wav",
        "FILE_SET/TOTAL_FILES": "1",
        "FILE_SET/FAMILY_UID": "tk_0123456789abcdef0123",
        "FILE_SET/FAMILY_NAME": "Harbour_12A",
        "FILE_SET/FILE_SET_INDEX": "A",
        "TRACK_LIST/TRACK_COUNT": "1",
        "TRACK_LIST/TRACK/CHANNEL_INDEX": "1",
        "TRACK_LIST/TRACK/INTERLEAVE_INDEX": "1",
        "TRACK_LIST/TRACK/NAME": "Señora Øst",
        "ASWG/contentType": "dialog",
        "ASWG/project": "Härbour & <Lights>",
        "ASWG/originator": "voicesvc 0.1.0",
        "ASWG/notes": "“good”, slower",
        "ASWG/isGenerated": "true",
        "ASWG/text": "We hold the harbour until morning — Straße.",
        "ASWG/characterName": "Señora Øst",
        "ASWG/actorName": "joe",
        "ASWG/schemaVersion": "1.1",
    }


def test_ffmpeg_reads_bext(tmp_path: Path) -> None:
    path = tmp_path / "line.wav"
    data = written(FULL, wav(), noise(4801))
    path.write_bytes(data)
    said = ffmpeg(path, "-f", "ffmetadata").stdout.decode().replace("\\\n", "\n").replace("\\", "")
    bext = WavInfoReader(path).bext
    for line in (
        f"comment={bext.description}",
        f"encoded_by={bext.originator}",
        f"originator_reference={bext.originator_ref}",
        "date=2026-11-25",
        "time_reference=1729728000",
        f"coding_history={bext.coding_history}",
    ):
        assert f"\n{line}\n" in said
    assert b"creation_time   : 12:30:05" in ffmpeg(path, "-f", "ffmetadata").stderr


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("n", [0, 1, 4800, 4801])
def test_samples_are_those_that_encode_writes(depth: Depth, n: int, tmp_path: Path) -> None:
    pcm, path = 4 * noise(n) if depth == "32f" else noise(n), tmp_path / "line.wav"
    plain = encode.encoder(wav(depth), n)
    expected = plain.feed(pcm) + plain.flush()
    data = written(FULL, wav(depth), pcm)
    path.write_bytes(data)
    ours, theirs = dict(chunks(data)), dict(chunks(expected))
    assert list(ours) == [b"bext", b"iXML", *theirs]
    assert {name: ours[name] for name in theirs} == theirs
    assert data.endswith(expected[12:])
    read, rate_hz = soundfile.read(path, dtype="float32")
    reference, _ = soundfile.read(io.BytesIO(expected), dtype="float32")
    assert rate_hz == 48_000
    np.testing.assert_array_equal(read, reference)
    if n:
        raw = {16: "s16le", 24: "s24le", "32f": "f32le"}[depth]
        decoded = ffmpeg(path, "-f", raw, "-c:a", f"pcm_{raw}").stdout
        assert decoded == theirs[b"data"]


@pytest.mark.parametrize("name", RATES)
def test_every_frame_rate_is_written_as_its_fraction(name: str) -> None:
    at = RATES[name]
    reference = samples_of(f"01:00:00{at.separator}00", name, 48_000)
    data = written(changed(frames=at, time_reference=reference), wav(), noise(8))
    read = tags(data)
    assert read["SPEED/TIMECODE_RATE"] == f"{at.fps.numerator}/{at.fps.denominator}"
    assert read["SPEED/TIMECODE_FLAG"] == ("DF" if name.endswith("df") else "NDF")
    assert WavInfoReader(io.BytesIO(data)).bext.time_reference == reference


def test_time_references_beyond_32_bits() -> None:
    late = samples_of("23:59:59:24", "25", 96_000)
    assert late > 2**32
    data = written(changed(time_reference=late, frames=RATES["25"]), wav(24, 96_000), noise(8))
    assert WavInfoReader(io.BytesIO(data)).bext.time_reference == late
    read = {tag.rpartition("_")[2]: int(v) for tag, v in tags(data).items() if "MIDNIGHT" in tag}
    assert read == {"HI": 1, "LO": late - 2**32}


# -- what is not known, and what ASCII has not ---------------------------------------------------


def test_what_is_not_known_is_left_out() -> None:
    about = About(
        file_name="T.wav",
        uid="tk_1",
        at=AT,
        frames=RATES["24"],
        time_reference=0,
        native_rate_hz=48_000,
        software="voicesvc 0.1.0",
        actor="joe",
    )
    data = written(about, wav(), noise(8))
    read = tags(data)
    gone = {"PROJECT", "SCENE", "TAPE", "TAKE", "NOTE", "ASWG/text", "ASWG/characterName"}
    assert gone & set(read) == set()
    assert not any(tag.startswith("LOUDNESS") for tag in read)
    assert None not in read.values()
    assert read["CIRCLED"] == "FALSE"
    assert read["TRACK_LIST/TRACK/NAME"] == "joe"
    bext = dict(chunks(data))[b"bext"]
    assert struct.unpack_from("<5h", bext, 412) == (0x7FFF,) * 5
    assert WavInfoReader(io.BytesIO(data)).bext.description == "joe"
    assert bext[602:].rstrip(b"\0").endswith(b"T=no dither\r\n")


@pytest.mark.parametrize(
    ("levels", "hundredths"),
    [
        (Loudness(-23.456, 7.001, 0.5, -0.004, 99.99), (-2346, 700, 50, 0, 9999)),
        (Loudness(-float("inf"), 0.0, float("nan"), -120.0, None), (None, 0, None, None, None)),
        (Loudness(-99.99, -0.5, -99.994, 99.996, float("inf")), (-9999, None, -9999, None, None)),
    ],
)
def test_levels_are_whole_hundredths_or_unknown(
    levels: Loudness, hundredths: tuple[int | None, ...]
) -> None:
    assert levels.hundredths == hundredths
    data = written(changed(loudness=levels), wav(), noise(8))
    expected = tuple(0x7FFF if n is None else n for n in hundredths)
    assert struct.unpack_from("<5h", dict(chunks(data))[b"bext"], 412) == expected


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Straße “Øst” — n\u0303o…", 'Strasse "Ost" - no...'),
        ("Война и мир", "Voyna i mir"),
        ("one\r\n two\tthree\u00a0", "one two three"),
        ("a\u200db\u0301", "ab"),
        ("bad \ud800 \x07 \ue000", "bad ? ? ?"),
        ("½ ©", "1/2 (C)"),
        ("\xad 0 \xad 1", "0 1"),
        ("", ""),
    ],
)
def test_ascii(text: str, plain: str) -> None:
    assert bwf.ascii_of(text) == plain


@given(text=st.text(max_size=400), most=st.integers(1, 300))
def test_ascii_is_short_and_printable(text: str, most: int) -> None:
    plain = bwf.ascii_of(text, most)
    assert len(plain) <= most
    assert plain.isascii()
    assert plain.isprintable()
    assert bwf.ascii_of(plain) == plain


def as_xml_has_it(text: str) -> str:
    """What XML 1.0 keeps of a text: no control characters, one kind of line end."""
    kept = "".join(
        c
        if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "\ufffd"
        for c in text
    )
    return re.sub("\r\n?", "\n", kept)


ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


@settings(max_examples=60)
@given(text=ANY_TEXT, note=ANY_TEXT, n=st.integers(1, 9))
def test_any_text_makes_a_file_that_is_read(text: str, note: str, n: int) -> None:
    data = written(changed(text=text, note=note, character=note), wav(), noise(n))
    info = WavInfoReader(io.BytesIO(data))
    assert len(info.bext.description) <= 256
    assert tags(data).get("NOTE", "") == as_xml_has_it(note)
    assert tags(data).get("ASWG/text", "") == as_xml_has_it(text)
    assert info.data.frame_count == soundfile.info(io.BytesIO(data)).frames == n


# -- streams -------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(depth=st.sampled_from(DEPTHS), cuts=st.lists(st.integers(0, 3000), min_size=1, max_size=9))
def test_chunked_bytes_are_whole_bytes(depth: Depth, cuts: list[int]) -> None:
    pcm = noise(sum(cuts))
    enc = bwf.encoder(FULL, wav(depth), len(pcm))
    parts = [enc.feed(part) for part in np.split(pcm, np.cumsum(cuts)[:-1])]
    assert b"".join([*parts, enc.flush()]) == written(FULL, wav(depth), pcm)


def test_nothing_fed_brings_the_head_and_only_once() -> None:
    enc = bwf.encoder(FULL, wav(), 3)
    head = enc.feed(noise(0))
    assert head.endswith(b"data" + struct.pack("<I", 9))
    assert enc.feed(noise(0)) == b""
    assert len(enc.feed(noise(3))) == 9
    assert enc.flush() == b"\0"


def test_a_chunk_can_be_appended(tmp_path: Path) -> None:
    data = written(FULL, wav(), noise(4801))
    extra = b"axml" + struct.pack("<I", 4) + b"<a/>"
    path = tmp_path / "line.wav"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) + 12 - 8) + data[8:] + extra)
    assert list(chunks(path.read_bytes()))[-1] == (b"axml", b"<a/>")
    assert WavInfoReader(path).bext.time_reference == 1_729_728_000
    np.testing.assert_array_equal(soundfile.read(path)[0], soundfile.read(io.BytesIO(data))[0])


def test_a_length_that_was_promised_is_kept() -> None:
    enc = bwf.encoder(FULL, wav(), 10)
    enc.feed(noise(9))
    with pytest.raises(ValueError, match="10 samples were promised and 9 were fed"):
        enc.flush()


def test_what_a_wav_cannot_count_is_refused() -> None:
    most = (2**32 - 2 - 5000) // 3
    bwf.encoder(FULL, wav(), most)
    with pytest.raises(InvalidRequest, match="do not fit into a WAV"):
        bwf.encoder(FULL, wav(), most + 2000)
    with pytest.raises(ValueError, match="not a flac"):
        bwf.encoder(FULL, encode.choose("flac", 48_000, 24, native_rate_hz=48_000), 10)


def test_the_reference_is_the_files_own() -> None:
    def reference(about: About, output: Output) -> str:
        found: str = WavInfoReader(io.BytesIO(written(about, output, noise(8)))).bext.originator_ref
        return found

    usual = reference(FULL, wav())
    assert len(usual) == 32
    assert usual == reference(changed(note="other", file_name="x.wav"), wav())
    others = [
        reference(changed(uid="tk_other"), wav()),
        reference(FULL, wav(16)),
        reference(changed(at=datetime(2026, 11, 25, tzinfo=UTC)), wav()),
    ]
    assert len({usual, *others}) == 4
