"""What a grant's end takes with it: takes that are due, weights of withdrawn voices; old papers."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import grants
import httpx
import pytest
from conftest import MODELS, Service, eventually
from grants import ESTATE
from prometheus_client import REGISTRY

from voicesvc import packs, retention
from voicesvc.errors import BadGrant
from voicesvc.jobs import Keeper
from voicesvc.rights import Notice, keys, register, sign
from voicesvc.rights.register import Trusted

LINE = "We hold the harbour until morning."
DAY_MS = 86_400_000


@pytest.fixture
def service(licensed: Service) -> Service:
    return licensed


def stop(service: Service, action: str, grant: str = "demo-ann") -> httpx.Response:
    return service.post(json.dumps({"action": action}), f"/v1/grants/{grant}/notices")


def test_ledger_has_each_load_and_what_a_take_was_fetched_for(service: Service) -> None:
    for _ in range(2):
        take = service.speak(LINE).headers["Voicesvc-Take"]
    model = service.studio.cast.pack("ann").model_sha256
    (loaded,) = service.ledger(kind="model")
    assert (loaded["subject"], loaded["model_sha256"]) == ("ann", model)
    assert loaded["device"] == service.tone.device
    service.post("", "/v1/actors/ann/unload")
    service.speak(LINE)
    assert len(service.ledger(kind="model")) == 2
    audio = f"/v1/takes/{take}/audio"
    assert "content-disposition" not in service.http.get(audio).headers
    kept = service.http.get(audio, params={"download": True, "format": "flac"})
    assert kept.headers["content-disposition"] == "attachment"
    made = service.http.post(f"/v1/takes/{take}/render", json={"source": "model"})
    assert made.status_code == 200, made.text
    expected = ["permit", "made", "heard", "downloaded", "downloaded"]
    assert eventually(lambda: [e["kind"] for e in service.ledger(subject=take)] == expected, 5)


def test_weights_of_a_voice_leave_the_disk_when_its_last_grant_is_revoked(
    service: Service,
) -> None:
    cache = service.studio.settings.cache_path / "packs"
    pack = packs.of_folder(MODELS / "joe")
    assert isinstance(pack, packs.Pack)
    mine = packs.cached_folder(cache, pack.model_copy(update={"actor_id": "ann"}))
    theirs = packs.cached_folder(cache, pack.model_copy(update={"actor_id": "ann-b"}))
    for folder in (mine, theirs):
        folder.mkdir(parents=True)
        (folder / packs.WEIGHTS).write_bytes(b"weights")
    assert service.speak(LINE).status_code == 200
    assert stop(service, "suspend").status_code == 201
    assert eventually(lambda: service.tone.closed, 2)
    assert mine.exists()
    stop(service, "resume")
    assert service.speak(LINE).status_code == 200
    stop(service, "revoke")
    assert eventually(lambda: not mine.exists(), 1)
    assert eventually(lambda: service.tone.closed, 2)
    assert theirs.exists()
    assert eventually(lambda: len(service.ledger(kind="withdrawn")) == 1, 5)
    (gone,) = service.ledger(kind="withdrawn")
    assert (gone["subject"], gone["removed"]) == ("ann", [mine.name])
    mine.mkdir()  # by a load that was under way
    service.studio.door.withdrawals.sweep()
    assert not mine.exists()
    assert eventually(
        lambda: [e["removed"] for e in service.ledger(kind="withdrawn")] == [[mine.name]] * 2, 5
    )
    assert packs.is_pack(service.studio.settings.models_dir / "ann")


def test_what_was_made_is_removed_when_it_is_due(service: Service) -> None:
    studio, archive = service.studio, service.studio.archive
    assert archive is not None
    now = datetime.now(UTC).replace(microsecond=0)
    ends = [now + timedelta(days=n) for n in (10, 20, 40)]
    times = [t.isoformat().replace("+00:00", "Z") for t in (now - timedelta(days=1), *ends)]
    names = ("not_before", "expires", "retain_until", "delete_by")
    grants.give(studio, term=dict(zip(names, times, strict=True)))
    take = service.speak(LINE, actor="ben").headers["Voicesvc-Take"]
    other = service.speak(LINE).headers["Voicesvc-Take"]
    (first, last) = service.http.get("/v1/retention").json()["items"]
    assert (first["grant"], first["actor"], first["takes"]) == ("g-ben", "ben", 1)
    assert (first["delete_at"], first["days_left"]) == (times[3].replace("Z", ".000Z"), 39)
    assert last["grant"] == "demo-ann"
    sha256 = archive.take(take).pcm_sha256 or ""
    assert archive.blobs.has(sha256)
    now_ms = archive.now_ms
    keeper = Keeper(archive, studio.door, DAY_MS)
    archive.now_ms = lambda: now_ms() + 34 * DAY_MS
    retention.Reminders().tell(retention.announced(archive, studio.door.register), archive.now_ms())
    soon = [REGISTRY.get_sample_value("voicesvc_retention_takes", {"within": d}) for d in
            ("7d", "30d")]  # fmt: skip
    assert soon == [1, 1]
    keeper.work()
    assert archive.is_whole(archive.take(take))
    archive.now_ms = lambda: now_ms() + 40 * DAY_MS
    keeper.work()
    kept = service.http.get(f"/v1/takes/{take}").json()
    assert kept["deleted_at"] is not None
    assert not kept["has_audio"]
    assert not archive.blobs.has(sha256)
    assert service.http.get(f"/v1/takes/{take}/audio").status_code == 410
    assert service.http.post(f"/v1/takes/{take}/restore").status_code == 410
    ends_by = [(e["kind"], e.get("reason")) for e in service.ledger(subject=take)][-2:]
    assert ends_by == [("deleted", "retention"), ("purged", "retention")]
    assert archive.is_whole(archive.take(other))
    assert [x["grant"] for x in service.http.get("/v1/retention").json()["items"]] == ["demo-ann"]


# -- papers that are sent again ------------------------------------------------------------------


def notice(action: str, at: str) -> dict[str, Any]:
    said = {"grant": "g-ben", "action": action, "at": at}
    given = Notice.model_validate_json(json.dumps(said))
    content = json.loads(sign(given.canonical(), "notice", (ESTATE,)))
    return {"kind": "notice", "content": content}


def test_old_notices_do_not_come_back(service: Service) -> None:
    grants.give(service.studio)

    def enter(paper: dict[str, Any]) -> int:
        return service.http.post("/v1/grants", json=paper).status_code

    def state() -> str:
        return str(service.http.get("/v1/grants/g-ben").json()["state"])

    strike, peace = (
        notice(a, f"2026-03-0{d}T00:00:00Z") for a, d in (("suspend", 1), ("resume", 2))
    )
    assert (enter(strike), enter(peace), state()) == (201, 201, "it stands")
    again = service.http.post("/v1/grants", json=strike)
    assert (again.status_code, again.json()["where"], state()) == (422, "at", "it stands")
    assert enter(notice("suspend", "2026-03-03T00:00:00Z")) == 201
    assert (enter(peace), state()) == (422, "it is suspended")
    never_entered = notice("resume", "2026-03-02T12:00:00Z")
    assert (enter(never_entered), state()) == (201, "it is suspended")
    assert enter(notice("suspend", "2126-03-03T00:00:00Z")) == 422
    assert (enter(notice("resume", "2026-03-04T00:00:00Z")), state()) == (201, "it stands")


def test_key_that_is_trusted_no_longer_is_not_brought_back_by_the_older_paper(
    service: Service,
) -> None:
    door = service.studio.door
    jwk, kid = keys.public(ESTATE), keys.kid(ESTATE)

    def paper(trusted: bool, day: int) -> dict[str, Any]:
        at = datetime(2026, 1, day, tzinfo=UTC)
        said = Trusted(jwk=jwk, name="Estate", role="estate", trusted=trusted, at=at)
        return {"kind": "trust", "content": json.loads(said.signed(door.key))}

    first = paper(True, 1)
    assert service.http.post("/v1/grants", json=first).status_code == 201
    assert service.http.post("/v1/grants", json=paper(False, 2)).status_code == 201
    again = service.http.post("/v1/grants", json=first)
    assert (again.status_code, again.json()["where"]) == (422, "at")
    assert not service.http.get("/v1/grants").json()["signers"][kid]["trusted"]
    assert service.http.post("/v1/grants", json=paper(True, 3)).status_code == 201
    at = datetime(2126, 1, 1, tzinfo=UTC)
    said = Trusted(jwk=jwk, name="Estate", role="estate", trusted=False, at=at).signed(door.key)
    with pytest.raises(BadGrant, match="ahead"):
        register.subject_of("trust", said, door.register, door.key, door.now_ms())


def test_take_of_another_production_is_not_given_to_a_line_that_it_was_not_granted_for(
    service: Service,
) -> None:
    grants.give(service.studio)  # of the production demo, any words
    script = register.Script(lines=("a" * 64,))
    service.studio.door.enter("script", script.sha256, script.canonical().decode(), None)
    narrow = grants.grant(
        id="g-harbour",
        signers=[{"kid": keys.kid(ESTATE), "role": "estate", "name": "Estate"}],
        threshold=1,
        voice={"actor": "ben", "model_sha256": [service.studio.cast.pack("ben").model_sha256]},
        production={"id": "harbour", "title": "Harbour"},
        use__characters=[],
        use__new_dialogue=False,
        use__script_sha256=script.sha256,
        territory=[],
        limits={},
    )
    envelope = grants.signed(narrow, (ESTATE,))
    service.studio.door.enter("grant", narrow.id, envelope, None)
    service.http.post("/v1/productions", json={"title": "Harbour"})
    line = {"production": "harbour", "actor": "ben", "text": LINE, "character": "Joe"}
    id = service.http.post("/v1/lines", json=line).json()["id"]
    take = service.speak("Words of no script.", actor="ben").headers["Voicesvc-Take"]
    moved = service.http.patch(f"/v1/takes/{take}", json={"line": id}, headers={"If-Match": '"1"'})
    assert moved.status_code == 403
    clauses = {g["grant"]: g["clause"] for g in moved.json()["grants"]}
    assert clauses["g-harbour"] == "use.new_dialogue"
