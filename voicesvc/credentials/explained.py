"""What the library found out about a file's credentials, in words that a person understands.

Pure: from the report of its Reader, as JSON, to a record.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from voicesvc.credentials.claim import LICENCE, SYNTHETIC

State = Literal["none", "trusted", "valid", "invalid", "unreadable"]
_BY_STATE: dict[str, State] = {"Trusted": "trusted", "Valid": "valid", "Invalid": "invalid"}
_UNTRUSTED = "signingCredential.untrusted"
# What the specification's codes mean for who has the file (C2PA 2.4, "Standard Status Codes").
FAILURES = {
    "assertion.dataHash.mismatch": "The file was changed after it was signed: its sound, or what "
    "else is in it, is not what was signed.",
    "assertion.hashedURI.mismatch": "What the credentials say was changed after they were signed.",
    "assertion.missing": "A part of the credentials is missing.",
    "assertion.action.malformed": "What the credentials say was done to the file is not valid.",
    "claim.malformed": "The credentials are damaged.",
    "claim.missing": "The credentials have no claim.",
    "claim.cbor.invalid": "The credentials are damaged.",
    "claimSignature.mismatch": "The signature is not that of what the credentials say.",
    "claimSignature.missing": "The credentials are not signed.",
    "claimSignature.outsideValidity": "The certificate was not valid when the file was signed, and "
    "no time-stamp shows that it was.",
    "signingCredential.expired": "The certificate has run out, and no time-stamp shows that the "
    "file was signed before it did.",
    "signingCredential.invalid": "The certificate is none that may sign credentials.",
    "signingCredential.ocsp.revoked": "The certificate was revoked.",
    _UNTRUSTED: "Who signed is not known here: none of the trusted roots stands for the "
    "certificate, and anybody can make one under any name.",
    "timeStamp.mismatch": "The time-stamp is not for this signature.",
    "timeStamp.outsideValidity": "The time-stamp's certificate was not valid.",
    "timeStamp.untrusted": "Who set the time-stamp is not known here.",
    "algorithm.unsupported": "The credentials use an algorithm that is not supported.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a file's content credentials are worth, and what they say.

    `state` is `none`; `trusted`: whole, and signed by who is trusted; `valid`: whole, by somebody
    who is not known; `invalid`: not to be believed; `unreadable`. All that is said is only a claim
    where the state is neither `trusted` nor `valid`.
    """

    state: State
    words: str  # for a person
    reasons: tuple[str, ...] = ()  # one sentence for each thing that is wrong
    codes: tuple[str, ...] = ()  # the same, in the specification's words
    signer: str | None = None  # the certificate's name
    organisation: str | None = None
    algorithm: str | None = None
    stamped_at: str | None = None  # by a time-stamp authority
    software: str | None = None  # what made the claim
    title: str | None = None
    synthetic: bool = False  # said to be made by a model
    training_allowed: bool | None = None  # to train models on it; None: nothing is said
    take: str | None = None
    grant: str | None = None  # opaque: only the service that made it can tell which
    model_sha256: str | None = None
    ledger_entry: int | None = None
    ledger_root: str | None = None


NONE = Credentials(
    state="none",
    words="The file has no content credentials: nothing is said about where it comes from. That "
    "is no sign that it is real; many programs remove them.",
)


def unreadable(reason: str) -> Credentials:
    """Of a file, or credentials, that the library cannot read."""
    words = "The file's content credentials cannot be read, so they say nothing."
    return Credentials(state="unreadable", words=words, reasons=(reason,))


def explain(report: Mapping[str, Any]) -> Credentials:
    """The report of the library's Reader, as a record."""
    manifests: Mapping[str, Any] = report.get("manifests", {})
    claimed: Mapping[str, Any] = manifests.get(report.get("active_manifest", ""), {})
    signature = claimed.get("signature_info") or {}
    results = report.get("validation_results", {}).get("activeManifest", {})
    told = [found["code"] for found in results.get("failure", ())]
    told += [x["code"] for x in results.get("informational", ()) if x["code"] in FAILURES]
    codes = tuple(dict.fromkeys(told))
    state = _BY_STATE.get(report.get("validation_state", ""), "invalid")
    said = _assertions(claimed)
    licence = said.get(LICENCE, {})
    ledger = licence.get("ledger", {})
    software = (claimed.get("claim_generator_info") or [{}])[0]
    signer = signature.get("common_name")
    return Credentials(
        state=state,
        words=_words(state, signer or signature.get("issuer") or "somebody without a name"),
        reasons=tuple(FAILURES.get(code, f"The check {code} failed.") for code in codes),
        codes=codes,
        signer=signer,
        organisation=signature.get("issuer"),
        algorithm=signature.get("alg"),
        stamped_at=signature.get("time"),
        software=" ".join(str(software[n]) for n in ("name", "version") if n in software) or None,
        title=claimed.get("title"),
        synthetic=_synthetic(said),
        training_allowed=_training(said),
        take=licence.get("take"),
        grant=licence.get("grant"),
        model_sha256=licence.get("model_sha256"),
        ledger_entry=ledger.get("entry"),
        ledger_root=ledger.get("root"),
    )


def _words(state: State, signer: str) -> str:
    if state == "trusted":
        return f"Signed by {signer}, who is trusted here. Nothing was changed since."
    if state == "valid":
        return (
            f"Nothing was changed since it was signed. The certificate says {signer}, but none of "
            "those trusted here stands for it: anybody can make one under any name."
        )
    return f"Not to be believed, although it says that {signer} signed it."


def _assertions(claimed: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = {}
    for assertion in claimed.get("assertions", ()):
        if isinstance(assertion.get("data"), Mapping):
            found[str(assertion.get("label"))] = assertion["data"]
    return found


def _synthetic(said: Mapping[str, Mapping[str, Any]]) -> bool:
    actions = said.get("c2pa.actions.v2", {}).get("actions", ())
    return any(action.get("digitalSourceType") == SYNTHETIC for action in actions)


def _training(said: Mapping[str, Mapping[str, Any]]) -> bool | None:
    entries = said.get("cawg.training-mining", {}).get("entries")
    if not entries:
        return None
    return any(entry.get("use") != "notAllowed" for entry in entries.values())
