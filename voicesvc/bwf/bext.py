"""The `bext` chunk, version 2: EBU Tech 3285 v2 (2011)."""

import hashlib
import struct
from collections.abc import Iterable
from datetime import UTC, datetime

from voicesvc.bwf.about import About
from voicesvc.bwf.ascii import ascii_of
from voicesvc.encode import Output

VERSION = 2
UNKNOWN = 0x7FFF  # what a level says that was not measured
_LAYOUT = struct.Struct("<256s32s32s10s8sQH64s5h180s")
_ORIGIN = "ZZVSV"  # country and organisation: "ZZ" is nobody's country, and we are not registered


def payload(about: About, output: Output, uid: str) -> bytes:
    """The chunk's bytes after its size; `uid` is the file's.

    Description, originator, reference, date and time in UTC, time reference, a UMID of zeros
    (none was assigned), loudness, and the coding history, padded with a zero to whole words.
    """
    at = about.at.astimezone(UTC)
    levels = (UNKNOWN if n is None else n for n in about.loudness.hundredths)
    history = coding_history(about, output).encode("ascii")
    return (
        _LAYOUT.pack(
            ascii_of(about.description, 256).encode(),
            ascii_of(about.software, 32).encode(),
            reference(uid, at).encode(),
            at.strftime("%Y-%m-%d").encode(),
            at.strftime("%H:%M:%S").encode(),
            about.time_reference,
            VERSION,
            bytes(64),
            *levels,
            bytes(180),
        )
        + history
        + bytes(len(history) % 2)
    )


def reference(uid: str, at: datetime) -> str:
    """An identifier of a file in the form of a USID, 32 characters (EBU R 99).

    Country and organisation, 12 characters, HHMMSS, 9 digits. R 99 takes a machine's number and a
    random one; here both are of the SHA-256 of `uid`, so the same file has the same.
    """
    digest = hashlib.sha256(uid.encode()).digest()
    number = int.from_bytes(digest[6:14], "big") % 10**9
    return f"{_ORIGIN}{digest[:6].hex().upper()}{at:%H%M%S}{number:09}"


def coding_history(about: About, output: Output) -> str:
    """What was done to the samples, a line each (EBU R 98): made as float, then written."""
    native_hz, rate_hz, depth = about.native_rate_hz, output.sample_rate_hz, output.bit_depth
    made = (about.software, "float", about.made_of)
    done = ("" if native_hz == rate_hz else "soxr HQ", "" if depth == "32f" else "no dither")
    lines = ((native_hz, 32, made), (rate_hz, 32 if depth == "32f" else depth, done))
    return "".join(
        f"A=PCM,F={hz},W={bits},M=mono,T={_free(texts)}\r\n" for hz, bits, texts in lines
    )


def _free(texts: Iterable[str]) -> str:
    """What may stand after `T=`: a comma would begin another field."""
    return ascii_of(";".join(filter(None, texts))).replace(",", ";")
