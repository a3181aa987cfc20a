"""Settings: read once from `VOICESVC_*`, frozen, unknown names refused.

Every field has a unit in its name or its help text; docs/settings.md lists them all.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from platformdirs import user_cache_path, user_data_path
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from voicesvc.errors import BadSetting

PREFIX = "VOICESVC_"
_CHECKOUT_MODELS = Path(__file__).resolve().parents[1] / "models"


def _names(value: object) -> object:
    """`joe,ann` as a tuple of names."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class Settings(BaseModel):
    """How this service runs. Build it with `Settings.read`."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="TCP port to listen on; 0 picks a free one")
    access: Literal["local", "keys"] = Field(
        "local",
        description="who may use the service: local, whoever is at this machine, which needs a "
        "host that only this machine reaches; or keys, whoever has a key",
    )
    admin_key: Path | None = Field(
        None,
        description="file with a key that may do everything, so that somebody can make the others",
    )
    per_minute: int = Field(
        1200,
        ge=0,
        le=1_000_000,
        description="requests that a key may make in a minute, unless it says; 0: any number",
    )
    at_once: int = Field(
        64,
        ge=0,
        le=10_000,
        description="requests of a key that may be answered at a time, unless it says; 0: any",
    )
    oidc_issuer: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="issuer of an OpenID provider whose tokens count beside keys; unset: none do",
    )
    oidc_audience: str | None = Field(
        None, min_length=1, description="what tokens that are for this service have as `aud`"
    )
    oidc_roles: Path | None = Field(
        None, description="TOML file with what each role that the provider gives is for"
    )
    oidc_roles_claim: str = Field(
        "roles", min_length=1, description="claim with a token's roles; dots lead into claims"
    )
    oidc_name_claim: str = Field(
        "name", min_length=1, description="claim with the name of a token's person"
    )
    oidc_clients: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (),
        description="client ids, separated by commas, to whom tokens may have been issued; unset: "
        "to any, where a token is for this service alone",
    )
    oidc_algorithms: Annotated[
        tuple[Literal["RS256", "PS256", "ES256", "EdDSA", "Ed25519"], ...], BeforeValidator(_names)
    ] = Field(
        (),
        description="algorithms that tokens may be signed by, separated by commas: RS256, PS256, "
        "ES256, EdDSA, Ed25519; unset: all of these",
    )
    oidc_leeway_s: int = Field(
        60, ge=0, le=300, description="seconds by which the provider's clock may differ"
    )
    oidc_keys_s: int = Field(
        3600, ge=60, le=86_400, description="seconds until the provider's keys are read again"
    )
    oidc_stale_s: int = Field(
        14_400,
        ge=0,
        le=604_800,
        description="seconds beyond that in which they count while the provider does not answer",
    )
    oidc_client_id: str | None = Field(
        None, min_length=1, description="this service's client id, for the login on the page"
    )
    oidc_client_secret: Path | None = Field(
        None, description="file with the client's secret; unset: a public client, by PKCE alone"
    )
    oidc_redirect_url: str | None = Field(
        None, description="this service's /login/callback, as browsers and the provider know it"
    )
    oidc_scope: str = Field(
        "openid profile", description="scopes that a login asks of the provider"
    )
    oidc_session_s: int = Field(
        28_800, ge=60, le=43_200, description="seconds that a login through the provider lasts"
    )
    metrics: Literal["open", "key"] = Field(
        "open", description="whether /metrics takes a key, of an admin, where others do"
    )
    data_dir: Path | None = Field(
        None,
        description="folder that holds everything the service writes, imported packs included; "
        "unset: the user's data folder, and the user's cache folder for imported packs",
    )
    models_dir: Path = Field(
        _CHECKOUT_MODELS, description="folder with one actor pack in each of its folders"
    )
    actors: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(
        (),
        description="actor ids to load and warm at start, separated by commas, as far as there is "
        "room; unset: all",
    )
    acknowledged_licences: Annotated[tuple[Literal["CPML"], ...], BeforeValidator(_names)] = Field(
        (),
        description="licences of base models that the operator says this use is within, separated "
        "by commas: CPML; a voice under one that is not here is not loaded",
    )
    pack_keys: Path | None = Field(
        None,
        description="file with an Ed25519 public key as a JWK, or folder of them (*.json): a pack "
        "that none of them signed is not loaded; unset: packs need no signature",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda|cuda:\d+|(cpu|cuda):\d+(,(cpu|cuda):\d+)+)$",
        description="auto, cpu, cuda or cuda:N; auto takes the first GPU, else the CPU; several, "
        "as cuda:0,cuda:1 or cpu:0,cpu:1, get a program each",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        "auto",
        description="of the decoder; auto is bf16 where the device computes in it; int8 is the "
        "GPT's of XTTS on a CPU",
    )
    batch: Literal["auto", "off", "2", "4", "8"] = Field(
        "auto",
        description="cells of a voice's streams that are computed at once: auto, as many as "
        "are measured to pay on the device when a voice is loaded; off; or 2, 4 or 8",
    )
    watermark: Literal["on", "off"] = Field(
        "on",
        description="whether every sample that leaves is marked as synthetic, inaudibly; off is "
        "for measuring, and against the law where the EU AI Act's Article 50 holds",
    )
    c2pa: Literal["on", "off"] = Field(
        "on",
        description="whether finished files leave with signed content credentials; off is for "
        "measuring",
    )
    c2pa_chain: Path | None = Field(
        None,
        description="file with the certificate that content credentials are signed with, and "
        "those that stand for it, as PEM; unset: one that the service makes, which nobody trusts",
    )
    c2pa_key: Path | None = Field(
        None, description="file with the private key of that certificate, as PEM (PKCS #8)"
    )
    c2pa_program: str | None = Field(
        None,
        description="command that signs in place of a key: with an algorithm as its last argument, "
        "what is to be signed on its standard input and the signature on its standard output",
    )
    c2pa_tsa_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="address of a time-stamp authority (RFC 3161) that is asked, in the "
        "background, to stamp the credentials of takes as they are kept; unset: none is",
    )
    c2pa_trust: Path | None = Field(
        None,
        description="file with the root certificates, as PEM, whose content credentials are "
        "trusted where files are verified; unset: none are",
    )
    verify: Literal["public", "keys", "off"] = Field(
        "public",
        description="who may ask if a recording was made here: public, anybody; keys, whoever has "
        "a key or a token; off, nobody",
    )
    verify_max_bytes: int = Field(
        50_000_000, ge=1_000, le=1_000_000_000, description="largest file that is verified"
    )
    verify_max_s: float = Field(
        300.0, ge=1, le=3_600, description="seconds of sound of a file that is verified, at most"
    )
    verify_per_minute: int = Field(
        20, ge=1, le=10_000, description="files that one address may have verified in a minute"
    )
    workers: int = Field(
        0, ge=0, le=256, description="compute threads; 0: one per core (one in all on a GPU)"
    )
    device_budget_mb: int | None = Field(
        None,
        ge=0,
        description="MiB of device memory for loaded voices; 0: no limit; unset: 80 % of what is "
        "free at the start",
    )
    host_budget_mb: int | None = Field(
        None,
        ge=0,
        description="MiB of host memory in which voices stay that were read, for the next time "
        "they are loaded; 0: none do; unset: a quarter of what is free beside a GPU, else 0",
    )
    load_wait_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="seconds that a request waits for its voice, the load or room for it, before "
        "it is answered 503",
    )
    max_text_chars: int = Field(
        200_000, ge=1, le=5_000_000, description="longest text of one request, in characters"
    )
    max_body_bytes: int = Field(
        900_000, ge=1_000, le=64_000_000, description="largest request body, in bytes"
    )
    takes_kept: int = Field(
        1_000, ge=1, le=100_000, description="how many takes' timings are kept in memory"
    )
    database_url: str | None = Field(
        None,
        description="where takes are kept, as postgresql://user:password@host/name; "
        "unset: a SQLite file in the data folder",
    )
    audio_store: str | None = Field(
        None,
        description="where takes' audio is kept: a folder, or s3://bucket/prefix; "
        "unset: a folder in the data folder",
    )
    neutral_actor: str = Field(
        "joe",
        description="actor id of the voice that says the notices for which a grant wants a "
        "neutral one",
    )
    production: str = Field(
        "demo",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,98}$",
        description="slug of the production that a request is for that names none",
    )
    territory: str | None = Field(
        None,
        pattern=r"^[A-Z]{2}$",
        description="where what is made is used, as ISO 3166-1 alpha-2; unset: not known",
    )
    rights_key: Path | None = Field(
        None,
        description="file with the service's own Ed25519 key as a JWK, made where it is missing; "
        "signs the ledger's heads and demonstrations; unset: one in the data folder",
    )
    deleted_kept_days: float = Field(
        30.0, ge=0, le=3650, description="days in which a deleted take can be restored"
    )
    check_words: Literal["auto", "off"] = Field(
        "auto",
        description="whether takes are listened to for wrong words; auto: where the qc extra is",
    )
    check_nice: int = Field(
        19,
        ge=0,
        le=19,
        description="how far what listens to and examines audio stands back, as `nice` has it",
    )
    first_audio_s: float = Field(
        2.0,
        gt=0,
        le=600,
        description="seconds that who is let in is foreseen to wait for a turn, at most",
    )
    load: float = Field(
        0.6,
        gt=0,
        le=1000,
        description="share of all compute that listeners together may need, at most",
    )
    waiting: int = Field(
        100, ge=1, le=10_000, description="streams that may wait for their first turn"
    )
    streams: int = Field(1_000, ge=1, le=100_000, description="streams that may be open")
    drain_s: float = Field(
        0.0,
        ge=0,
        le=600,
        description="seconds in which a service that is told to end goes on listening, not ready",
    )
    grace_s: float = Field(
        10.0, ge=0, le=600, description="seconds that running streams get to end at shutdown"
    )
    stall_s: float = Field(
        120.0,
        gt=0,
        le=86_400,
        description="seconds a listener may take nothing before it is cut off",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe message that is logged"
    )
    traces: Literal["off", "otlp"] = Field(
        "off", description="whether each take is sent as a trace: otlp, with the extra [otel]"
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="of the log on standard error: text, or json, one object a line"
    )

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None, **given: object) -> Self:
        """Settings from the environment; what is `given` (and not None) wins.

        Raises:
            BadSetting: a name is unknown or a value not valid; says which and what would be.
        """
        source = os.environ if environ is None else environ
        values: dict[str, object] = {
            k[len(PREFIX) :].lower(): v for k, v in source.items() if k.startswith(PREFIX)
        }
        values.update({k: v for k, v in given.items() if v is not None})
        unknown = sorted(values.keys() - cls.model_fields.keys())
        if unknown:
            raise BadSetting(
                f"unknown setting {PREFIX}{unknown[0].upper()}",
                where=f"{PREFIX}{unknown[0].upper()}",
                valid=[PREFIX + name.upper() for name in cls.model_fields],
            )
        try:
            return cls(**values)
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            name = PREFIX + str(first["loc"][0]).upper()
            help_text = cls.model_fields[str(first["loc"][0])].description
            raise BadSetting(f"{name}: {first['msg']}", where=name, valid=help_text) from e

    @field_validator("device")
    @classmethod
    def _once_each(cls, device: str) -> str:
        names = device.split(",")
        if len(set(names)) < len(names):
            raise ValueError(f"{device} has a device more than once")
        return device

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices by name: several, or one that is used from this process."""
        return tuple(self.device.split(","))

    @property
    def data_path(self) -> Path:
        """Where takes and keys are kept."""
        return self.data_dir or user_data_path("voicesvc")

    @property
    def takes_url(self) -> str:
        """The database of takes."""
        return self.database_url or f"sqlite:///{self.data_path / 'takes.db'}"

    @property
    def key_path(self) -> Path:
        """The service's own key."""
        return self.rights_key or self.data_path / "rights-key.json"

    @property
    def audio_path(self) -> str:
        """The audio of takes."""
        return self.audio_store or str(self.data_path / "audio")

    @property
    def cache_path(self) -> Path:
        """Where imported packs are kept; can be deleted at any time."""
        return self.data_dir / "cache" if self.data_dir else user_cache_path("voicesvc")
