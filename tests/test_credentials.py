"""Credentials put into files and beside them, read again, and what is made of a changed file."""

import io
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from certificates import NOW, SSL_SERVER, Issued, issued
from wavinfo import WavInfoReader

from voicesvc import bwf, credentials, encode, timecode
from voicesvc.audio import Pcm
from voicesvc.credentials import EMBEDDED, Facts, Signing, explain, opaque
from voicesvc.credentials.identity import identity
from voicesvc.credentials.local import FILE, LOCAL_NAME, local, made
from voicesvc.credentials.reading import read_open
from voicesvc.errors import BadSetting, SigningFailed
from voicesvc.recording import Bounds

RATE_HZ = 48_000
EXPIRED = Path(__file__).parent / "data" / "expired.wav"
SECRET, GRANT = b"s" * 32, "harbour-estate-2026"
FACTS = Facts(
    take="tk_0123",
    grant=opaque(SECRET, GRANT, "tk_0123"),
    model_sha256="ab" * 32,
    version="0.1.0",
    watermark=True,
    entry=7,
    root="cd" * 32,
)


@pytest.fixture(scope="module")
def own() -> Issued:
    return issued()


@pytest.fixture(scope="module")
def signing(own: Issued) -> Signing:
    return Signing(identity(own.chain, own.key, NOW))


def pcm() -> Pcm:
    t = np.arange(RATE_HZ // 4) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)


def plain(form: str) -> bytes:
    output = encode.choose(form, RATE_HZ, native_rate_hz=RATE_HZ)
    encoder = encode.encoder(output, len(pcm()))
    return encoder.feed(pcm()) + encoder.flush()


def broadcast() -> bytes:
    about = bwf.About(
        file_name="a.wav",
        uid="tk_0123",
        at=datetime(2026, 11, 30, tzinfo=UTC),
        frames=timecode.rate("24"),
        time_reference=48_000 * 3600,
        native_rate_hz=22_050,
        software="voicesvc 0.1.0",
        scene="42A",
        take="3",
        text="The harbour was quiet.",
    )
    output = encode.choose("wav", RATE_HZ, 24, native_rate_hz=RATE_HZ)
    encoder = bwf.encoder(about, output, len(pcm()))
    return encoder.feed(pcm()) + encoder.flush()


def embedded(signing: Signing, content: bytes, form: str = "wav") -> bytes:
    target = io.BytesIO()
    signing.embed(io.BytesIO(content), target, EMBEDDED[form], FACTS)
    return target.getvalue()


def read(content: bytes, anchors: bytes = b"") -> credentials.Credentials:
    return read_open(io.BytesIO(content), anchors_pem=anchors)


@pytest.mark.parametrize("form", EMBEDDED)
def test_a_file_says_what_it_is_and_sounds_the_same(signing: Signing, form: str) -> None:
    before = plain(form)
    after = embedded(signing, before, form)
    told = read(after)
    assert (told.state, told.codes) == ("valid", ("signingCredential.untrusted",))
    assert (told.synthetic, told.training_allowed) == (True, False)
    assert (told.take, told.grant, told.model_sha256) == (
        FACTS.take,
        FACTS.grant,
        FACTS.model_sha256,
    )
    assert (told.ledger_entry, told.ledger_root) == (7, "cd" * 32)
    assert told.signer == "Harbour Sound"
    samples = [soundfile.read(io.BytesIO(f), dtype="int32")[0] for f in (before, after)]
    assert np.array_equal(*samples)
    assert GRANT.encode() not in after


def test_a_file_of_strangers_is_read_apart(own: Issued, signing: Signing, tmp_path: Path) -> None:
    path, anchors = tmp_path / "file", tmp_path / "roots.pem"
    anchors.write_bytes(own.root)
    for content in (embedded(signing, plain("mp3"), "mp3"), plain("wav"), EXPIRED.read_bytes()):
        path.write_bytes(content)
        for pem in (None, anchors):
            told = credentials.read(path, anchors=pem)
            assert told == read(content, b"" if pem is None else own.root)
    told = credentials.read(path, bounds=Bounds(memory_bytes=1 << 20))
    assert (told.state, told.take) == ("unreadable", None)
    assert "more memory or time" in told.reasons[0]


def test_a_sidecar_without_end_is_unreadable_and_takes_no_more_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(plain("wav"))
    bounds = Bounds(memory_bytes=1 << 30)
    told = credentials.read(path, Path("/dev/zero"), bounds=bounds)
    assert told.state == "unreadable"


@pytest.mark.parametrize("form", ["opus", "pcm_s16le", "pcm_f32le"])
def test_what_holds_none_has_them_beside_it(signing: Signing, tmp_path: Path, form: str) -> None:
    content = plain(form)
    path = tmp_path / "take"
    path.write_bytes(content)
    assert credentials.read(path).state == "none"
    (tmp_path / "take.c2pa").write_bytes(signing.beside(io.BytesIO(content), FACTS))
    told = credentials.read(path)
    assert (told.state, told.take) == ("valid", FACTS.take)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    told = credentials.read(path)
    assert told.state == "invalid"
    assert "assertion.dataHash.mismatch" in told.codes


@pytest.mark.parametrize(
    ("found", "offset", "reason"),
    [
        (b"data", 5000, "changed after it was signed"),
        (b"bext", 10, "changed after it was signed"),
        (b"42A", 0, "changed after it was signed"),
        (b"abababab", 3, "changed after they were signed"),
    ],
)
def test_a_changed_bit_is_told(signing: Signing, found: bytes, offset: int, reason: str) -> None:
    content = bytearray(embedded(signing, broadcast()))
    at = content.find(found)
    assert at > 0
    content[at + offset] ^= 1
    told = read(bytes(content))
    assert told.state == "invalid"
    assert any(reason in r for r in told.reasons), told.reasons
    assert told.words.startswith("Not to be believed")


def test_bext_and_ixml_are_as_they_were(signing: Signing) -> None:
    before = broadcast()
    after = embedded(signing, before)
    one, other = (WavInfoReader(io.BytesIO(f)) for f in (before, after))
    assert one.bext.to_dict() == other.bext.to_dict()
    assert one.ixml.to_dict() == other.ixml.to_dict()
    assert other.ixml.scene == "42A"
    assert before[8:] == after[8 : len(before)]  # all but the length in the head
    assert after[len(before) : len(before) + 4] == b"C2PA"


def test_who_signed_is_trusted_by_root(own: Issued, signing: Signing) -> None:
    content = embedded(signing, plain("wav"))
    assert read(content, own.root).state == "trusted"
    told = read(content, issued().root)
    assert (told.state, told.codes) == ("valid", ("signingCredential.untrusted",))
    assert "anybody can make one" in told.words


def test_a_certificate_that_ran_out_since_is_told() -> None:
    told = read(EXPIRED.read_bytes())
    assert told.state == "invalid"
    assert any("run out" in r or "was not valid" in r for r in told.reasons), told


def test_what_is_no_audio_is_unreadable() -> None:
    told = read(b"RIFF\xff\xff\xff\x7fWAVEdata")
    assert (told.state, bool(told.reasons)) == ("unreadable", True)


def test_an_empty_report_is_not_believed() -> None:
    assert explain({}).state == "invalid"


@pytest.mark.parametrize("kind", ["es256", "es384", "ed25519", "ps256"])
def test_every_kind_of_key_signs(kind: str) -> None:
    one = issued(kind)
    content = embedded(Signing(identity(one.chain, one.key, NOW)), plain("wav"))
    assert read(content, one.root).state == "trusted"


def refusals() -> dict[str, Callable[[Issued], tuple[bytes, bytes, datetime]]]:
    return {
        "has run out": lambda i: (i.chain, i.key, NOW + timedelta(days=31)),
        "is not valid yet": lambda i: (i.chain, i.key, NOW - timedelta(days=1)),
        "is for other purposes": lambda _: (issued(purpose=SSL_SERVER).chain, b"", NOW),
        "is not the key": lambda i: (i.chain, issued().key, NOW),
        "no private key": lambda i: (i.chain, i.chain, NOW),
        "holds no certificates": lambda i: (b"nothing", i.key, NOW),
        "is signed by itself": lambda i: (i.root, i.key, NOW),
        "is out of order": lambda i: (i.chain + issued().chain, i.key, NOW),
        "another kind of key": lambda _: (issued("p521").chain, b"", NOW),
    }


@pytest.mark.parametrize("reason", refusals())
def test_a_chain_that_nobody_could_verify_is_refused(own: Issued, reason: str) -> None:
    with pytest.raises(BadSetting, match=reason) as refused:
        identity(*refusals()[reason](own))
    assert refused.value.valid


def test_the_service_makes_itself_a_certificate_once(tmp_path: Path) -> None:
    one = local(tmp_path / "new", NOW)
    assert stat.S_IMODE(os.stat(tmp_path / "new" / FILE).st_mode) == 0o600
    assert local(tmp_path / "new", NOW) == one
    assert (one.local, one.name) == (True, LOCAL_NAME)
    told = read(embedded(Signing(one), plain("wav")))
    assert (told.state, told.signer) == ("valid", LOCAL_NAME)
    later = local(tmp_path / "new", NOW + timedelta(days=3640))
    assert later.sha256 != one.sha256
    (tmp_path / FILE).write_bytes(made(NOW)[:200])
    with pytest.raises(BadSetting, match="no certificate"):
        local(tmp_path, NOW)


def test_a_key_that_does_not_answer_signs_nothing(own: Issued) -> None:
    def silent(_: bytes) -> bytes:
        raise SigningFailed("the vault is shut")

    one = replace(identity(own.chain, own.key, NOW), key_pem=None)
    with pytest.raises(SigningFailed, match="the vault is shut"):
        embedded(Signing(one, silent), plain("wav"))


def test_the_same_grant_reads_otherwise_in_every_take() -> None:
    others = {opaque(SECRET, GRANT, f"tk_{n}") for n in range(3)}
    assert len({*others, opaque(b"t" * 32, GRANT, "tk_0")}) == 4
    assert opaque(SECRET, GRANT, "tk_0") in others


def test_the_library_is_loaded_when_a_file_is_signed() -> None:
    code = "import sys, voicesvc.credentials; sys.exit('c2pa' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
