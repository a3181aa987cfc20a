"""Is a recording ours? Over HTTP and on the page, with what strangers may send."""

import asyncio
import io
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import numpy as np
import page_browser
import pytest
import scipy.signal
import soundfile
from axe_playwright_python.sync_playwright import Axe
from certificates import NOW, issued
from conftest import Service, eventually, tones_served
from kept import RATE_HZ, chatter, keep
from playwright.sync_api import Browser, expect
from starlette.requests import Request

from voicesvc.api.forms import MOST_AROUND_BYTES, OneFile
from voicesvc.api.verify import Desk, Pace
from voicesvc.archive import Archive, Origin
from voicesvc.audio import Pcm, Resampler
from voicesvc.credentials import Facts, Signing
from voicesvc.credentials.identity import identity
from voicesvc.errors import BadRecording, RecordingTooLong, TooManyRequests
from voicesvc.line import Line
from voicesvc.loops import Manners
from voicesvc.marks.watermark import Watermark, hop
from voicesvc.recording import Bounds, decode
from voicesvc.store import fingerprints

browser = page_browser.browser
TEXT = "Nobody may read this."
MOST_S, MOST_BYTES = 20, 1_000_000
SLOW_S = 240.0  # the program starts with the lowest priority


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    limits = {"verify_max_s": MOST_S, "verify_max_bytes": MOST_BYTES, "verify_per_minute": 600}
    with tones_served(tmp_path_factory.mktemp("verify"), settings=limits) as running:
        yield running


def archive_of(service: Service) -> Archive:
    assert service.studio.archive is not None
    return service.studio.archive


@pytest.fixture(scope="module")
def take(service: Service) -> Any:
    """One that was made under the grant that the actor `ann` has, and its samples."""
    archive, pack = archive_of(service), service.studio.cast.pack("ann")
    permit = service.studio.check(Line(actor="ann", text=TEXT), Origin())
    keep(archive, "tk_other", chatter(5))
    given = {"actor": "ann", "text": TEXT, "model_sha256": pack.model_sha256, "permit": permit}
    stored = keep(archive, "tk_voice", chatter(4), **given)
    assert eventually(lambda: archive.database.read(fingerprints.count) == 2, 20)
    return stored


def coded(pcm: Pcm, format: str, rate_hz: int = RATE_HZ, **options: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, pcm, rate_hz, format=format, **options)
    return file.getvalue()


def m4a(pcm: Pcm, *options: str) -> bytes:
    """As AAC, by FFmpeg's encoder."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", "-c:a", "aac"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.m4a"
        given = coded(pcm, "WAV")
        subprocess.run([*command, "-b:a", "96k", *options, path], input=given, check=True)
        return path.read_bytes()


def verify(service: Service, content: bytes, **headers: str) -> httpx.Response:
    return service.http.post("/v1/verify", content=content, headers=headers, timeout=SLOW_S)


def test_a_take_is_named_and_nothing_is_told_of_it(service: Service, take: Any) -> None:
    recording = np.concatenate([chatter(9, 2.0), chatter(4)])
    answer = verify(service, coded(recording, "MP3"))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    (match,) = told["fingerprint"]["matches"]
    assert match["take"] == take.id
    assert match["begin_s"] == pytest.approx(2.0, abs=0.3)
    assert match["end_s"] == pytest.approx(5.0, abs=0.3)
    assert (told["recording"]["kind"], told["fingerprint"]["among"]) == ("MP3", 2)
    assert 0 < told["fingerprint"]["wrong_below"] < 0.05
    (known,) = told["takes"]
    assert known["grant"] == {"stands": True, "reason": None}
    assert known["kept"]
    entry = service.http.get(known["ledger"]["proof"]).json()
    assert f'"{take.id}"' in entry["body"]
    assert '"made"' in entry["body"]
    assert take.id in told["answer"]
    assert "still stands" in told["answer"]
    assert TEXT not in answer.text
    for secret in ("ann", "demo", take.facts["grant"]):
        assert f'"{secret}"' not in answer.text


def test_a_marked_take_is_found_in_an_m4a(service: Service, take: Any) -> None:
    mark, given = Watermark(RATE_HZ, hop(RATE_HZ, 256)), issued()
    signing = Signing(identity(given.chain, given.key, NOW))
    marked = np.concatenate([mark.feed(chatter(4)), mark.flush()])
    signed = io.BytesIO()
    facts = Facts(
        take=take.id,
        grant="g",
        model_sha256="ab" * 32,
        version="0.1.0",
        watermark=True,
        entry=1,
        root="cd" * 32,
    )
    signing.embed(io.BytesIO(m4a(marked)), signed, "audio/mp4", facts)
    told = verify(service, signed.getvalue()).json()
    (match,) = told["fingerprint"]["matches"]
    assert (match["take"], told["recording"]["kind"]) == (take.id, "M4A")
    assert match["begin_s"] == pytest.approx(0.0, abs=0.3)
    assert told["recording"]["duration_s"] == pytest.approx(3.0, abs=0.15)
    assert told["watermark"]["verdict"] == "marked"
    assert (told["credentials"]["state"], told["credentials"]["take"]) == ("valid", take.id)


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        (("-movflags", "+faststart"), 1),
        (("-ac", "2", "-ar", "44100"), 2),
        (("-f", "mp4", "-brand", "isom"), 1),
    ],
    ids=["head first", "stereo", "MP4"],
)
def test_aac_is_decoded(tmp_path: Path, options: tuple[str, ...], channels: int) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(m4a(chatter(4), *options))
    found = decode(path, Bounds())
    assert (found.kind, found.channels) == ("M4A", channels)
    given = Resampler(RATE_HZ, 32_000)
    sound = np.concatenate([given.feed(chatter(4)), given.flush()])
    lag = scipy.signal.correlate(found.pcm, sound, "full").argmax() - len(sound) + 1
    assert 0 <= lag / 32_000 <= 0.05
    heard = found.pcm[lag : lag + len(sound)]
    assert np.corrcoef(heard, sound[: len(heard)])[0, 1] > 0.9


def box(kind: bytes, *inside: bytes) -> bytes:
    content = b"".join(inside)
    return struct.pack(">I4s", 8 + len(content), kind) + content


FTYP = box(b"ftyp", b"M4A \0\0\0\0")


def hostile(kind: str) -> bytes:
    """An MP4 that says what is not so."""
    whole = m4a(chatter(4)[:8000])
    stsz, stco = whole.index(b"stsz") + 4, whole.index(b"stco") + 4
    if kind == "huge box":
        return FTYP + struct.pack(">I4sQ", 1, b"free", 1 << 62) + bytes(1000)
    if kind == "huge head":
        return FTYP + struct.pack(">I4sQ", 1, b"moov", 1 << 50) + bytes(1000)
    if kind == "many frames":
        return whole[: stsz + 4] + struct.pack(">II", 100, 1 << 31) + whole[stsz + 12 :]
    if kind == "frames elsewhere":
        return whole[: stco + 8] + struct.pack(">I", 0xFFFFFF00) + whole[stco + 12 :]
    if kind == "noise":
        at = whole.index(b"mdat") + 4
        return whole[:at] + np.random.default_rng(1).bytes(2000) + whole[at + 2000 :]
    return FTYP + {"no tracks": box(b"moov"), "cut off": whole[30 : len(whole) // 2]}[kind]


@pytest.mark.parametrize(
    "kind",
    ["huge box", "huge head", "many frames", "frames elsewhere", "noise", "no tracks", "cut off"],
)
def test_an_mp4_that_is_not_what_it_says_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.m4a"
    path.write_bytes(hostile(kind))
    with pytest.raises((BadRecording, RecordingTooLong)):
        decode(path, Bounds())


def test_what_is_not_ours_is_not(service: Service, take: Any) -> None:
    told = verify(service, coded(chatter(11), "FLAC")).json()
    assert (told["fingerprint"]["matches"], told["takes"]) == ([], [])
    assert told["credentials"]["state"] == "none"
    assert "no proof" in told["answer"] or "Nothing can be told" in told["answer"]


def test_a_grant_that_was_revoked_does_not_stand(service: Service, take: Any) -> None:
    path = f"/v1/grants/{take.facts['grant']}/notices"

    def said(action: str) -> int:
        return service.http.post(path, json={"action": action}).status_code

    assert said("suspend") < 300
    try:
        (known,) = verify(service, coded(chatter(4), "WAV")).json()["takes"]
        assert known["grant"] == {"stands": False, "reason": "the grant was revoked or suspended"}
    finally:
        said("resume")


def many_channels() -> bytes:
    return coded(np.zeros((100, 40), np.float32), "WAV")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "status", "slug"),
    [
        (b"", 415, "unknown-kind"),
        (b"hello, this is no sound", 415, "unknown-kind"),
        (b"RIFF\xff\xff\xff\xffWAVE" + b"x" * 1000, 422, "bad-recording"),
        (coded(chatter(1), "FLAC")[:3000], 422, "bad-recording"),
        (coded(np.zeros(0, np.float32), "WAV"), 422, "bad-recording"),
        (many_channels(), 422, "bad-recording"),
        (coded(np.zeros(40 * 44_100, np.float32), "FLAC", 44_100), 413, "recording-too-long"),
        (b"RIFF" + bytes(MOST_BYTES), 413, "recording-too-long"),
    ],
    ids=["nothing", "text", "rubbish", "cut off", "no sound", "40 channels", "bomb", "large"],
)
def test_what_cannot_be_examined_is_refused(
    service: Service, content: bytes, status: int, slug: str
) -> None:
    answer = verify(service, content)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")


def test_a_text_is_refused(service: Service) -> None:
    answer = service.http.post("/v1/verify", json={"file": "RIFF"})
    assert (answer.status_code, answer.json()["where"]) == (415, "Content-Type")
    assert "-F file=@take.wav" in answer.json()["valid"]


def test_a_form_is_examined_as_its_file_is(service: Service, take: Any) -> None:
    file = ("take.wav", coded(chatter(4), "WAV"), "audio/wav")
    answer = service.http.post("/v1/verify", files={"file": file}, timeout=SLOW_S)
    assert answer.status_code == 200, answer.text
    (match,) = answer.json()["fingerprint"]["matches"]
    assert match["take"] == take.id


@pytest.mark.parametrize(
    ("files", "status", "where"),
    [
        ({"file": ("a.wav", b"hello, this is no sound")}, 415, None),
        ({"file": ("a.wav", b"")}, 415, None),
        ({"file": ("a.wav", b"RIFF" + bytes(MOST_BYTES))}, 413, None),
        ({"file": (None, b"RIFF")}, 422, "file"),
        ({"take": ("a.wav", b"RIFF")}, 422, "take"),
        ([("file", ("a.wav", b"RIFF")), ("file", ("b.wav", b"RIFF"))], 422, "file"),
        ([("file", ("a.wav", b"RIFF")), ("note", (None, b"x"))], 422, "note"),
    ],
    ids=["no sound", "empty", "large", "a text", "unknown", "two", "one more"],
)
def test_a_form_that_is_not_one_recording_is_refused(
    service: Service, files: Any, status: int, where: str | None
) -> None:
    answer = service.http.post("/v1/verify", files=files)
    told = answer.json()
    assert (answer.status_code, told.get("where")) == (status, where), told
    assert told["type"].startswith("/problems/")
    assert "file" in str(told["valid"]) or status != 422
    assert list(service.studio.settings.data_path.glob("verify-*/*")) == []


BOUND = "multipart/form-data; boundary=ab"
PART = b'--ab\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("multipart/form-data", b"", "boundary"),
        ("multipart/form-data; boundary=" + "a" * 300, b"", "boundary"),
        (BOUND, b"", "cut off"),
        (BOUND, PART + b"RIFF", "cut off"),
        (BOUND, b"--ab--\r\n", "no file"),
        (BOUND, b"hello, no form", "cannot be read"),
        (BOUND, PART[:6] + b"X: " + bytes(5_000), "cannot be read"),
        (BOUND, PART + b"\r\n--ab--\r\n" + bytes(MOST_AROUND_BYTES), "not its file"),
    ],
    ids=["none", "long", "empty", "cut", "no parts", "text", "header", "after it"],
)
def test_a_body_that_is_no_form_is_refused(
    service: Service, kind: str, body: bytes, says: str
) -> None:
    answer = service.http.post("/v1/verify", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid-request")
    assert says in answer.json()["detail"]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_form_in_pieces_gives_its_file_as_it_comes(size: int) -> None:
    inside = b"\r\n--a" * 40 + bytes(range(256))
    form, body = OneFile(BOUND), PART + inside + b"\r\n--ab--\r\n"
    pieces = [form.feed(body[at : at + size]) for at in range(0, len(body), size)]
    form.flush()
    assert b"".join(pieces) == inside
    assert max(map(len, pieces)) <= size + len(b"\r\n--a")  # what might have been a boundary


def bomb(frame_mb: int, frames: int) -> bytes:
    """An ID3 tag with objects of zeros, packed to a thousandth."""

    def safe(n: int) -> bytes:
        return bytes((n >> shift) & 127 for shift in (21, 14, 7, 0))

    zeros, packer = bytes(1_000_000), zlib.compressobj(9, wbits=-15)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    body = b""
    for n in range(frames):
        about, begin = b"\0a\0a%d\0a%d\0" % (n, n), zlib.compressobj(9)
        packed = begin.compress(about) + begin.flush(zlib.Z_FULL_FLUSH) + frame_mb * block
        total = zlib.adler32(about)
        for _ in range(frame_mb):
            total = zlib.adler32(zeros, total)
        packed += b"\x03\0" + total.to_bytes(4, "big")
        size = safe(len(about) + frame_mb * len(zeros))
        body += b"GEOB" + safe(len(packed) + 4) + b"\0\x09" + size + packed
    return b"ID3\x04\0\0" + safe(len(body)) + body


def test_credentials_that_unpack_to_more_than_may_be_leave_the_rest(
    service: Service, take: Any
) -> None:
    recording = bomb(180, 5) + coded(chatter(4), "MP3")
    assert len(recording) < MOST_BYTES
    told = verify(service, recording).json()
    assert told["credentials"]["state"] == "unreadable"
    assert "more memory" in told["credentials"]["reasons"][0]
    assert [match["take"] for match in told["fingerprint"]["matches"]] == [take.id]
    assert verify(service, coded(chatter(11), "WAV")).json()["credentials"]["state"] == "none"


@pytest.mark.parametrize(
    "tried",
    ["open('/etc/hostname')", "__import__('socket').socket()", "bytearray(1 << 30)"],
    ids=["a file", "a connection", "memory"],
)
def test_a_decoder_is_shut_in(tried: str) -> None:
    code = f"from voicesvc.recording.shut import shut_in; shut_in(5, 1 << 29); {tried}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 1
    free = subprocess.run([sys.executable, "-c", tried], capture_output=True, check=False)
    assert free.returncode == 0


def test_an_address_has_so_many_a_minute() -> None:
    now_s = [100.0]
    pace = Pace(3, lambda: now_s[0])
    for _ in range(3):
        pace.take("1.2.3.4")
    pace.take("5.6.7.8")
    with pytest.raises(TooManyRequests) as refused:
        pace.take("1.2.3.4")
    assert refused.value.retry_after_s == 20
    now_s[0] += 20
    pace.take("1.2.3.4")


def test_where_it_is_off_there_is_no_such_route(tmp_path: Path) -> None:
    with tones_served(tmp_path, settings={"verify": "off"}) as running:
        assert running.http.post("/v1/verify", content=b"RIFF").status_code == 404
        assert running.http.get("/verify").status_code == 404


def test_the_page_says_which_take_and_where(browser: Browser, service: Service, take: Any) -> None:
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.goto(f"{service.url}/verify")
    chooser, status = page.get_by_label("Recording"), page.get_by_role("status")
    wav = coded(chatter(4), "WAV")
    chooser.set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": wav})
    heading = page.get_by_role("heading", level=2)
    expect(heading).to_contain_text(f"it is take {take.id}", timeout=1000 * SLOW_S)
    expect(heading).to_be_focused()
    expect(page.get_by_role("listitem").first).to_contain_text(f"0:00.0 to 0:03.0: take {take.id}")
    expect(page.locator("#where rect.take")).to_have_count(1)
    serious = [
        v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")
    ]
    assert (serious, errors) == ([], [])
    chooser.set_input_files({"name": "b.txt", "mimeType": "text/plain", "buffer": b"no sound"})
    expect(status).to_contain_text("No such kind of file")
    expect(heading).to_be_hidden()
    page.close()


def test_the_look_up_gives_way_to_who_listens(service: Service) -> None:
    listens = [True, True, False]
    desk = Desk(service.studio, archive_of(service), Manners(lambda: listens.pop(0)))
    body = coded(chatter(4), "WAV")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"audio/wav")]
    request = Request({"type": "http", "client": ("ann", 1), "headers": headers}, receive)
    try:
        with ThreadPoolExecutor(1) as elsewhere:  # the browser's own loop runs in this thread
            told = elsewhere.submit(lambda: asyncio.run(desk.verify(request))).result(SLOW_S)
    finally:
        desk.close()
    assert told["recording"]["kind"] == "WAV"
    assert listens == []
