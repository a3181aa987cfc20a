"""Takes through the front door, kept in a folder or in PostgreSQL and S3."""

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import Service, eventually, served, tone_studio, write_pack

from voicesvc import archive, blobs

TEXT = "Hold the line."


@pytest.fixture(params=["folder", "postgresql and s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """The settings of a service that has kept nothing yet."""
    write_pack(tmp_path / "models", "ann")
    if request.param == "folder":
        return {}
    return shared(request, tmp_path)


@pytest.fixture
def shared_by_two(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    write_pack(tmp_path / "models", "ann")
    return shared(request, tmp_path)


def shared(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    request.getfixturevalue("s3")
    server = request.getfixturevalue("postgres_server")
    url = server.create()
    request.addfinalizer(lambda: server.drop(url))
    url = url.replace("postgresql+asyncpg:", "postgresql:")
    return {"database_url": url, "audio_store": f"s3://takes/{tmp_path.name}"}


@contextmanager
def keeping(folder: Path, where: dict[str, Any], **settings: Any) -> Iterator[Service]:
    """A service that keeps its takes there."""
    tones: dict[str, Any] = {}
    studio = tone_studio(folder / "models", tones, {}, random.SystemRandom(), **where, **settings)
    studio.archive = archive.open_in(studio.settings, f"in_{secrets.token_hex(10)}")
    with served(studio, tones=tones) as service:
        yield service


def get(service: Service, path: str) -> Any:
    answer = service.http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(service: Service, path: str, **fields: Any) -> Any:
    answer = service.http.post(path, json=fields)
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


def line_of(service: Service) -> str:
    made = post(service, "/v1/productions", title="The Harbour")
    return str(post(service, "/v1/lines", production=made["id"], actor="ann", text=TEXT)["id"])


def settled(service: Service, line: str) -> bool:
    return not get(service, f"/v1/lines/{line}")["takes"]["waiting"]


def measured(service: Service) -> bool:
    return all(take["measured"] for take in get(service, "/v1/takes")["items"])


def test_takes_are_there_when_the_service_starts_again(
    tmp_path: Path, where: dict[str, Any]
) -> None:
    with keeping(tmp_path, where) as service:
        spoken = service.speak(seed=7)
        line = line_of(service)
        post(service, f"/v1/lines/{line}/takes", count=3)
        assert eventually(lambda: settled(service, line) and measured(service), 30)
        before = get(service, "/v1/takes")["items"]
        place = blobs.of(service.studio.settings.audio_path)
        assert set(place.names()) == {take["pcm_sha256"] for take in before}
    with keeping(tmp_path, where) as service:
        assert get(service, "/v1/takes")["items"] == before
        take = spoken.headers["Voicesvc-Take"]
        assert service.http.get(f"/v1/takes/{take}/audio").content == spoken.content


def test_deleted_audio_goes_where_it_was_kept(tmp_path: Path, where: dict[str, Any]) -> None:
    with keeping(tmp_path, where) as service:
        first, same, other = (
            service.speak(seed=seed).headers["Voicesvc-Take"] for seed in (1, 1, 2)
        )
        for take in (first, other):
            tag = {"If-Match": service.http.get(f"/v1/takes/{take}").headers["ETag"]}
            assert service.http.delete(f"/v1/takes/{take}", headers=tag).status_code == 204
        place = blobs.of(service.studio.settings.audio_path)
        assert len(list(place.names())) == 2
    with keeping(tmp_path, where, deleted_kept_days=0) as service:
        kept = get(service, f"/v1/takes/{same}")["pcm_sha256"]
        assert eventually(lambda: list(place.names()) == [kept], 10)
        assert service.http.get(f"/v1/takes/{same}/audio").status_code == 200
        gone = get(service, f"/v1/takes/{other}")
        assert (gone["has_audio"], len(gone["pcm_sha256"])) == (False, 64)


def test_two_services_share_what_they_make(tmp_path: Path, shared_by_two: dict[str, Any]) -> None:
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(keeping(tmp_path, shared_by_two, data_dir=tmp_path / name))
            for name in ("one", "other")
        )
        spoken = one.speak(seed=7)
        take = spoken.headers["Voicesvc-Take"]
        assert other.http.get(f"/v1/takes/{take}/audio").content == spoken.content
        line = line_of(other)
        tones = [tone for service in (one, other) for tone in service.tones.values()]
        planned = sum(tone.planned for tone in tones)
        for _ in range(3):
            post(one, f"/v1/lines/{line}/takes", count=10)
        assert eventually(lambda: settled(other, line), 60)
        made = get(other, f"/v1/takes?line={line}")["items"]
        assert [take["number"] for take in made] == [*range(1, 31)]
        assert {take["state"] for take in made} == {"complete"}
        assert sum(tone.planned for tone in tones) == planned + 30  # none was made twice
        place = blobs.of(str(shared_by_two["audio_store"]))
        assert {take["pcm_sha256"] for take in made} < set(place.names())


def test_audio_of_no_take_goes_once_it_is_old(tmp_path: Path, where: dict[str, Any]) -> None:
    with keeping(tmp_path, where) as service:
        archive = service.studio.archive
        assert archive is not None
        kept = service.http.get(f"/v1/takes/{service.speak().headers['Voicesvc-Take']}").json()
        with archive.blobs.create() as writer:
            writer.feed(b"of no take")
            orphan = writer.commit()
        if not archive.alone:  # another service's take may be on its way
            assert archive.remove_orphans() == 0
            archive.now_ms = lambda: time.time_ns() // 1_000_000 + 25 * 3_600_000
        assert archive.remove_orphans() == 1
        assert not archive.blobs.has(orphan)
        assert archive.blobs.has(kept["pcm_sha256"])
