"""Who signed a grant, and what an envelope cannot be made to say."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import grants
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grants import COUNSEL, ESTATE, SIGNERS, TRUST, UNION
from hypothesis import given
from hypothesis import strategies as st

from voicesvc.errors import BadGrant
from voicesvc.rights import CLAUSES, Grant, Notice, Trust, Verified, keys, sign, verify
from voicesvc.rights.grant import parse, read, schema
from voicesvc.rights.signed import opened, payload_of
from voicesvc.rights.standing import notice, revoked, suspended

ROOT = Path(__file__).parent.parent


def test_thumbprint_of_rfc_8037_names_its_key() -> None:
    assert keys.kid(ESTATE) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_signature_is_ed25519_over_header_and_payload() -> None:
    member = json.loads(sign(b"{}", "grant", (ESTATE,)))["signatures"][0]
    raw = base64.urlsafe_b64decode(ESTATE.as_dict(private=True)["d"] + "=")
    expected = Ed25519PrivateKey.from_private_bytes(raw).sign(f"{member['protected']}.e30".encode())
    assert base64.urlsafe_b64decode(member["signature"] + "==") == expected


def test_enough_signers_verify_in_any_order() -> None:
    for by in (SIGNERS, SIGNERS[::-1]):
        found = verify(grants.signed(grants.grant(), by), TRUST)
        assert found.kids == {keys.kid(ESTATE), keys.kid(COUNSEL)}
        assert found.grant == grants.grant()


def test_signatures_are_added_one_by_one() -> None:
    given = grants.grant()
    first = sign(given.canonical(), "grant", (ESTATE,))
    with pytest.raises(BadGrant, match=r"1 valid signatures of 2.*Counsel LLP"):
        verify(first, TRUST)
    both = sign(given.canonical(), "grant", (COUNSEL,), first)
    assert verify(both, TRUST).grant == given
    with pytest.raises(BadGrant, match="another payload"):
        sign(grants.grant(id="g-other").canonical(), "grant", (COUNSEL,), first)


@pytest.mark.parametrize(
    ("by", "threshold"),
    [((ESTATE, UNION), 2), ((UNION,), 1), ((COUNSEL,), 1), ((), 1), ((ESTATE, ESTATE), 2)],
    ids=["by a stranger", "a stranger alone", "without the grantor", "nobody", "one twice"],
)
def test_too_few_of_the_signers_do_not_suffice(by: Any, threshold: int) -> None:
    with pytest.raises(BadGrant, match="valid signatures of"):
        verify(grants.signed(grants.grant(threshold=threshold), by), TRUST)


def test_key_that_nobody_trusts_does_not_count() -> None:
    trust = Trust({keys.kid(COUNSEL): COUNSEL})
    with pytest.raises(BadGrant, match="1 valid signatures of 2"):
        verify(grants.signed(grants.grant()), trust)


def test_another_key_under_the_name_of_a_signer_is_refused() -> None:
    envelope = json.loads(grants.signed(grants.grant()))
    forged = json.loads(grants.signed(grants.grant(), (UNION,)))["signatures"][0]
    envelope["signatures"][0]["signature"] = forged["signature"]
    with pytest.raises(BadGrant, match="is wrong"):
        verify(json.dumps(envelope), TRUST)


@given(st.integers(0, 2000), st.integers(1, 255))
def test_no_byte_of_the_payload_can_be_changed(at: int, by: int) -> None:
    envelope = json.loads(grants.signed(grants.grant()))
    content = bytearray(base64.urlsafe_b64decode(envelope["payload"] + "=="))
    content[at % len(content)] ^= by
    envelope["payload"] = base64.urlsafe_b64encode(bytes(content)).rstrip(b"=").decode()
    with pytest.raises(BadGrant):
        verify(json.dumps(envelope), TRUST)


def head_of(**changes: Any) -> str:
    said = {"alg": "Ed25519", "typ": "voicesvc-grant+jws", "kid": keys.kid(ESTATE)} | changes
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("changes", [{"alg": "none"}, {"alg": "EdDSA"}, {"typ": "JWT"}])
def test_header_says_what_it_is_for(changes: dict[str, str]) -> None:
    envelope = json.loads(grants.signed(grants.grant()))
    envelope["signatures"][0]["protected"] = head_of(**changes)
    with pytest.raises(BadGrant, match="not for a grant"):
        verify(json.dumps(envelope), TRUST)


@pytest.mark.parametrize(
    "envelope",
    [
        "",
        "[]",
        "{}",
        '{"payload": 1, "signatures": []}',
        '{"payload": "%", "signatures": []}',
        '{"payload": "e30", "signatures": [{"protected": "e30", "signature": "", "header": {}}]}',
        '{"payload": "e30", "signatures": [{"protected": "W10", "signature": ""}]}',
        '{"payload": "e30", "signatures": [{"protected": "%%%", "signature": ""}]}',
        '{"payload": "e30", "signatures": {"a": "b"}}',
        '{"payload": "e30", "signatures": [1]}',
        pytest.param("[" * 90_000, id="deep"),
        pytest.param("1" * 200_001, id="long"),
    ],
)
def test_what_is_no_envelope_is_refused(envelope: str) -> None:
    with pytest.raises(BadGrant):
        verify(envelope, TRUST)


def test_notice_never_passes_for_a_grant() -> None:
    envelope = sign(grants.grant().canonical(), "notice", SIGNERS)
    with pytest.raises(BadGrant, match="not for a grant"):
        verify(envelope, TRUST)
    assert opened(envelope, "notice", TRUST.keys).payload == payload_of(envelope)


def test_payload_in_another_form_is_refused() -> None:
    loose = json.dumps(grants.said()).encode()
    with pytest.raises(BadGrant, match="canonical"):
        verify(sign(loose, "grant", SIGNERS), TRUST)
    twice = grants.grant().canonical().replace(b'"version":1', b'"version":1,"version":1')
    with pytest.raises(BadGrant, match="canonical"):
        verify(sign(twice, "grant", SIGNERS), TRUST)


def test_verified_grants_are_made_by_verify_alone() -> None:
    with pytest.raises(TypeError, match="verify alone"):
        Verified(object(), grants.grant(), frozenset(), "")


# -- amendments ----------------------------------------------------------------------------------


def amended(before: Verified, **changes: Any) -> Any:
    return grants.grant(**{"version": 2, "supersedes": before.sha256, **changes})


def test_amendment_follows_the_version_before() -> None:
    first = grants.verified()
    second = verify(grants.signed(amended(first, territory=["US"])), TRUST, first)
    assert second.grant.version == 2
    for changes, why in (
        ({"supersedes": "0" * 64}, "does not follow"),
        ({"id": "g-other"}, "does not follow"),
        ({"version": 3}, "version 3"),
        ({"voice__actor": "ben"}, "same actor"),
    ):
        with pytest.raises(BadGrant, match=why):
            verify(grants.signed(amended(first, **changes)), TRUST, first)
    with pytest.raises(BadGrant, match="does not follow"):
        verify(grants.signed(amended(first)), TRUST, None)


def test_new_signers_do_not_make_themselves_the_signers() -> None:
    first = grants.verified()
    theirs = [{"kid": keys.kid(UNION), "role": "estate", "name": "Another estate"}]
    second = amended(first, signers=theirs, threshold=1)
    with pytest.raises(BadGrant, match="valid signatures of 2"):
        verify(grants.signed(second, (UNION,)), TRUST, first)
    assert verify(grants.signed(second, (UNION, *SIGNERS)), TRUST, first).grant == second


# -- the operator --------------------------------------------------------------------------------


def demonstration(**changes: Any) -> Any:
    operator = {"kid": keys.kid(UNION), "role": "operator", "name": "this service"}
    said = {
        "demonstration": True,
        "grantor": {"role": "operator", "name": "this service"},
        "signers": [operator],
        "threshold": 1,
        "production": {"id": "*", "title": "Demonstration"},
    }
    return grants.grant(**{**said, **changes})


def test_operator_grants_demonstrations_and_nothing_else() -> None:
    trust = Trust(TRUST.keys, keys.kid(UNION))
    envelope = grants.signed(demonstration(), (UNION,))
    assert verify(envelope, trust).grant.demonstration
    with pytest.raises(BadGrant, match="0 valid signatures"):
        verify(envelope, TRUST)  # another service's operator
    theirs = [{"kid": keys.kid(UNION), "role": "estate", "name": "The estate, it says"}]
    with pytest.raises(BadGrant, match="0 valid signatures"):
        verify(grants.signed(grants.grant(signers=theirs, threshold=1), (UNION,)), trust)


# -- notices -------------------------------------------------------------------------------------


def told(action: str, *by: Any, grant: str = "g-harbour") -> Any:
    said = {"grant": grant, "action": action, "at": "2026-09-01T00:00:00Z"}
    given = Notice.model_validate_json(json.dumps(said))
    return notice(sign(given.canonical(), "notice", by), grants.grant(), TRUST)


def test_any_signer_suspends_and_the_grantor_revokes() -> None:
    assert suspended([told("suspend", COUNSEL)], 2) is not None
    assert revoked([told("revoke", ESTATE)]) is not None
    with pytest.raises(BadGrant, match="not signed by those who may"):
        told("revoke", COUNSEL)
    with pytest.raises(BadGrant, match="not signed by those who may"):
        told("suspend", UNION)
    with pytest.raises(BadGrant, match="for g-other"):
        told("suspend", ESTATE, grant="g-other")


def test_suspension_is_ended_by_who_gave_it() -> None:
    begun, operators = told("suspend", COUNSEL), told("suspend", COUNSEL)
    operators = type(operators)(operators.notice)
    assert suspended([begun, told("resume", ESTATE)], 2) is not None
    assert suspended([begun, told("resume", COUNSEL)], 2) is None
    assert suspended([begun, told("resume", ESTATE, COUNSEL)], 2) is None
    assert suspended([begun, type(begun)(told("resume", ESTATE).notice)], 2) is not None
    assert suspended([operators, told("resume", ESTATE, COUNSEL)], 2) is not None
    assert suspended([operators, type(begun)(told("resume", ESTATE).notice)], 2) is None
    assert suspended([begun, told("resume", COUNSEL), begun], 2) is not None


# -- what a grant may say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"fee": 1}, "fee"),
        ({"threshold": 3}, "payload"),
        ({"version": 2}, "payload"),
        ({"use__description": "ADR"}, "use.description"),
        ({"use__script_sha256": None, "use__new_dialogue": False}, "payload"),
        ({"production__id": "*"}, "payload"),
        ({"production__id": "Harbour!"}, "production.id"),
        ({"grantor__authority_sha256": None}, "payload"),
        ({"grantor__role": "performer"}, "payload"),
        ({"term__expires": "2026-07-01T00:00:00Z"}, "term"),
        ({"term__expires": "2027-06-30T00:00:00"}, "term.expires"),
        ({"approvals": {"kind": "line"}}, "approvals"),
        ({"voice__model_sha256": []}, "voice.model_sha256"),
        ({"limits__seconds": 0}, "limits.seconds"),
        ({"limits__seconds": 1.5}, "limits.seconds"),
        ({"demonstration": True}, "payload"),
        ({"territory": ["usa"]}, "territory.0"),
        (
            {
                "compensation": {
                    "basis": "line",
                    "rate": "1e3",
                    "currency": "USD",
                    "payee": "x",
                }
            },
            "compensation.rate",
        ),
    ],
)
def test_grant_that_is_not_whole_is_refused(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(BadGrant) as refused:
        grants.grant(**changes)
    assert refused.value.where == where


@pytest.mark.parametrize("path", sorted((ROOT / "docs/grants").glob("example-*.json")), ids=str)
def test_examples_are_grants(path: Path) -> None:
    example = parse(path.read_bytes())
    assert read(example.canonical()) == example


def test_schema_that_is_published_is_the_code_s() -> None:
    published = json.loads((ROOT / "docs/grants/grant.schema.json").read_text("utf-8"))
    assert published == json.loads(json.dumps(schema()))
    assert len(list((ROOT / "docs/grants").glob("example-*.json"))) == 3


def test_page_lists_every_part_and_clause() -> None:
    page = (ROOT / "docs/rights.md").read_text("utf-8").split("## Statements")[0]
    said = [
        re.findall(r"`([a-z0-9_.]+)`", row.split("|")[1]) for row in page.splitlines() if "|" in row
    ]
    named = [name for row in said for name in row]
    internal = {"type", "schema_version", "demonstration", "threshold"}
    assert {*named, *internal} == {*CLAUSES, *Grant.model_fields, *internal}
