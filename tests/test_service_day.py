"""A day's work: a script imported, takes made, marked by two editors, a restart, an export.

`DAY_LINES=200 pytest tests/test_service_day.py` does it with a whole script.
"""

import hashlib
import io
import os
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import numpy as np
import soundfile
from conftest import Service, archived, eventually, served, tone_studio, write_pack
from wavinfo import WavInfoReader

LINES = int(os.environ.get("DAY_LINES", "12"))
TAKES = 5


def running(folder: Path) -> Any:
    tones: dict[str, Any] = {}
    studio = tone_studio(folder / "models", tones, {})
    studio.archive = archived(folder / "data")
    return served(studio, tones=tones)


def everything(service: Service, path: str, **query: Any) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        asked = {**query, "limit": 200, **({"cursor": cursor} if cursor else {})}
        page = service.http.get(path, params=asked).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def import_script(service: Service) -> list[Any]:
    service.http.post("/v1/productions", json={"title": "Day", "slug": "day", "fps": "23.976"})
    lines = [
        {
            "actor": "ann",
            "text": f"This is line {i} of the day.",
            "scene": str(i // 10 + 1),
            "cue": f"{i // 10 + 1}-{i % 10}",
            "character": "EVE",
            "timecode_in": f"10:{i // 60:02d}:{i % 60:02d}:{i % 24:02d}",
        }
        for i in range(LINES)
    ]
    answer = service.http.post("/v1/lines", json={"production": "day", "lines": lines})
    made: list[Any] = answer.json()["items"]
    return made


def edit(url: str, who: str, takes: list[Any], given: dict[str, Any]) -> int:
    """Mark takes as an editor does: on a conflict, look again and try again; how many conflicts."""
    conflicts = 0
    with httpx.Client(base_url=url, headers={"Voicesvc-User": who}, timeout=30) as http:
        for take in takes:
            now = take
            while True:
                tag = {"If-Match": f'"{now["version"]}"'}
                answer = http.patch(f"/v1/takes/{take['id']}", json=given, headers=tag)
                if answer.status_code == 200:
                    break
                assert answer.status_code == 412, answer.text
                conflicts += 1
                now = answer.json()["current"]
    return conflicts


def test_nothing_of_a_day_is_lost(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ann")
    with running(tmp_path) as service:
        lines = import_script(service)
        for line in lines:
            asked = {"count": TAKES, "vary": ["seed", "pace"], "seed": line["number"]}
            assert service.http.post(f"/v1/lines/{line['id']}/takes", json=asked).status_code == 202
        # the service ends while most of them wait
        assert eventually(lambda: len(everything(service, "/v1/takes", state="complete")) > 5, 60)
    with running(tmp_path) as service:

        def complete() -> bool:
            waiting = {"state": ["queued", "open"], "limit": 1}
            return service.http.get("/v1/takes", params=waiting).json()["items"] == []

        assert eventually(complete, 300)
        takes = everything(service, "/v1/takes", production=lines[0]["production"])
        assert [t["state"] for t in takes] == ["complete"] * (LINES * TAKES)
        mine = [t for t in everything(service, "/v1/takes") if t["number"] == 2]
        editors = [
            threading.Thread(target=edit, args=(service.url, "Ann", mine, {"circled": True})),
            threading.Thread(target=edit, args=(service.url, "Zo%C3%AB", mine, {"note": "nice"})),
        ]
        for editor in editors:
            editor.start()
        for editor in editors:
            editor.join(60)
        marked = everything(service, "/v1/takes", circled=True)
        assert {(t["circled"], t["note"], t["version"]) for t in marked} == {(True, "nice", 3)}
        assert {t["updated_by"] for t in marked} <= {"Ann", "Zoë"}
    with running(tmp_path) as service:
        check_export(service, lines)


def check_export(service: Service, lines: list[Any]) -> None:
    answer = service.http.get("/v1/productions/day/export")
    packed = zipfile.ZipFile(io.BytesIO(answer.content))
    assert packed.testzip() is None
    waves = [n for n in packed.namelist() if n.endswith(".wav")]
    assert len(waves) == LINES
    for line, name in zip(lines, waves, strict=True):
        assert name == f"Day_{line['scene']}_{line['cue']}_ann_T2.wav"
        content = packed.read(name)
        told = WavInfoReader(io.BytesIO(content))
        assert told.ixml.scene == line["scene"]
        assert told.bext.version == 2
        hours, minutes, seconds, frames = map(int, line["timecode_in"].split(":"))
        counted = ((hours * 60 + minutes) * 60 + seconds) * 24 + frames
        assert told.bext.time_reference == round(counted * 48_000 * 1001 / 24_000)
        (take,) = everything(service, "/v1/takes", line=line["id"], circled=True)
        query = {"sample_rate_hz": 48_000, "bit_depth": 24}
        heard = service.http.get(f"/v1/takes/{take['id']}/audio", params=query).content
        pcm, rate_hz = soundfile.read(io.BytesIO(content), dtype="int32")
        assert rate_hz == 48_000
        assert np.array_equal(pcm, soundfile.read(io.BytesIO(heard), dtype="int32")[0])
        raw = service.http.get(f"/v1/takes/{take['id']}/audio", params={"format": "pcm_f32le"})
        assert hashlib.sha256(raw.content).hexdigest() == take["pcm_sha256"]
    check_ffmpeg(packed.read(waves[0]))


def check_ffmpeg(content: bytes) -> None:
    ran = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", "-", "-f", "s32le", "-"],
        input=content,
        capture_output=True,
        check=True,
    )
    pcm, _ = soundfile.read(io.BytesIO(content), dtype="int32")
    assert ran.stderr == b""
    assert np.array_equal(np.frombuffer(ran.stdout, "<i4"), pcm)
