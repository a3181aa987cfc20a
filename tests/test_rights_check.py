"""Whether a grant covers a use: what does by a hair's breadth does not."""

import json
import math
from dataclasses import replace
from typing import Any

import grants
import pytest
from grants import MODEL, NOW_MS
from hypothesis import given, settings
from hypothesis import strategies as st

from voicesvc.rights import CLAUSES, Notice, NotLicensed, Permit, Standing, Use, Used, check
from voicesvc.rights.canonical import text_sha256
from voicesvc.rights.check import BACK_MS, STALE_MS
from voicesvc.rights.standing import Given, Script

LINE = "We hold the harbour."
SCRIPT = Script(lines=(text_sha256(LINE),))
KEY = grants.keys.kid(grants.ESTATE)
USE = Use(
    actor="ann",
    model_sha256=MODEL,
    production="harbour",
    language="en-us",
    text=LINE,
    character="Joe",
    medium="feature",
    episode="reel 1",
    territory="US",
)
STANDING = Standing(NOW_MS)
BEGIN_MS, END_MS, KEPT_MS = 1_782_864_000_000, 1_814_313_600_000, 1_822_262_400_000


def told(action: str) -> Given:
    said = {"grant": "g-harbour", "action": action, "at": "2026-08-01T00:00:00Z"}
    return Given(Notice.model_validate_json(json.dumps(said)))


def permit(
    use: Use = USE,
    standing: Standing = STANDING,
    now_ms: int = NOW_MS,
    *more: Any,
    **changes: Any,
) -> Permit | NotLicensed:
    return check(use, [grants.verified(**changes), *more], standing, now_ms)


def clause(refused: Permit | NotLicensed) -> str:
    assert isinstance(refused, NotLicensed)
    (looked,) = refused.looked_at
    assert looked.needed
    assert looked.clause in refused.detail
    return looked.clause


def test_grant_covers_what_it_is_for() -> None:
    found = permit()
    assert isinstance(found, Permit)
    assert (found.grant, found.version, found.sha256) == (
        "g-harbour",
        1,
        grants.verified().sha256,
    )
    assert found.seconds_left == 600
    assert permit(limits={}).seconds_left == math.inf  # type: ignore[union-attr]


def test_permits_are_made_by_check_alone() -> None:
    with pytest.raises(TypeError, match="check alone"):
        Permit(object(), grants.verified(), USE, NOW_MS, 1.0)


SPENT = {"g-harbour": Used(599.9, 399, frozenset({LINE}))}
# What is off by one: the use, what happened, the time, or the grant; and the clause that decides.
ALMOST: list[tuple[str, dict[str, Any], dict[str, Any], int, dict[str, Any]]] = [
    ("voice.model_sha256", {"model_sha256": "a" * 63 + "b"}, {}, NOW_MS, {}),
    ("production.id", {"production": "harbour-2"}, {}, NOW_MS, {}),
    ("production.id", {"production": "harbou"}, {}, NOW_MS, {}),
    ("production.media", {"medium": "series"}, {}, NOW_MS, {}),
    ("production.media", {"medium": None}, {}, NOW_MS, {}),
    ("production.episodes", {"episode": "reel 2"}, {}, NOW_MS, {}),
    ("production.episodes", {"episode": None}, {}, NOW_MS, {}),
    ("use.characters", {"character": "Joey"}, {}, NOW_MS, {}),
    ("use.characters", {"character": None}, {}, NOW_MS, {}),
    ("use.languages", {"language": "eng"}, {}, NOW_MS, {}),
    ("use.languages", {"language": "de"}, {}, NOW_MS, {}),
    ("use.languages", {"language": "en-us"}, {}, NOW_MS, {"use__languages": ["en-gb"]}),
    ("territory", {"territory": "MX"}, {}, NOW_MS, {}),
    ("territory", {"territory": None}, {}, NOW_MS, {}),
    ("use.prohibited", {"categories": frozenset({"political"})}, {}, NOW_MS, {}),
    ("use.realtime", {"purposes": frozenset({"realtime"})}, {}, NOW_MS, {}),
    ("use.singing", {"purposes": frozenset({"singing"})}, {}, NOW_MS, {"use__promo": True}),
    ("use.promo", {"purposes": frozenset({"promo"})}, {}, NOW_MS, {"use__singing": True}),
    ("use.promo", {"purposes": frozenset({"trailer"})}, {}, NOW_MS, {"use__realtime": True}),
    ("term.not_before", {}, {"as_of_ms": 0}, BEGIN_MS - 1, {}),
    ("term.expires", {}, {"as_of_ms": END_MS}, END_MS, {}),
    ("term.expires", {"kind": "export"}, {"as_of_ms": KEPT_MS}, KEPT_MS, {}),
    ("revoked", {}, {"notices": {"g-harbour": [told("revoke"), told("resume")]}}, NOW_MS, {}),
    ("suspended", {}, {"notices": {"g-harbour": [told("suspend")]}}, NOW_MS, {}),
    ("limits.seconds", {}, {"used": {"g-harbour": Used(600.0)}}, NOW_MS, {}),
    ("limits.takes", {"takes": 2}, {"used": SPENT}, NOW_MS, {}),
    ("limits.lines", {}, {"used": SPENT}, NOW_MS, {"limits__lines": 1}),
    (
        "use.new_dialogue",
        {"text": LINE + "!"},
        {"scripts": {SCRIPT.sha256: frozenset(SCRIPT.lines)}},
        NOW_MS,
        {"use__new_dialogue": False, "use__script_sha256": SCRIPT.sha256},
    ),
    (
        "use.new_dialogue",
        {"certain": False},
        {"scripts": {SCRIPT.sha256: frozenset(SCRIPT.lines)}},
        NOW_MS,
        {"use__new_dialogue": False, "use__script_sha256": SCRIPT.sha256},
    ),
    (
        "approvals",
        {},
        {"approved": {"g-other": frozenset(SCRIPT.lines)}},
        NOW_MS,
        {"approvals": {"kind": "line", "approver": KEY}},
    ),
    (
        "approvals",
        {"certain": False},
        {"approved": {"g-harbour": frozenset(SCRIPT.lines)}},
        NOW_MS,
        {"approvals": {"kind": "line", "approver": KEY}},
    ),
]


@pytest.mark.parametrize("case", ALMOST, ids=lambda c: c[0])
def test_what_is_almost_covered_is_refused(case: Any) -> None:
    decides, used, known, now_ms, changes = case
    standing = replace(STANDING, **{"as_of_ms": now_ms, **known})
    if decides == "term.not_before":
        standing = replace(standing, as_of_ms=now_ms)
    assert clause(permit(replace(USE, **used), standing, now_ms, **changes)) == decides


def test_every_clause_has_a_use_that_it_alone_refuses() -> None:
    assert {c[0] for c in ALMOST} | {"supersedes"} == set(CLAUSES)


@pytest.mark.parametrize(
    ("used", "known", "now_ms", "changes"),
    [
        ({}, {"as_of_ms": BEGIN_MS}, BEGIN_MS, {}),
        ({}, {"as_of_ms": END_MS - 1}, END_MS - 1, {}),
        ({"kind": "hear"}, {"as_of_ms": KEPT_MS - 1}, KEPT_MS - 1, {}),
        ({}, {"used": SPENT}, NOW_MS, {"limits__lines": 2}),
        ({"text": " We  hold\nthe harbour. "}, {"used": SPENT}, NOW_MS, {}),
        ({"kind": "hear"}, {"used": {"g-harbour": Used(999.0, 999)}}, NOW_MS, {}),
        ({"language": "en"}, {}, NOW_MS, {"use__languages": ["en"]}),
        ({"character": "JOE"}, {}, NOW_MS, {}),
        ({}, {"notices": {"g-harbour": [told("suspend"), told("resume")]}}, NOW_MS, {}),
        ({}, {"notices": {"g-harbou": [told("revoke")]}}, NOW_MS, {}),
        ({"purposes": frozenset({"realtime"})}, {}, NOW_MS, {"use__realtime": True}),
        ({"production": "pr", "production_id": "harbour"}, {}, NOW_MS, {}),
        (
            {"text": " We hold  the harbour. "},
            {"scripts": {SCRIPT.sha256: frozenset(SCRIPT.lines)}},
            NOW_MS,
            {"use__new_dialogue": False, "use__script_sha256": SCRIPT.sha256},
        ),
        (
            {},
            {"approved": {"g-harbour": frozenset(SCRIPT.lines)}},
            NOW_MS,
            {"approvals": {"kind": "line", "approver": KEY}},
        ),
    ],
)
def test_what_is_just_covered_is_allowed(used: Any, known: Any, now_ms: int, changes: Any) -> None:
    standing = replace(STANDING, **{"as_of_ms": now_ms, **known})
    assert isinstance(permit(replace(USE, **used), standing, now_ms, **changes), Permit)


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(range(len(ALMOST))), min_size=1, max_size=6, unique=True),
    st.data(),
)
def test_many_grants_that_almost_cover_do_not_cover_together(
    which: list[int], data: st.DataObject
) -> None:
    """Each grant lacks one thing; that others have it helps none of them."""
    narrow = [
        {"voice__model_sha256": ["b" * 64]},
        {"production__id": "quay"},
        {"production__media": ["game"]},
        {"production__episodes": ["reel 9"]},
        {"use__characters": ["Ben"]},
        {"use__languages": ["fr"]},
        {"territory": ["DE"]},
        {"term": {"not_before": "2026-09-01T00:00:01Z", "expires": "2027-06-30T00:00:00Z"}},
        {"term": {"not_before": "2026-07-01T00:00:00Z", "expires": "2026-09-01T00:00:00Z"}},
    ]
    some = []
    for i in which:
        lacking = dict(narrow[i % len(narrow)])
        if "term" in lacking:
            lacking["term"] = {**lacking["term"], "retain_until": "2027-09-30T00:00:00Z"}
        some.append(grants.verified(id=f"g-{i}", **lacking))
    order = data.draw(st.permutations(some))
    refused = check(USE, order, STANDING, NOW_MS)
    assert isinstance(refused, NotLicensed)
    assert {x.grant for x in refused.looked_at} == {f"g-{i}" for i in which}
    assert isinstance(check(USE, [*order, grants.verified()], STANDING, NOW_MS), Permit)


def test_version_that_was_superseded_does_not_count() -> None:
    first = grants.verified()
    narrower = {"version": 2, "supersedes": first.sha256, "territory": ["CA"]}
    second = grants.verified(first, **narrower)
    for order in ([first, second], [second, first]):
        refused = check(USE, order, STANDING, NOW_MS)
        assert isinstance(refused, NotLicensed)
        assert {x.version: x.clause for x in refused.looked_at} == {1: "supersedes", 2: "territory"}


def test_clock_that_was_moved_back_opens_nothing() -> None:
    over = replace(STANDING, as_of_ms=END_MS + BACK_MS, newest_ms=END_MS + BACK_MS)
    refused = permit(USE, over, NOW_MS)
    assert isinstance(refused, NotLicensed)
    assert "the clock stands" in refused.detail
    # Within what clocks differ by, the newest time on record counts.
    assert clause(permit(USE, over, END_MS)) == "term.expires"


def test_what_is_not_known_any_more_is_refused() -> None:
    assert isinstance(permit(now_ms=NOW_MS + STALE_MS), Permit)
    refused = permit(now_ms=NOW_MS + STALE_MS + 1)
    assert isinstance(refused, NotLicensed)
    assert "not known" in refused.detail
    assert not refused


def test_voice_that_no_grant_is_for_says_so() -> None:
    refused = permit(replace(USE, actor="ben"))
    assert isinstance(refused, NotLicensed)
    assert refused.looked_at == ()
    assert "'ben'" in refused.detail


@given(st.text(max_size=40), st.text(max_size=40))
def test_texts_are_one_line_if_only_white_space_differs(a: str, b: str) -> None:
    same = " ".join(a.split()) == " ".join(b.split())
    assert (text_sha256(a) == text_sha256(b)) >= same
    assert text_sha256(f" {a}\n\t{b} ") == text_sha256(f"{a} {b}")
