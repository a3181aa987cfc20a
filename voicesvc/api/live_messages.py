"""The messages of `WS /v1/speech/live`, and their AsyncAPI document."""

from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from voicesvc import delivery
from voicesvc.errors import InvalidRequest, MalformedBody, VoiceError
from voicesvc.live import Start

PATH = "/v1/speech/live"


class Begin(Start):
    """The first message: who speaks and how, and perhaps the first of the text."""

    text: str = Field("", description="what was typed already")


class More(BaseModel):
    """Each further message: more text, or what is to become of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str | None = Field(None, description='more of the text; "" is its end')
    flush: bool = Field(False, description="speak all that was typed so far, without more of it")
    cancel: bool = Field(False, description="speak nothing of what was typed so far")


class Started(BaseModel):
    """The answer to the first message."""

    event: Literal["started"] = "started"
    format: str
    sample_rate_hz: int
    seed: int


class Word(BaseModel):
    """When a word is heard, from the beginning of all audio, and where it was typed."""

    text: str
    start_s: float
    end_s: float
    char_start: int
    char_end: int


class Audio(BaseModel):
    """Sound; its bytes are the next binary frame, or `audio` where frames are base64."""

    event: Literal["audio"] = "audio"
    take: str | None = Field(description="the take that it is of; the last bytes are of none")
    start_s: float
    end_s: float
    words: list[Word] = Field(description="those that begin in it")
    n_bytes: int
    audio: str | None = Field(None, description="base64")
    isFinal: Literal[False] = False


class Flushed(BaseModel):
    """All that was typed before a `flush` was sent."""

    event: Literal["flushed"] = "flushed"
    at_s: float


class Cancelled(BaseModel):
    """What was typed before a `cancel` is not spoken, from `at_s` of the audio on."""

    event: Literal["cancelled"] = "cancelled"
    at_s: float


class Problem(BaseModel):
    """What was wrong, as every problem of this service; the socket is closed after it."""

    model_config = ConfigDict(extra="allow")

    event: Literal["problem"] = "problem"
    type: str
    title: str
    status: int
    detail: str
    retry_after_s: int | None = Field(None, description="after which it may be otherwise")


class Ended(BaseModel):
    """All was sent; the socket is closed after it."""

    event: Literal["ended"] = "ended"
    at_s: float
    isFinal: Literal[True] = True


SENT = (Begin, More)
ANSWERED = (Started, Audio, Flushed, Cancelled, Problem, Ended)


def invalid(error: ValidationError, kind: type[BaseModel]) -> VoiceError:
    """A message that is not as its model says, as a problem."""
    first = error.errors()[0]
    fields = {name: f.description or "" for name, f in kind.model_fields.items()}
    where = delivery.place_of(first["loc"]) or "message"
    if first["type"] == "json_invalid":
        return MalformedBody("a message is not JSON", where=where, valid="a JSON object")
    if first["type"] == "extra_forbidden" or where not in fields:
        return InvalidRequest(f"{where}: {first['msg']}", where=where, valid=list(fields))
    return InvalidRequest(first["msg"], where=where, valid=fields[where])


@cache
def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document, from the messages' models."""
    template = "#/components/schemas/{model}"
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        *((model, "validation") for model in SENT),
        *((model, "serialization") for model in ANSWERED),
    ]
    references, schemas = models_json_schema(modes, ref_template=template)
    payloads = {model.__name__: schema for (model, _), schema in references.items()}
    channel = "#/channels/live"

    def operation(action: str, names: list[str]) -> dict[str, Any]:
        messages = [{"$ref": f"{channel}/messages/{name}"} for name in names]
        return {"action": action, "channel": {"$ref": channel}, "messages": messages}

    messages: dict[str, Any] = {
        model.__name__: {
            "name": model.__name__,
            "summary": (model.__doc__ or "").strip(),
            "payload": payloads[model.__name__],
        }
        for model in (*SENT, *ANSWERED)
    }
    messages["Sound"] = {
        "name": "Sound",
        "summary": "The bytes that the Audio before it tells of.",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }
    names = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    heard = [*(model.__name__ for model in ANSWERED), "Sound"]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "voicesvc live", "version": version("voicesvc")},
        "defaultContentType": "application/json",
        "channels": {"live": {"address": PATH, "messages": names, "bindings": {"ws": {}}}},
        "operations": {
            "type": operation("receive", [model.__name__ for model in SENT]),
            "speak": operation("send", heard),
        },
        "components": {"messages": messages, "schemas": schemas["$defs"]},
    }
