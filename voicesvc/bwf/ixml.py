"""The `iXML` chunk, 3.01 (ixml.info), with the dialogue part of Sony's extension ASWG-G006 1.1.

As the specification advises, what is not known is left out.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from voicesvc.bwf.about import About
from voicesvc.encode import Output

VERSION = "3.01"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_LEVELS = (  # in the order of `bext`
    "LOUDNESS_VALUE",
    "LOUDNESS_RANGE",
    "MAX_TRUE_PEAK_LEVEL",
    "MAX_MOMENTARY_LOUDNESS",
    "MAX_SHORT_TERM_LOUDNESS",
)


def payload(about: About, output: Output, uid: str) -> bytes:
    """The chunk's bytes after its size, UTF-8; `uid` is the file's.

    What XML cannot hold becomes U+FFFD. A line feed at the end makes whole words.
    """
    root = ET.Element("BWFXML")
    _fill(root, _fields(about, output, uid))
    ET.indent(root)
    document = f"{_DECLARATION}{ET.tostring(root, 'unicode')}\n".encode()
    return document + b"\n" * (len(document) % 2)


def _fields(about: About, output: Output, uid: str) -> dict[str, Any]:
    """Tags and what is in them, in order; None and "" are left out."""
    return {
        "IXML_VERSION": VERSION,
        "PROJECT": about.project,
        "SCENE": about.scene,
        "TAPE": about.tape,
        "TAKE": about.take,
        "CIRCLED": str(about.circled).upper(),
        "FILE_UID": uid,
        "UBITS": "00000000",
        "NOTE": about.note,
        "SPEED": _speed(about, output),
        "LOUDNESS": _loudness(about),
        "HISTORY": {"ORIGINAL_FILENAME": about.file_name},
        "FILE_SET": {
            "TOTAL_FILES": 1,
            "FAMILY_UID": about.uid,
            "FAMILY_NAME": about.file_name.rpartition(".")[0],
            "FILE_SET_INDEX": "A",
        },
        "TRACK_LIST": {
            "TRACK_COUNT": 1,
            "TRACK": {"CHANNEL_INDEX": 1, "INTERLEAVE_INDEX": 1, "NAME": about.track},
        },
        "ASWG": {
            "contentType": "dialog",
            "project": about.project,
            "originator": about.software,
            "notes": about.note,
            "isGenerated": "true",
            "text": about.text,
            "characterName": about.character,
            "actorName": about.actor,
            "schemaVersion": "1.1",
        },
    }


def _speed(about: About, output: Output) -> dict[str, Any]:
    """How fast picture and samples go, and when the first sample is."""
    fps = about.frames.fps
    said = f"{fps.numerator}/{fps.denominator}"
    high, low = divmod(about.time_reference, 2**32)
    return {
        "MASTER_SPEED": said,
        "CURRENT_SPEED": said,
        "TIMECODE_RATE": said,
        "TIMECODE_FLAG": "DF" if about.frames.dropped else "NDF",
        "FILE_SAMPLE_RATE": output.sample_rate_hz,
        "AUDIO_BIT_DEPTH": 32 if output.bit_depth == "32f" else output.bit_depth,
        "DIGITIZER_SAMPLE_RATE": output.sample_rate_hz,  # another one would ask for a pull-up
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI": high,
        "TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO": low,
        "TIMESTAMP_SAMPLE_RATE": output.sample_rate_hz,
    }


def _loudness(about: About) -> dict[str, str] | None:
    """What `bext` says too, as decimals."""
    known = {
        tag: f"{hundredths / 100:.2f}"
        for tag, hundredths in zip(_LEVELS, about.loudness.hundredths, strict=True)
        if hundredths is not None
    }
    return known or None


def _fill(element: ET.Element, fields: Mapping[str, Any]) -> None:
    for tag, value in fields.items():
        if value is None or value == "":
            continue
        child = ET.SubElement(element, tag)
        if isinstance(value, dict):
            _fill(child, value)
        else:
            child.text = _NO_XML.sub("\ufffd", str(value))
