"""Keys and the one door, without a service."""

import hashlib
import secrets
from typing import Any

import pytest

from voicesvc.access import LOCAL, SCOPES, Caller, Key, Need, Secret, check, keys, ruled
from voicesvc.access.limits import Limits
from voicesvc.errors import InvalidRequest

PEPPER = b"p" * 32
NOW_MS = 1_000_000


def kept(shown: str, **more: Any) -> Secret:
    id, secret = keys.parted(shown) or ("", "")
    return Secret(keys.digest(PEPPER, id, secret), **more)


def test_a_key_is_found_by_its_secret_alone() -> None:
    id, shown = keys.new(secrets.token_bytes)
    _, other = keys.new(secrets.token_bytes, id)
    ring = {id: Key(id, "Dana", frozenset({"speak"}), secrets=(kept(shown),))}
    found = keys.found(ring, PEPPER, shown, NOW_MS)
    assert found is not None
    assert found[0].id == id
    for wrong in (other, shown[:-1], shown + "A", "", "vsk__", shown.upper(), f" {shown}"):
        assert keys.found(ring, PEPPER, wrong, NOW_MS) is None
    assert keys.found(ring, b"q" * 32, shown, NOW_MS) is None, "the database alone makes no key"
    assert keys.found({}, PEPPER, shown, NOW_MS) is None


def test_nobody_is_let_in_by_what_stands_for_no_secret() -> None:
    id, shown = keys.new(secrets.token_bytes)
    ring = {id: Key(id, "Dana", frozenset({"speak"}))}
    assert keys.found(ring, PEPPER, shown, 0) is None
    assert keys.found(ring, PEPPER, shown, -1) is None


def test_a_secret_that_was_replaced_counts_until_its_end() -> None:
    id, old = keys.new(secrets.token_bytes)
    _, new = keys.new(secrets.token_bytes, id)
    both = (kept(old, until_ms=NOW_MS), kept(new))
    ring = {id: Key(id, "Dana", frozenset({"speak"}), secrets=both)}
    before = keys.found(ring, PEPPER, old, NOW_MS - 1)
    assert before is not None
    assert before[0].caller(before[1]).until_ms == NOW_MS
    assert keys.found(ring, PEPPER, old, NOW_MS) is None
    assert keys.found(ring, PEPPER, new, NOW_MS) is not None


def test_every_answer_takes_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    id, shown = keys.new(secrets.token_bytes)
    _, wrong = keys.new(secrets.token_bytes, id)
    _, unknown = keys.new(secrets.token_bytes)
    ring = {id: Key(id, "Dana", frozenset({"speak"}), secrets=(kept(shown),))}
    steps: list[str] = []
    real_compare, real_new = keys.hmac.compare_digest, keys.hmac.new

    def compared(a: bytes, b: bytes) -> bool:
        steps.append(f"compare {len(a)} {len(b)}")
        return real_compare(a, b)

    def hashed(key: bytes, content: bytes, of: Any) -> Any:
        steps.append(f"hash {of is hashlib.sha256}")
        return real_new(key, content, of)

    monkeypatch.setattr(keys.hmac, "compare_digest", compared)
    monkeypatch.setattr(keys.hmac, "new", hashed)
    seen = set()
    for presented in (shown, wrong, unknown, "nonsense"):
        steps.clear()
        keys.found(ring, PEPPER, presented, NOW_MS)
        seen.add(tuple(steps))
    assert seen == {("hash True", "compare 32 32", "compare 32 32")}


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (Need("export"), "scope 'export'"),
        (Need("speak", everywhere=True), "every production"),
        (Need("speak", actor="bob"), "other actors than 'bob'"),
        (Need("speak", production="lagoon"), "other productions than 'lagoon'"),
        (Need("speak", production="lagoon", production_id="pr_9"), "other productions"),
    ],
)
def test_the_door_says_why_not(need: Need, said: str) -> None:
    caller = Caller("k", "Dana", frozenset({"speak"}), frozenset({"ann"}), frozenset({"harbour"}))
    refused = check(caller, need)
    assert refused is not None
    assert said in refused.reason
    assert (refused.scope == "export") is (need.scope == "export")
    assert check(LOCAL, need) is None


def test_the_door_lets_in_whom_it_is_open_for() -> None:
    caller = Caller("k", "Dana", frozenset({"speak"}), frozenset({"ann"}), frozenset({"harbour"}))
    for need in (
        Need("speak"),
        Need("speak", actor="ann", production="harbour"),
        Need("speak", production="new-name", production_id="harbour"),
    ):
        assert check(caller, need) is None
    admin = Caller("a", "Ada", frozenset({"admin"}))
    assert all(check(admin, Need(scope, everywhere=True)) is None for scope in SCOPES)


def test_retry_after_is_true() -> None:
    limits, now_s = Limits(), 100.0
    assert [limits.enter("k", 6, 0, now_s) for _ in range(7)] == [None] * 6 + [10]
    assert limits.enter("other", 6, 0, now_s) is None
    assert limits.enter("k", 6, 0, now_s + 9.5) == 1, "it waits for what is missing"
    assert limits.enter("k", 6, 0, now_s + 10.01) is None
    assert limits.enter("k", 6, 0, now_s + 10.02) == 10
    for _ in range(7):
        limits.leave("k")
    assert limits.inside == {"other": 1}


def test_no_more_at_a_time_than_allowed() -> None:
    limits = Limits()
    assert [limits.enter("k", 0, 2, 0.0) for _ in range(3)] == [None, None, 1]
    limits.leave("k")
    assert limits.enter("k", 0, 2, 0.0) is None


@pytest.mark.parametrize(
    ("scopes", "actors"), [((), ()), (("speak", "Speak"), ()), (("admin",), ("ann",))]
)
def test_a_key_that_makes_no_sense_is_refused(scopes: Any, actors: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ruled(scopes, actors, ())
    assert caught.value.where == "scopes"
