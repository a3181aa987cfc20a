"""The failures a caller can act on. Each knows its HTTP status and its problem type (RFC 9457).

This module knows nothing about HTTP servers: `api` turns these into responses, `cli` into lines.
"""

from collections.abc import Iterable
from typing import Any, ClassVar


class VoiceError(Exception):
    """Something the caller can act on.

    `detail` says what was wrong, `where` the field or offset, `valid` what would be right.
    """

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self, detail: str, *, where: str | None = None, valid: Iterable[Any] | str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.where = where
        self.retry_after_s: int | None = None  # after which the same may be answered otherwise
        self.extra: dict[str, Any] = {}  # members of the problem that only this type has
        self.valid = valid if valid is None or isinstance(valid, str) else list(valid)

    def __str__(self) -> str:
        at = f" (at {self.where})" if self.where else ""
        valid = ", ".join(map(str, self.valid)) if isinstance(self.valid, list) else self.valid
        return f"{self.detail}{at}" + (f"; valid: {valid}" if valid else "")


class InvalidRequest(VoiceError):
    """A field is missing, unknown, of the wrong type or out of range."""

    status, slug, title = 422, "invalid-request", "The request is not valid"


class MalformedBody(VoiceError):
    """The body could not be read as JSON at all."""

    status, slug, title = 400, "malformed-body", "The body is not JSON"


class UnknownActor(VoiceError):
    """No pack carries this actor id."""

    status, slug, title = 404, "unknown-actor", "No such actor"


class UnknownTake(VoiceError):
    """The take was never made here, or is no longer kept."""

    status, slug, title = 404, "unknown-take", "No such take"


class TextTooLong(VoiceError):
    """The text or the body is over the configured limit."""

    status, slug, title = 413, "text-too-long", "The text is too long"


class NothingSpeakable(VoiceError):
    """Nothing is left to say once what the voice cannot speak is taken out."""

    status, slug, title = 422, "nothing-speakable", "Nothing in the text can be spoken"


class NotReady(VoiceError):
    """The voice is still loading, or there is no room for it now; worth asking again."""

    status, slug, title = 503, "not-ready", "The voice is not ready"

    def __init__(
        self, detail: str, *, where: str | None = None, valid: Iterable[Any] | str | None = None
    ) -> None:
        super().__init__(detail, where=where, valid=valid)
        self.retry_after_s = 2


class DeviceLost(VoiceError):
    """The device that a voice is on failed, or its program ended; it is being started anew."""

    status, slug, title = 503, "device-lost", "The device failed"

    def __init__(
        self, detail: str, *, where: str | None = None, valid: Iterable[Any] | str | None = None
    ) -> None:
        super().__init__(detail, where=where, valid=valid)
        self.retry_after_s = 2


class Overloaded(VoiceError):
    """There is no time for one more stream now, or the service is ending; worth asking again."""

    status, slug, title = 503, "overloaded", "There is no time for it now"


class PackRefused(VoiceError):
    """A pack on disk is not what its manifest says, or not what the engine needs."""

    status, slug, title = 503, "pack-refused", "The actor's pack was refused"


class EngineFailed(VoiceError):
    """The model or the phoneme program failed while working on a valid request."""

    status, slug, title = 500, "engine-failed", "The engine failed"


class Unforeseen(VoiceError):
    """A mistake in the service itself; its log has the cause."""


class BadSetting(VoiceError):
    """A setting is unknown or out of range; the service does not start."""

    slug, title = "bad-setting", "A setting is not valid"


class BadPlan(VoiceError):
    """A plan does not fit the model it is given to."""

    status, slug, title = 422, "bad-plan", "The plan is not valid"


class CannotFit(VoiceError):
    """The line cannot be as long as it is asked to be within the limits of stretching."""

    status, slug, title = 422, "cannot-fit", "The line does not fit the length"


class BadMarkup(VoiceError):
    """The markup of a text cannot be read, or asks for what is not done here."""

    status, slug, title = 422, "bad-markup", "The markup is not valid"


class BadLexicon(VoiceError):
    """A lexicon cannot be read, or holds a sound that is none, or none of the voice's."""

    status, slug, title = 422, "bad-lexicon", "The lexicon is not valid"


class UnknownLexicon(VoiceError):
    """No lexicon of this name is kept."""

    status, slug, title = 404, "unknown-lexicon", "No such lexicon"


class UnknownBlob(VoiceError):
    """No audio is kept under this sha256."""

    status, slug, title = 404, "unknown-blob", "No such audio"


class BlobDamaged(VoiceError):
    """Audio that is kept is no longer what its sha256 says."""

    status, slug, title = 500, "blob-damaged", "The audio is damaged"


class NoSpace(VoiceError):
    """There is no room left where audio is kept."""

    status, slug, title = 507, "no-space", "There is no room for audio"


class BlobsFailed(VoiceError):
    """The disk or the server that keeps audio did not do its part."""

    status, slug, title = 503, "blobs-failed", "The place of the audio failed"


class UnknownProduction(VoiceError):
    """No production has this id or slug."""

    status, slug, title = 404, "unknown-production", "No such production"


class UnknownLine(VoiceError):
    """No line of a script has this id, or it was deleted."""

    status, slug, title = 404, "unknown-line", "No such line"


class TakeGone(VoiceError):
    """The take was deleted; until its audio is removed it can be restored."""

    status, slug, title = 410, "take-gone", "The take was deleted"


class NotMade(VoiceError):
    """The take has no audio: it is still being made, or was never completed."""

    status, slug, title = 409, "not-made", "The take has no audio"


class NotEmpty(VoiceError):
    """What is to be deleted still has something in it."""

    status, slug, title = 409, "not-empty", "It is not empty"


class Drift(VoiceError):
    """A take cannot be made again to the sample: weights, code or device are others now."""

    status, slug, title = 409, "drift", "The take would not be the same"


class ChangedMeanwhile(VoiceError):
    """Somebody else has changed it since the version that `If-Match` names."""

    status, slug, title = 412, "changed-meanwhile", "It was changed meanwhile"


class VersionNeeded(VoiceError):
    """A change has to say in `If-Match` which version it was made to."""

    status, slug, title = 428, "version-needed", "If-Match is needed"


class KeyInUse(VoiceError):
    """A request with this Idempotency-Key is still being worked on."""

    status, slug, title = 409, "key-in-use", "The request is being worked on"


class KeyReused(VoiceError):
    """An Idempotency-Key came with another request before."""

    status, slug, title = 422, "key-reused", "The key belongs to another request"


class StoreFailed(VoiceError):
    """The database or the audio store does not answer, or does not take what it is given."""

    status, slug, title = 503, "store-failed", "The store failed"


class BadGrant(VoiceError):
    """A grant, a notice or an approval cannot be read, or is not signed by those who are to."""

    status, slug, title = 422, "bad-grant", "The grant is not valid"


class UnknownGrant(VoiceError):
    """No grant has this id."""

    status, slug, title = 404, "unknown-grant", "No such grant"


class Unlicensed(VoiceError):
    """No grant covers what is to be done with the voice; `grants` says why not, one by one."""

    status, slug, title = 403, "not-licensed", "No grant covers this"


class LedgerBroken(VoiceError):
    """An entry of the ledger was changed, removed or put in."""

    status, slug, title = 500, "ledger-broken", "The ledger is not what it was"


class SigningFailed(VoiceError):
    """A file could not be given its content credentials, so it does not leave."""

    status, slug, title = 503, "signing-failed", "The file could not be signed"


class UnknownEntry(VoiceError):
    """The ledger has no such entry."""

    status, slug, title = 404, "unknown-entry", "No such entry"


class NotAuthenticated(VoiceError):
    """Nobody knows who asks: no key or token came, or one that is not valid or counts no more."""

    status, slug, title = 401, "not-authenticated", "Who asks is not known"
    presented = True  # whether something came that could have said so
    reason: str | None = None  # of `access.denied`, where it is one that is counted

    @property
    def challenge(self) -> str:
        """What to send, by RFC 6750."""
        return 'Bearer realm="voicesvc"' + (', error="invalid_token"' if self.presented else "")


class ProviderFailed(VoiceError):
    """The provider of tokens does not answer, or not as it has to, so nobody knows who asks."""

    status, slug, title = 503, "provider-failed", "The provider of tokens failed"

    def __init__(
        self, detail: str, *, where: str | None = None, valid: Iterable[Any] | str | None = None
    ) -> None:
        super().__init__(detail, where=where, valid=valid)
        self.retry_after_s = 10


class NotAllowed(VoiceError):
    """Who asks may not do this; `detail` says why, `scope` which scope it would take."""

    status, slug, title = 403, "not-allowed", "This is not allowed"

    @property
    def challenge(self) -> str:
        """What would do, by RFC 6750."""
        scope = f', scope="{self.extra["scope"]}"' if "scope" in self.extra else ""
        return f'Bearer realm="voicesvc", error="insufficient_scope"{scope}'


class TooManyRequests(VoiceError):
    """Who asks has asked more than they may in a minute, or at a time."""

    status, slug, title = 429, "too-many-requests", "Too many requests"


class UnknownKey(VoiceError):
    """No key has this id, or it was revoked and cannot be changed."""

    status, slug, title = 404, "unknown-key", "No such key"


class UnknownKind(VoiceError):
    """A file is of no kind that is read here."""

    status, slug, title = 415, "unknown-kind", "No such kind of file"


class RecordingTooLong(VoiceError):
    """A recording that is to be examined is larger or longer than it may be."""

    status, slug, title = 413, "recording-too-long", "The recording is too long"


class BadRecording(VoiceError):
    """A recording cannot be decoded, or takes more than it may while it is."""

    status, slug, title = 422, "bad-recording", "The recording cannot be read"


PROBLEMS: tuple[type[VoiceError], ...] = (
    InvalidRequest,
    MalformedBody,
    UnknownActor,
    UnknownTake,
    TextTooLong,
    NothingSpeakable,
    NotReady,
    DeviceLost,
    Overloaded,
    PackRefused,
    EngineFailed,
    Unforeseen,
    BadSetting,
    BadPlan,
    CannotFit,
    BadMarkup,
    BadLexicon,
    UnknownLexicon,
    UnknownBlob,
    BlobDamaged,
    NoSpace,
    BlobsFailed,
    UnknownProduction,
    UnknownLine,
    TakeGone,
    NotMade,
    NotEmpty,
    Drift,
    ChangedMeanwhile,
    VersionNeeded,
    KeyInUse,
    KeyReused,
    StoreFailed,
    BadGrant,
    UnknownGrant,
    Unlicensed,
    LedgerBroken,
    UnknownEntry,
    SigningFailed,
    NotAuthenticated,
    ProviderFailed,
    NotAllowed,
    UnknownKey,
    TooManyRequests,
    UnknownKind,
    RecordingTooLong,
    BadRecording,
)
