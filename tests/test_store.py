"""What is kept, in a real SQLite file and a real PostgreSQL."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grants
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from voicesvc.errors import (
    BadSetting,
    ChangedMeanwhile,
    InvalidRequest,
    KeyReused,
    NotEmpty,
    StoreFailed,
    TakeGone,
    UnknownLine,
    UnknownProduction,
    UnknownTake,
    VoiceError,
)
from voicesvc.store import (
    By,
    Cut,
    Database,
    documents,
    lines,
    productions,
    queue,
    record,
    search,
    takes,
)
from voicesvc.store.lines import LineFilter
from voicesvc.store.tables import metadata
from voicesvc.store.takes import Ending, NewTake, TakeFilter

ANN, BEN = By("Ann", 1_000), By("Ben", 2_000)
LINE: dict[str, Any] = {
    "scene": "1",
    "cue": "1-1",
    "character": "Ben",
    "actor": "joe",
    "text": "Hold the line.",
    "markup": "auto",
    "delivery": {"emotion": "sad"},
    "lexicons": [],
    "timecode_in": None,
    "timecode_out": None,
    "notes": "",
}
DONE = Ending(
    "complete",
    {"device": "any"},
    pcm_sha256="1" * 64,
    plan_sha256="2" * 64,
    sample_rate_hz=22050,
    samples=44100,
    documents={"plan": b'{"version": 1}'},
)


@pytest.fixture
def database(databases: str) -> Iterator[Database]:
    opened = Database(databases)
    yield opened
    opened.close()


@pytest.fixture
def script(database: Database) -> Database:
    """A production with three lines, `ln_0` to `ln_2`."""
    given = {"slug": "harbour", "title": "The Harbour", "fps": "24", "notes": ""}
    database.write(lambda c: productions.add(c, "pr_1", given, ANN))
    many = [(f"ln_{i}", LINE | {"cue": f"1-{i}"}) for i in range(3)]
    database.write(lambda c: lines.add(c, "harbour", many, ANN))
    return database


def new(i: int, **given: Any) -> NewTake:
    values: dict[str, Any] = {
        "id": f"tk_{i}",
        "made_by": "line",
        "state": "queued",
        "actor": "joe",
        "text": LINE["text"],
        "seed": 2**53 - 1,
        "model_sha256": "0" * 64,
        "facts": {"asked": {}},
        "permit": grants.demo_permit(line=given.get("line")),
    }
    return NewTake(**values | given)


def add(database: Database, *given: NewTake) -> None:
    database.write(lambda c: takes.add(c, given, ANN))


def ids(page: Any) -> list[str]:
    return [item.id for item in page.items]


def listed(database: Database, cut: Cut | None = None, **which: Any) -> Any:
    return database.read(lambda c: takes.find(c, TakeFilter(**which), cut or Cut()))


def test_migrations_make_the_tables_that_the_code_has(database: Database) -> None:
    def ours(thing: Any, name: str | None, kind: str, *_: Any) -> bool:
        """What SQLite and pg_trgm keep of an index is theirs."""
        of_sqlite = kind == "table" and "_search_" in str(name)
        return not (of_sqlite or (kind == "index" and "_search_words" in str(name)))

    def differences(c: Any) -> Any:
        context = MigrationContext.configure(c, opts={"include_object": ours})
        return compare_metadata(context, metadata)

    assert database.read(differences) == []


def test_what_was_written_is_there_after_opening_again(databases: str) -> None:
    first = Database(databases)
    add(first, new(1))
    first.close()
    second = Database(databases)
    try:
        assert second.read(lambda c: takes.get(c, "tk_1")).seed == 2**53 - 1
    finally:
        second.close()


@pytest.mark.parametrize("url", ["mysql://host/name", "takes", ""])
def test_url_that_names_no_database_is_refused(url: str) -> None:
    with pytest.raises(BadSetting, match="valid: sqlite"):
        Database(url)


def test_database_that_is_not_there_is_a_named_failure(tmp_path: Any) -> None:
    with pytest.raises(StoreFailed):
        Database(f"sqlite:///{tmp_path}/none/takes.db")


def test_a_write_that_fails_takes_no_other_with_it(script: Database) -> None:
    begun = threading.Event()

    def slow(c: Any) -> None:
        begun.wait(5)

    waiting = script.submit(slow)  # what comes meanwhile is committed together
    good = [script.submit(lambda c, i=i: takes.add(c, [new(i)], ANN)) for i in range(4)]
    bad = script.submit(lambda c: takes.add(c, [new(9), new(0)], ANN))
    begun.set()
    waiting.result(5)
    assert [len(f.result(5)) for f in good] == [1, 1, 1, 1]
    with pytest.raises(Exception, match=r"(?i)unique"):
        bad.result(5)
    assert ids(listed(script)) == ["tk_3", "tk_2", "tk_1", "tk_0"]


def test_many_threads_write_at_once(script: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: add(script, new(i, line="ln_0")), range(40)))
    found = listed(script, line="ln_0").items
    assert [t.number for t in found] == list(range(1, 41))


def test_lines_are_numbered_in_the_order_of_the_script(script: Database) -> None:
    script.write(lambda c: lines.add(c, "pr_1", [("ln_3", LINE)], BEN))
    found = script.read(lambda c: lines.find(c, LineFilter(production="harbour"), Cut())).items
    assert [(line.id, line.number) for line in found] == [(f"ln_{i}", i + 1) for i in range(4)]
    assert found[3].created_by == "Ben"
    assert found[0].delivery == {"emotion": "sad"}


def test_line_tells_how_far_it_is(script: Database) -> None:
    def seen(**which: Any) -> list[tuple[str, str]]:
        page = script.read(lambda c: lines.find(c, LineFilter(production="pr_1", **which), Cut()))
        return [(line.id, line.status) for line in page.items]

    add(script, new(1, line="ln_1"), new(2, line="ln_2"), new(3, line="ln_2"))
    script.write(lambda c: takes.close(c, "tk_2", DONE, ANN))
    script.write(lambda c: takes.close(c, "tk_3", DONE, ANN))
    script.write(lambda c: takes.edit(c, "tk_3", 1, {"circled": True}, ANN))
    assert seen() == [("ln_0", "empty"), ("ln_1", "making"), ("ln_2", "circled")]
    assert seen(status="making") == [("ln_1", "making")]
    assert seen(status="circled") == [("ln_2", "circled")]
    script.write(lambda c: takes.edit(c, "tk_3", 2, {"circled": False}, ANN))
    assert seen(status="takes") == [("ln_2", "takes")]
    assert seen(status="empty") == [("ln_0", "empty")]
    line = script.read(lambda c: lines.get(c, "ln_2"))
    assert (line.takes.total, line.takes.complete, line.circled_take) == (2, 2, None)


def test_search_finds_text_as_it_is_written(script: Database) -> None:
    odd = LINE | {"text": "100% of_it"}
    script.write(lambda c: lines.add(c, "pr_1", [("ln_9", odd)], ANN))

    def found(q: str) -> list[str]:
        return ids(script.read(lambda c: lines.find(c, LineFilter(q=q), Cut())))

    assert found("HOLD THE") == ["ln_0", "ln_1", "ln_2"]
    assert found("100%") == ["ln_9"]
    assert found("f_i") == ["ln_9"]
    assert found("%o%") == []


def test_search_finds_any_part_in_any_case_and_nothing_else(script: Database) -> None:
    """Both databases, for terms that trigrams find and for shorter ones."""
    texts = [
        "Élan vital, 100% of_it",
        "STRASSE, straße",
        'Ὀδυσσεύς said "no"',
        "e\u0301tude *AND* NOT (x",
        "zq",
        "back\\slash 'quoted'",
    ]
    rest = LINE | {"scene": "9", "cue": "", "character": "", "notes": "end"}
    many = [(f"ln_x{i}", rest | {"text": text}) for i, text in enumerate(texts)]
    script.write(lambda c: lines.add(c, "pr_1", many, ANN))
    add(script, *(new(i, text=text) for i, text in enumerate(texts)))
    parts = {t[at : at + n] for t in texts for n in (1, 2, 4) for at in (0, 3, 6, 9, len(t) - n)}
    for q in {part.swapcase() for part in parts} | {"end", "nd", "dl", "%%%", "__", "*", "no\x1f"}:
        has_it = [i for i, text in enumerate(texts) if search.folded(q) in search.folded(text)]
        page = script.read(lambda c, q=q: lines.find(c, LineFilter(q=q, scene="9"), Cut()))
        of_notes = range(len(texts)) if q.casefold() in "end" else has_it
        assert ids(page) == [f"ln_x{i}" for i in of_notes], q
        assert ids(listed(script, q=q)) == [f"tk_{i}" for i in reversed(has_it)], q


def test_without_pg_trgm_search_says_so_and_finds_the_same(
    postgres_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres_server.create()
    name = url.rpartition("/")[2]
    postgres_server.run(
        f"CREATE ROLE guest_of_{name} LOGIN PASSWORD 'guest'",
        f'REVOKE CREATE ON DATABASE "{name}" FROM PUBLIC',
    )
    postgres_server.run(f"GRANT ALL ON SCHEMA public TO guest_of_{name}", database=name)
    guest = url.replace(url.partition("://")[2].partition("@")[0], f"guest_of_{name}:guest")
    indexed = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'ix_%_search_words'"

    def n_found_by(url: str) -> tuple[int, int]:
        database = Database(url)
        try:
            if not database.read(lambda c: takes.find(c, TakeFilter(), Cut())).items:
                add(database, new(1))
            return database.read(
                lambda c: (
                    len(takes.find(c, TakeFilter(q="THE LI"), Cut()).items),
                    c.exec_driver_sql(indexed).scalar_one(),
                )
            )
        finally:
            database.close()

    assert n_found_by(guest) == (1, 0)
    assert "CREATE EXTENSION pg_trgm" in caplog.text
    postgres_server.run("CREATE EXTENSION pg_trgm", database=name)
    assert n_found_by(guest) == (1, 2)


def test_search_follows_what_is_changed(script: Database) -> None:
    add(script, new(1))
    script.write(lambda c: takes.edit(c, "tk_1", 1, {"note": "Mumbled"}, ANN))
    assert ids(listed(script, q="mumb")) == ids(listed(script, q="mu")) == ["tk_1"]
    script.write(lambda c: takes.edit(c, "tk_1", 2, {"note": "clear"}, ANN))
    assert ids(listed(script, q="mumb")) == ids(listed(script, q="mu")) == []
    script.write(lambda c: takes.close(c, "tk_1", replace(DONE, text="Quite another."), ANN))
    assert ids(listed(script, q="other")) == ids(listed(script, q="clear")) == ["tk_1"]
    assert ids(listed(script, q="hold")) == []
    script.write(lambda c: lines.edit(c, "ln_1", 1, {"notes": "Shouted"}, ANN))
    found = script.read(lambda c: lines.find(c, LineFilter(q="shout"), Cut()))
    assert ids(found) == ["ln_1"]


def test_search_for_what_most_have_goes_through_it_page_by_page(
    script: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "FEW", 2)
    add(script, *(new(i, text="Not this." if i == 3 else "The line.") for i in range(6)))
    for q in ("LINE", "li"):
        page = listed(script, Cut(None, 3), q=q)
        assert ids(page) == ["tk_5", "tk_4", "tk_2"]
        assert ids(listed(script, Cut(page.next, 3), q=q)) == ["tk_1", "tk_0"]


def test_pages_go_through_everything_once(script: Database) -> None:
    add(script, *(new(i) for i in range(7)))
    seen, cut = [], Cut(None, 3)
    while True:
        page = listed(script, cut)
        seen += ids(page)
        if page.next is None:
            break
        add(script, new(100 + len(seen)))  # what comes meanwhile is not in later pages
        cut = Cut(page.next, 3)
    assert seen == [f"tk_{i}" for i in reversed(range(7))]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"circled": True}, ["tk_2"]),
        ({"rating_min": 4}, ["tk_3"]),
        ({"tag": "alt"}, ["tk_1"]),
        ({"tag": "al"}, []),
        ({"flagged": True}, ["tk_1"]),
        ({"q": "TOO LOUD"}, ["tk_2"]),
        ({"states": ["queued", "open"]}, ["tk_3", "tk_2", "tk_1"]),
        ({"states": ["failed"]}, []),
        ({"actor": "ann"}, []),
        ({"line": "ln_1"}, ["tk_3"]),
        ({"line": "none"}, ["tk_2", "tk_1"]),
        ({"production": "pr_1"}, ["tk_3"]),
        ({"deleted": True}, []),
    ],
)
def test_takes_are_found_by(script: Database, which: Any, expected: list[str]) -> None:
    add(script, new(1), new(2), new(3, line="ln_1"))
    script.write(lambda c: takes.edit(c, "tk_1", 1, {"tags": ["alt", "b"]}, ANN))
    script.write(lambda c: takes.measured(c, "tk_1", {"wer": 0.4}, ["words"], ANN))
    script.write(lambda c: takes.edit(c, "tk_2", 1, {"circled": True, "note": "too loud"}, ANN))
    script.write(lambda c: takes.edit(c, "tk_3", 1, {"rating": 4}, ANN))
    assert ids(listed(script, **which)) == expected


def test_take_is_claimed_once_and_the_oldest_first(script: Database) -> None:
    add(script, *(new(i) for i in range(12)))

    def claim(_: int) -> str | None:
        take = script.write(lambda c: queue.claim(c, "in_1", ANN))
        return None if take is None else take.id

    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(claim, range(14)))
    assert sorted(filter(None, claimed)) == sorted(f"tk_{i}" for i in range(12))
    assert claimed.count(None) == 2


def test_take_whose_voice_is_not_ready_is_left_on_the_list_as_if_not_begun(
    script: Database,
) -> None:
    add(script, new(0), new(1))
    for _ in range(5):
        take = script.write(lambda c: queue.claim(c, "in_1", ANN))
        assert take is not None
        assert take.id == "tk_0"
        assert script.write(lambda c: queue.defer(c, "tk_0", ANN)).facts["begun"] == 0
    assert script.write(lambda c: queue.claim(c, "in_1", ANN, {"joe"})) is None
    assert {t.state for t in listed(script).items} == {"queued"}


def test_takes_of_a_process_that_is_gone_are_ended(script: Database) -> None:
    add(script, new(0), new(1, state="open", instance="in_dead"), new(2))
    add(script, new(3, state="open", instance="in_living"), new(4, state="open"))
    script.write(lambda c: queue.alive(c, "in_living", 10_000))
    script.write(lambda c: queue.claim(c, "in_dead", ANN))
    assert script.write(lambda c: queue.abandoned(c, 9_000, ANN)) == 3
    states = {t.id: t.state for t in listed(script).items}
    assert states == {
        "tk_0": "queued",  # it is begun again
        "tk_1": "failed",
        "tk_2": "queued",
        "tk_3": "open",
        "tk_4": "failed",
    }
    reason = script.read(lambda c: takes.get(c, "tk_1")).facts["reason"]
    assert reason == "the service ended while it was made"


def test_take_that_ends_the_service_again_and_again_is_given_up(script: Database) -> None:
    add(script, new(0))
    for _ in range(3):
        assert script.read(lambda c: takes.get(c, "tk_0")).state == "queued"
        script.write(lambda c: queue.claim(c, "in_dead", ANN))
        script.write(lambda c: queue.abandoned(c, 9_000, ANN))
    assert script.read(lambda c: takes.get(c, "tk_0")).state == "failed"


def test_closed_take_has_its_documents(script: Database) -> None:
    add(script, new(1))
    script.write(lambda c: takes.close(c, "tk_1", DONE, BEN))
    closed = script.read(lambda c: takes.get(c, "tk_1"))
    assert closed.json()["duration_s"] == 2.0
    assert closed.json()["device"] == "any"
    assert closed.facts == {"asked": {}, "device": "any", "grant": "demo-joe"}
    assert script.read(lambda c: documents.get(c, "tk_1", "plan")) == b'{"version": 1}'
    assert script.read(lambda c: documents.get(c, "tk_1", "peaks")) is None


def test_two_editors_cannot_overwrite_each_other(script: Database) -> None:
    add(script, new(1))
    script.write(lambda c: takes.edit(c, "tk_1", 1, {"note": "Ann's"}, ANN))
    with pytest.raises(ChangedMeanwhile, match="version 1 was seen, 2 is there now"):
        script.write(lambda c: takes.edit(c, "tk_1", 1, {"note": "Ben's"}, BEN))
    now = script.read(lambda c: takes.get(c, "tk_1"))
    assert (now.note, now.updated_by, now.version) == ("Ann's", "Ann", 2)


def test_deleted_take_comes_back_until_its_audio_is_removed(script: Database) -> None:
    add(script, new(1), new(2))
    for id in ("tk_1", "tk_2"):
        script.write(lambda c, id=id: takes.close(c, id, DONE, ANN))
    script.write(lambda c: takes.delete(c, "tk_1", 1, BEN))
    assert ids(listed(script)) == ["tk_2"]
    with pytest.raises(TakeGone, match="restore"):
        script.read(lambda c: takes.get(c, "tk_1", deleted=False))
    script.write(lambda c: takes.restore(c, "tk_1", ANN))
    assert ids(listed(script)) == ["tk_2", "tk_1"]
    script.write(lambda c: takes.delete(c, "tk_1", 3, BEN))
    # the other one has the same samples
    assert script.write(lambda c: takes.purge(c, BEN.now_ms + 1, ANN)) == []
    with pytest.raises(TakeGone, match="removed"):
        script.write(lambda c: takes.restore(c, "tk_1", ANN))
    script.write(lambda c: takes.delete(c, "tk_2", 1, BEN))
    assert script.write(lambda c: takes.purge(c, BEN.now_ms, ANN)) == []  # not due yet
    assert script.write(lambda c: takes.purge(c, BEN.now_ms + 1, ANN)) == ["1" * 64]
    assert script.read(lambda c: documents.get(c, "tk_2", "plan")) is None
    tombstone = script.read(lambda c: takes.get(c, "tk_2"))
    assert (tombstone.pcm_sha256, tombstone.json()["has_audio"]) == ("1" * 64, False)


def test_take_of_no_line_is_given_to_one(script: Database) -> None:
    add(script, new(1, line="ln_0"), new(2))
    script.write(lambda c: takes.assign(c, "tk_2", "ln_0", 1, BEN))
    kept = script.read(lambda c: takes.get(c, "tk_2"))
    assert (kept.line, kept.production, kept.number) == ("ln_0", "pr_1", 2)
    with pytest.raises(NotEmpty):
        script.write(lambda c: takes.assign(c, "tk_2", "ln_1", 2, BEN))
    add(script, new(3))
    with pytest.raises(UnknownLine):
        script.write(lambda c: takes.assign(c, "tk_3", "ln_9", 1, BEN))


def test_everything_is_on_the_record(script: Database) -> None:
    add(script, new(1, line="ln_0"))
    script.write(lambda c: takes.close(c, "tk_1", DONE, ANN))
    script.write(lambda c: takes.edit(c, "tk_1", 1, {"circled": True}, BEN))
    script.write(lambda c: takes.delete(c, "tk_1", 2, BEN))
    events = [e for e in script.read(lambda c: record.after(c, 0)) if e.subject == "tk_1"]
    assert [(e.action, e.who) for e in events] == [
        ("created", "Ann"),
        ("closed", "Ann"),
        ("updated", "Ben"),
        ("deleted", "Ben"),
    ]
    assert {(e.line, e.production) for e in events} == {("ln_0", "pr_1")}
    assert events[2].json() | {"circled": True} == events[2].json()
    last = script.read(record.last)
    assert script.read(lambda c: record.after(c, last - 1)) == [events[-1]]
    assert script.read(lambda c: record.after(c, 0, "pr_none")) == []


def test_failed_change_leaves_nothing_on_the_record(script: Database) -> None:
    add(script, new(1))
    before = script.read(record.last)
    with pytest.raises(ChangedMeanwhile):
        script.write(lambda c: takes.delete(c, "tk_1", 7, ANN))
    assert script.read(record.last) == before


def test_request_that_is_sent_again_makes_nothing(script: Database) -> None:
    key = record.Key("k1", "POST /v1/takes", "a" * 64)
    made: list[int] = []

    def once(k: record.Key | None) -> Any:
        def make() -> dict[str, int]:
            made.append(1)
            return {"made": len(made)}

        return script.write(lambda c: record.once(c, k, 1_000, make))

    assert once(key) == ({"made": 1}, False)
    assert once(key) == ({"made": 1}, True)
    with pytest.raises(KeyReused):
        once(record.Key("k1", "POST /v1/takes", "b" * 64))
    assert once(record.Key("k1", "POST /v1/lines", "b" * 64)) == ({"made": 2}, False)
    assert once(None) == ({"made": 3}, False)
    script.write(lambda c: record.forget(c, 1_001))
    assert once(key) == ({"made": 4}, False)


def test_request_that_failed_can_be_sent_again(script: Database) -> None:
    key = record.Key("k1", "scope", "a" * 64)

    def fail() -> Any:
        raise UnknownLine("no line")

    with pytest.raises(UnknownLine):
        script.write(lambda c: record.once(c, key, 1, fail))
    assert script.write(lambda c: record.once(c, key, 1, lambda: 7)) == (7, False)


Refused = Callable[[Any], Any]
REFUSALS: list[tuple[type[VoiceError], Refused]] = [
    (UnknownTake, lambda c: takes.get(c, "tk_none")),
    (UnknownLine, lambda c: lines.get(c, "ln_none")),
    (UnknownProduction, lambda c: productions.get(c, "none")),
    (UnknownProduction, lambda c: lines.add(c, "none", [("ln_7", LINE)], ANN)),
    (UnknownProduction, lambda c: lines.find(c, LineFilter(production="none"), Cut())),
    (NotEmpty, lambda c: productions.delete(c, "harbour", 1, ANN)),
    (NotEmpty, lambda c: lines.delete(c, "ln_0", 1, ANN)),
    (ChangedMeanwhile, lambda c: productions.edit(c, "harbour", 7, {"title": "B"}, ANN)),
    (ChangedMeanwhile, lambda c: lines.edit(c, "ln_1", 7, {"text": "B"}, ANN)),
    (
        InvalidRequest,
        lambda c: productions.add(
            c, "pr_2", {"slug": "harbour", "title": "B", "fps": "24", "notes": ""}, ANN
        ),
    ),
]


@pytest.mark.parametrize(("error", "work"), REFUSALS)
def test_what_cannot_be_is_refused(
    script: Database, error: type[VoiceError], work: Refused
) -> None:
    add(script, new(1, line="ln_0"))
    with pytest.raises(error):
        script.write(work)
    assert script.write(lambda c: lines.get(c, "ln_0")).takes.total == 1


def test_empty_line_and_production_are_deleted(script: Database) -> None:
    for i in range(3):
        script.write(lambda c, i=i: lines.delete(c, f"ln_{i}", 1, ANN))
    script.write(lambda c: productions.delete(c, "harbour", 1, ANN))
    assert script.read(lambda c: productions.find(c, Cut())).items == []
    with pytest.raises(UnknownLine):
        script.read(lambda c: lines.get(c, "ln_0"))


@pytest.mark.parametrize("text", ["half \ud83d", "nul \0 nul"])
def test_text_that_the_database_does_not_take_is_refused(script: Database, text: str) -> None:
    given = [("ln_7", LINE | {"text": text})]
    if script.is_sqlite and "\0" in text:  # which SQLite takes
        return
    with pytest.raises(InvalidRequest):
        script.write(lambda c: lines.add(c, "pr_1", given, ANN))
    assert script.read(lambda c: lines.get(c, "ln_0")).text == LINE["text"]
