"""Nothing is spoken, heard or exported without a grant; what is withdrawn stops at once."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import grants
import httpx
import pytest
from alembic import command
from alembic.config import Config
from conftest import (
    NO_DEMONSTRATION,
    Service,
    eventually,
    served,
    tone_studio,
    tones_served,
    write_pack,
)
from grants import ESTATE
from sqlalchemy import create_engine, text
from typer.testing import CliRunner
from websockets.sync.client import connect

from voicesvc import archive as archives
from voicesvc.archive import Origin
from voicesvc.cli import app as cli
from voicesvc.config import Settings
from voicesvc.errors import StoreFailed, Unlicensed
from voicesvc.line import Line
from voicesvc.rights import Notice, keys, sign
from voicesvc.store import By, Cut, Database, takes
from voicesvc.store.database import _migrate
from voicesvc.store.takes import NewTake

LINE = "We hold the harbour until morning."


def production(service: Service, actor: str = "ann", character: str = "Joe") -> str:
    """A production "harbour" with a line; the line's id."""
    service.http.post("/v1/productions", json={"title": "Harbour"})
    line = {"production": "harbour", "actor": actor, "text": LINE, "character": character}
    return str(service.http.post("/v1/lines", json=line).json()["id"])


@pytest.fixture
def service(licensed: Service) -> Service:
    return licensed


def grant(service: Service, **changes: Any) -> None:
    """A grant for `ben`, of the production demo unless it is changed."""
    grants.give(service.studio, **changes)


def test_demonstration_voice_comes_with_a_grant(service: Service) -> None:
    answer = service.speak(LINE)
    assert answer.status_code == 200
    take = service.http.get(f"/v1/takes/{answer.headers['Voicesvc-Take']}").json()
    assert take["grant"] == "demo-ann"
    (permit,) = service.ledger(subject=take["id"], kind="permit")
    assert permit["seq"] == take["permit"]
    assert (permit["grant"], permit["production"]) == ("demo-ann", "demo")
    assert LINE not in json.dumps(permit)
    shown = service.http.get("/v1/grants/demo-ann").json()
    assert (shown["state"], shown["demonstration"]) == ("it stands", True)


def test_voice_without_a_grant_is_neither_loaded_nor_spoken(service: Service) -> None:
    assert "ben" not in service.tones
    answer = service.speak(LINE, actor="ben")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "/problems/not-licensed"
    planned = service.post(json.dumps({"actor": "ben", "text": LINE}), "/v1/plans")
    assert planned.status_code == 403
    assert "ben" not in service.tones
    refused = service.post(
        json.dumps({"model": "x", "input": LINE, "voice": "ben"}), "/v1/audio/speech"
    )
    assert refused.json()["error"]["code"] == "not-licensed"
    assert eventually(lambda: len(service.ledger(kind="refused")) == 3)


def test_refusal_names_grants_and_clauses(service: Service) -> None:
    grant(service, use__characters=["Joe"], production__media=["game"])
    refused = service.speak(LINE, actor="ben").json()
    assert refused["grants"] == [
        {
            "grant": "g-ben",
            "version": 1,
            "clause": "production.media",
            "needed": "one of game",
        }
    ]
    said = {"Voicesvc-Use": "medium=game, character=Joe"}
    body = json.dumps({"actor": "ben", "text": LINE})
    assert service.post(body, **said).status_code == 200
    assert service.post(body, **{"Voicesvc-Use": "medium=game"}).status_code == 403
    for odd in ("medium=opera", "mood=sad", "purpose=war", "medium", "x" * 2000):
        wrong = service.post(body, **{"Voicesvc-Use": odd})
        assert (wrong.status_code, wrong.json()["where"]) == (422, "Voicesvc-Use"), odd
    purpose = said | {"Voicesvc-Use": "medium=game, character=Joe, purpose=trailer"}
    assert service.post(body, **purpose).json()["grants"][0]["clause"] == "use.promo"


def test_grant_of_one_production_is_not_for_another(service: Service) -> None:
    grant(service, production={"id": "harbour", "title": "The Harbour"}, use__characters=["Joe"])
    line, body = production(service, "ben"), json.dumps({"actor": "ben", "text": LINE})
    assert service.post(body).json()["grants"][0]["clause"] == "production.id"
    assert service.post(body, f"/v1/speech?line={line}").status_code == 200
    other = service.http.post("/v1/productions", json={"title": "Quay"}).json()["slug"]
    assert service.post(body, f"/v1/speech?production={other}").status_code == 403
    assert service.post(body, "/v1/speech?production=none").status_code == 404
    queued = service.post(json.dumps({"count": 2}), f"/v1/lines/{line}/takes")
    assert queued.status_code == 202
    villain = {"production": "harbour", "actor": "ben", "text": LINE, "character": "Villain"}
    line = service.http.post("/v1/lines", json=villain).json()["id"]
    for path, content in (
        (f"/v1/speech?line={line}", body),
        (f"/v1/lines/{line}/takes", "{}"),
    ):
        assert service.post(content, path).json()["grants"][0]["clause"] == "use.characters"


def typed(service: Service, query: str = "") -> dict[str, Any]:
    """What a conversation of one line ends with."""
    with connect(f"{service.url.replace('http', 'ws')}/v1/speech/live{query}") as socket:
        socket.send(json.dumps({"actor": "ben", "text": LINE}))
        socket.send(json.dumps({"text": ""}))
        while True:
            told = socket.recv(timeout=30)
            event: dict[str, Any] = {} if isinstance(told, bytes) else json.loads(told)
            if event.get("event") in ("problem", "ended"):
                return event


def test_what_is_spoken_while_it_is_typed_is_a_use_in_real_time(service: Service) -> None:
    grant(service, use__realtime=False)
    assert service.speak(LINE, actor="ben").status_code == 200
    assert typed(service)["grants"][0]["clause"] == "use.realtime"


def test_what_is_typed_is_for_a_production_and_a_use(service: Service) -> None:
    harbour = {"id": "harbour", "title": "The Harbour"}
    grant(service, production=harbour, use__characters=["Joe"], use__realtime=True)
    production(service, "ben")
    assert typed(service)["grants"][0]["clause"] == "production.id"
    assert typed(service, "?production=harbour")["grants"][0]["clause"] == "use.characters"
    assert typed(service, "?production=harbour&use=character=Joe")["event"] == "ended"
    assert typed(service, "?production=none")["status"] == 404


def test_limits_count_what_was_made_and_what_was_broken_off(service: Service) -> None:
    grant(service, limits={"takes": 3})
    for _ in range(3):
        assert service.speak(LINE, actor="ben").status_code == 200
    assert service.speak(LINE, actor="ben").json()["grants"][0]["clause"] == "limits.takes"


def test_seconds_that_are_used_up_cut_the_stream(tmp_path: Path) -> None:
    write_pack(tmp_path / "models", "ben", NO_DEMONSTRATION)
    studio = tone_studio(tmp_path / "models", {}, {})
    with served(studio, tones={}, granted=False) as service:
        grants.give(studio, limits={"seconds": 2})
        with pytest.raises(httpx.RemoteProtocolError):
            service.speak(LINE * 20, actor="ben")
        (ended,) = service.ledger(kind="ended")
        assert ended["state"] == "refused"
        assert 2.0 <= float(ended["spoken_s"]) < 6.0
        assert service.speak(LINE, actor="ben").json()["grants"][0]["clause"] == "limits.seconds"


# -- withdrawn -----------------------------------------------------------------------------------


def stop(service: Service, action: str, grant: str = "demo-ann", **headers: str) -> httpx.Response:
    path = f"/v1/grants/{grant}/notices"
    return service.post(json.dumps({"action": action, "reason": "a strike"}), path, **headers)


def test_a_notice_that_is_sent_again_is_given_once(service: Service) -> None:
    def notices() -> int:
        return len(service.http.get("/v1/grants/demo-ann").json()["notices"])

    before, key = notices(), {"Idempotency-Key": "twice"}
    for _ in range(2):
        assert stop(service, "suspend", **key).json()["state"] == "it is suspended"
    assert notices() == before + 1
    assert stop(service, "resume", **key).status_code == 422  # the key came with another body
    assert stop(service, "resume").json()["state"] == "it stands"


def test_what_is_suspended_stands_still_and_goes_on(service: Service) -> None:
    line = production(service)
    take = service.speak(LINE).headers["Voicesvc-Take"]
    made = service.post(json.dumps({"actor": "ann", "text": LINE}), f"/v1/speech?line={line}")
    circled = made.headers["Voicesvc-Take"]
    service.http.patch(f"/v1/takes/{circled}", json={"circled": True}, headers={"If-Match": '"1"'})
    asked = (
        ("GET", f"/v1/takes/{take}/audio", None),
        ("POST", f"/v1/takes/{take}/render", {}),
        ("POST", f"/v1/takes/{take}/render", {"source": "model"}),
        ("POST", f"/v1/takes/{take}/retake", {"edits": [{"word": 1, "pause_ms": 400}]}),
        ("GET", "/v1/productions/harbour/export", None),
        ("POST", f"/v1/lines/{line}/takes", {}),
        ("POST", "/v1/speech", {"actor": "ann", "text": LINE}),
        ("POST", "/v1/plans", {"actor": "ann", "text": LINE}),
    )
    answers = {}
    for action in ("suspend", "resume"):
        assert stop(service, action).status_code == 201
        answers[action] = [
            service.http.request(method, path, json=body).status_code
            for method, path, body in asked
        ]
    assert answers["suspend"] == [403] * len(asked)
    assert answers["resume"] == [200, 200, 200, 202, 200, 202, 200, 200]
    said = [(e["kind"], e.get("action")) for e in service.ledger(grant="demo-ann")]
    assert ("notice", "suspend") in said
    assert ("heard", None) in said
    assert ("exported", None) in said


def test_revoking_cuts_fifty_streams_within_a_chunk(tmp_path: Path) -> None:
    with tones_served(tmp_path, workers=4, delay_s=0.02) as service:
        ended: list[bool] = []  # whether as if it were whole
        begun = threading.Barrier(51)

        def listen() -> None:
            body = {"actor": "ann", "text": LINE * 60}
            with httpx.Client(base_url=service.url, timeout=60) as http:
                try:
                    with http.stream("POST", "/v1/speech", json=body) as answer:
                        chunks = answer.iter_raw()
                        next(chunks)
                        begun.wait()
                        for _ in chunks:
                            pass
                    ended.append(True)
                except httpx.RemoteProtocolError:
                    ended.append(False)

        threads = [threading.Thread(target=listen) for _ in range(50)]
        for thread in threads:
            thread.start()
        begun.wait(60)
        line = production(service)
        assert stop(service, "revoke").status_code == 201
        made = service.tone.chunks
        for thread in threads:
            thread.join(30)
        assert ended == [False] * 50
        assert service.tone.chunks - made <= 50
        assert eventually(lambda: service.tone.closed, 10), "the voice is let go of"
        assert service.speak(LINE).json()["grants"][0]["clause"] == "revoked"
        assert service.http.post(f"/v1/lines/{line}/takes", json={}).status_code == 403
        assert stop(service, "resume").json()["state"] == "it was revoked"
        kept = service.http.get("/v1/takes", params={"limit": 50}).json()["items"]
        assert {t["state"] for t in kept} == {"refused"}


def test_takes_that_are_queued_are_refused_once_their_grant_is_revoked(tmp_path: Path) -> None:
    with tones_served(tmp_path, workers=1, delay_s=0.1) as service:
        line = production(service)
        service.http.post(f"/v1/lines/{line}/takes", json={"count": 10})
        assert stop(service, "revoke").status_code == 201

        def states() -> list[str]:
            found = service.http.get("/v1/takes", params={"line": line}).json()["items"]
            return [t["state"] for t in found]

        assert eventually(lambda: set(states()) <= {"refused", "complete"}, 20)
        assert states().count("refused") >= 8


def test_what_a_signer_withdraws_stops_too(service: Service) -> None:
    grant(service)
    assert service.speak(LINE, actor="ben").status_code == 200
    at = "2026-01-01T00:00:00Z"
    said = {"grant": "g-ben", "action": "suspend", "at": at}
    given = Notice.model_validate_json(json.dumps(said))
    notice = json.loads(sign(given.canonical(), "notice", (ESTATE,)))
    body = {"kind": "notice", "content": notice}
    papers = len(service.ledger(subject="g-ben", kind="notice"))
    for _ in range(2):  # sent again with its key it is entered once
        sent = service.http.post("/v1/grants", json=body, headers={"Idempotency-Key": "strike"})
        assert (sent.status_code, sent.json()["subject"]) == (201, "g-ben")
    assert len(service.ledger(subject="g-ben", kind="notice")) == papers + 1
    assert service.speak(LINE, actor="ben").json()["grants"][0]["clause"] == "suspended"
    assert stop(service, "resume", "g-ben").json()["state"] == "it is suspended"
    grants.trust(service.studio, ESTATE, "estate", trusted=False)
    assert service.speak(LINE, actor="ben").status_code == 403
    assert service.http.get("/v1/grants").json()["problems"]


def test_stolen_key_takes_with_it_what_it_signed(service: Service) -> None:
    grant(service)
    assert service.speak(LINE, actor="ben").status_code == 200
    grants.trust(service.studio, ESTATE, "estate", trusted=False)
    assert service.speak(LINE, actor="ben").status_code == 403


class Silent:
    """A database that does not answer."""

    def read(self, _: Any) -> Any:
        raise StoreFailed("gone", where="database")

    def submit(self, _: Any) -> None:
        """Nothing is written."""


def test_register_that_cannot_be_read_closes_the_door(service: Service) -> None:
    studio, pack = service.studio, service.studio.cast.pack("ann")
    assert studio.archive is not None
    door, line = studio.door, Line(actor="ann", text=LINE)
    permit = door.speak(pack, line, Origin())
    now_ms, database = studio.archive.now_ms, studio.archive.database
    try:
        studio.archive.database = Silent()  # type: ignore[assignment]
        studio.archive.now_ms = lambda: now_ms() + 14_000
        assert door.speak(pack, line, Origin()).grant == "demo-ann"
        studio.archive.now_ms = lambda: now_ms() + 16_000
        with pytest.raises(Unlicensed, match="not known"):
            door.speak(pack, line, Origin())
        with pytest.raises(Unlicensed, match="not known"):
            door.demand(permit)
    finally:
        studio.archive.database, studio.archive.now_ms = database, now_ms


def test_papers_that_were_taken_out_of_the_file_stop_everything(tmp_path: Path) -> None:
    settings = Settings.read({}, data_dir=tmp_path / "data", models_dir=tmp_path / "models")
    write_pack(tmp_path / "models", "ann")
    studio = tone_studio(tmp_path / "models", {}, {})
    studio.archive = archives.open_in(settings, "in_test")
    said = studio.door.notice("demo-ann", "suspend", "")
    studio.door.enter("notice", "demo-ann", said, None)
    studio.archive.close()
    engine = create_engine(f"sqlite:///{tmp_path}/data/takes.db")
    with engine.begin() as c:
        c.execute(text("DROP TRIGGER papers_is_only_added_to_DELETE"))
        c.execute(text("DELETE FROM papers WHERE seq = (SELECT MAX(seq) FROM papers)"))
    engine.dispose()
    studio.archive = archives.open_in(settings, "in_test")
    with pytest.raises(Unlicensed, match="broken"):
        studio.open(Line(actor="ann", text=LINE))
    studio.close()
    studio.archive.close()


# -- the database --------------------------------------------------------------------------------


def opened_take(**given: Any) -> NewTake:
    permit = grants.demo_permit()
    values = ("speech", "open", "joe", LINE, 1, "0" * 64, {"asked": {}}, permit)
    return replace(NewTake("tk_1", *values), **given)


def test_database_refuses_takes_without_a_permit_of_their_own(databases: str) -> None:
    database, by = Database(databases), By(None, 1)
    copied = "made_by, state, actor, text, seed, model_sha256, facts, flags, tags, created_ms"
    copied += ", updated_ms, permit"
    try:
        database.write(lambda c: takes.add(c, [opened_take()], by))
        for column in ("NULL", "permit", "0"):
            names = copied.replace("permit", column)
            put = f"INSERT INTO takes (id, {copied}) SELECT 'tk_2', {names} FROM takes"
            with pytest.raises(StoreFailed, match="permit of its own"):
                database.write(lambda c, put=put: c.exec_driver_sql(put))
        with pytest.raises(StoreFailed, match="permit of its own"):
            database.write(lambda c: c.exec_driver_sql("UPDATE takes SET permit = NULL"))
        for wrong in ({"actor": "ann"}, {"model_sha256": "1" * 64}, {"line": "ln_1"}):
            take = opened_take(id="tk_3", **wrong)
            with pytest.raises(Unlicensed):
                database.write(lambda c, take=take: takes.add(c, [take], by))
    finally:
        database.close()


def test_takes_that_were_there_before_have_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "takes.db"
    engine = create_engine(f"sqlite:///{path}")
    config = Config()
    scripts = Path(_migrate.__code__.co_filename).parent / "migrations"
    config.set_main_option("script_location", str(scripts))
    with engine.begin() as c:
        config.attributes["connection"] = c
        command.upgrade(config, "0001")
        names = "id, made_by, state, actor, text, seed, model_sha256, facts, flags, tags"
        values = "'speech', 'complete', 'ann', 'Hold.', 1, 'ab', '{}', '[]', '[]', 1, 1"
        for i in range(3):
            put = f"INSERT INTO takes ({names}, created_ms, updated_ms) VALUES ('tk_{i}', {values})"
            c.execute(text(put))
    engine.dispose()
    database = Database(f"sqlite:///{path}")
    kept = database.read(lambda c: [takes.get(c, f"tk_{i}") for i in range(3)])
    assert [(t.id, t.permit) for t in kept] == [("tk_0", 0), ("tk_1", 0), ("tk_2", 0)]
    searched = database.read(lambda c: takes.find(c, takes.TakeFilter(q="HOL"), Cut()))
    assert len(searched.items) == 3
    database.write(lambda c: takes.add(c, [opened_take(id="tk_9")], By(None, 1)))
    database.close()


# -- what people do ------------------------------------------------------------------------------


def test_a_grant_from_draft_to_the_end(service: Service, tmp_path: Path) -> None:
    folder = service.studio.settings.data_path
    environment = {
        "VOICESVC_DATA_DIR": str(folder),
        "VOICESVC_MODELS_DIR": str(tmp_path / "models"),
    }
    runner = CliRunner()

    def run(*words: Any, code: int = 0) -> str:
        done = runner.invoke(cli, [str(w) for w in words], env=environment)
        assert done.exit_code == code, done.output
        return done.output

    for name in ("ben", "union"):
        public = run("grant", "key", "-o", tmp_path / name)
        (tmp_path / f"{name}.pub").write_text(public)
    signers = [f"performer:Ben Jones:{tmp_path}/ben.pub", f"union:The union:{tmp_path}/union.pub"]
    said = [w for s in signers for w in ("--signer", s)]
    draft = tmp_path / "draft.json"
    run("grant", "new", "--actor", "ben", "--production", "demo", *said, "-o", draft)
    assert "subject.name" in run("grant", "sign", draft, "--key", tmp_path / "ben", code=1)
    whole = json.loads(draft.read_text())
    whole["subject"]["name"], whole["licensee"]["name"] = "Ben Jones", "Demo Ltd"
    whole["production"]["title"] = "Demo"
    whole["use"] |= {"description": "One line of the demonstration", "languages": ["en"]}
    whole["use"]["new_dialogue"] = True
    whole["term"] = {
        "not_before": "2020-01-01T00:00:00Z",
        "expires": "2050-01-01T00:00:00Z",
        "retain_until": "2050-01-01T00:00:00Z",
    }
    draft.write_text(json.dumps(whole))
    grant = tmp_path / "grant.json"
    run("grant", "sign", draft, "--key", tmp_path / "ben", "-o", grant)
    assert "The union" in run("grant", "import", grant, code=1)
    run("grant", "sign", grant, "--key", tmp_path / "union")
    public = ["--key", tmp_path / "ben.pub", "--key", tmp_path / "union.pub"]
    assert "signed by Ben Jones, The union" in run("grant", "verify", grant, *public)
    assert "0 valid signatures" in run("grant", "import", grant, code=1)  # nobody trusts the keys
    for name, role in (("ben", "performer"), ("union", "union")):
        run("grant", "trust", tmp_path / f"{name}.pub", "--name", name, "--role", role)
    assert service.speak(LINE, actor="ben").status_code == 403
    assert run("grant", "import", grant).strip() == "demo-ben"
    assert "is here already" in run("grant", "import", grant, code=1)
    assert eventually(lambda: service.speak(LINE, actor="ben").status_code == 200, 2)
    assert "demo-ben 1: ben for demo" in run("grant", "show")
    second = tmp_path / "second.json"
    run("grant", "amend", "demo-ben", "-o", second)
    amended = json.loads(second.read_text())
    second.write_text(json.dumps(amended | {"limits": {"takes": 1}}))
    for name in ("ben", "union"):
        run("grant", "sign", second, "--key", tmp_path / name)
    run("grant", "import", second)
    assert eventually(lambda: service.speak(LINE, actor="ben").status_code == 403, 2)
    shown = run("grant", "show", "demo-ben", "--html")
    assert "Ben Jones (performer)" in shown
    run("grant", "suspend", "demo-ben", "--key", tmp_path / "union", "--reason", "strike")
    run("grant", "resume", "demo-ben", "--key", tmp_path / "union")
    run("grant", "revoke", "demo-ben", "--key", tmp_path / "ben")
    asked = service.http.get("/v1/grants/demo-ben")
    assert eventually(
        lambda: service.http.get("/v1/grants/demo-ben").json()["state"] == "it was revoked", 2
    ), asked.text
    assert "unchanged" in run("ledger", "verify")


def test_page_of_a_grant_shows_what_it_says_and_runs_nothing(service: Service) -> None:
    grant(service, licensee={"name": "<script>alert(1)</script>"})
    page = service.http.get("/v1/grants/g-ben/page")
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text
    for said in ("it stands", "ADR of up to 40 lines", "political", keys.kid(ESTATE)):
        assert said in page.text
    assert service.http.get("/v1/grants/none/page").status_code == 404


def test_approved_lines_alone_are_spoken(service: Service, tmp_path: Path) -> None:
    approvals = {"kind": "line", "approver": keys.kid(ESTATE)}
    grant(service, approvals=approvals)
    assert service.speak(LINE, actor="ben").json()["grants"][0]["clause"] == "approvals"
    (tmp_path / "lines").write_text(f"{LINE}\n")
    keys.write(ESTATE, tmp_path / "key")
    environment = {"VOICESVC_DATA_DIR": str(service.studio.settings.data_path)}
    words = ["grant", "approve", "g-ben", str(tmp_path / "lines"), "--key", str(tmp_path / "key")]
    assert CliRunner().invoke(cli, words, env=environment).exit_code == 0
    assert eventually(lambda: service.speak(LINE, actor="ben").status_code == 200, 2)
    assert service.speak("We *hold* the harbour until morning.", actor="ben").status_code == 200
    assert service.speak("We leave the harbour.", actor="ben").status_code == 403
    plan = service.post(json.dumps({"actor": "ben", "text": LINE}), "/v1/plans").json()["plan"]
    answer = service.post(json.dumps({"plan": plan}))
    assert answer.json()["grants"][0]["clause"] == "approvals"
