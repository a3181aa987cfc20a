"""What is not valid is refused: as a problem that helps, at no cost, leaving nothing behind."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import Service, eventually, metric
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voicesvc.delivery.fields import Dimensions, Named, Span
from voicesvc.encode import FORMATS
from voicesvc.fit import Fit
from voicesvc.line import Line

FIELDS = list(Line.model_fields)
EMOTION_FIELDS = [*Named.model_fields, *Dimensions.model_fields]
GOOD: dict[str, Any] = {"actor": "ann", "text": "Hold the line."}


def said(**changes: Any) -> str:
    """The body of a valid request with some fields changed."""
    return json.dumps(GOOD | changes)


def written(field: str, literal: str) -> str:
    """The same, with one field's value as it is written, be it JSON or not."""
    return said()[:-1] + f', "{field}": {literal}}}'


@pytest.fixture
def unchanged(tone_server: Service) -> Iterator[None]:
    """Whatever the test asked for cost nothing and left nothing."""

    def trace() -> tuple[object, ...]:
        made = [
            metric("voicesvc_takes_total", actor="ann", outcome=o)
            for o in ("complete", "cancelled", "failed")
        ]
        tone, takes = tone_server.tone, list(tone_server.studio.takes.ids)
        return tone.planned, tone.chunks, tone.open_streams, takes, made

    assert eventually(tone_server.idle)
    before = trace()
    yield
    assert tone_server.idle()
    assert trace() == before


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem, once it is seen to be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert len(answer.content) < 3000
    return problem


INVALID = [
    ("text", said(text=None), "what is to be said"),
    ("text", said(text=7), "what is to be said"),
    ("text", said(text=["Hold"]), "what is to be said"),
    ("actor", said(actor=None), "actor"),
    ("actor", said(actor={"id": "ann"}), "actor"),
    ("actor", '{"text": "Hold the line."}', "actor id"),
    ("text", '{"actor": "ann"}', "what is to be said"),
    ("format", said(format="aac"), list(FORMATS)),
    ("format", said(format=""), list(FORMATS)),
    ("format", said(format="WAV"), list(FORMATS)),
    ("format", said(format=3), "wav, flac, opus"),
    ("sample_rate_hz", said(sample_rate_hz=7), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=7999), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=96001), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=10**9), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=0), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=-48000), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=48000.5), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz="48000"), "8000 to 96000"),
    ("sample_rate_hz", said(sample_rate_hz=True), "8000 to 96000"),
    (
        "sample_rate_hz",
        said(sample_rate_hz=44100, format="opus"),
        "8000, 12000, 16000, 24000, 48000",
    ),
    ("sample_rate_hz", said(sample_rate_hz=96000, format="mp3"), "44100, 48000"),
    ("sample_rate_hz", written("sample_rate_hz", "NaN"), "8000 to 96000"),
    ("sample_rate_hz", written("sample_rate_hz", "Infinity"), "8000 to 96000"),
    ("bit_depth", said(bit_depth=12), "16, 24 or '32f'"),
    ("bit_depth", said(bit_depth="24"), "16, 24 or '32f'"),
    ("bit_depth", said(bit_depth=[16]), "16, 24 or '32f'"),
    ("bit_depth", said(bit_depth="32f", format="flac"), [16, 24]),
    ("bit_depth", said(bit_depth=16, format="mp3"), "leave bit_depth out"),
    ("bit_depth", written("bit_depth", "-Infinity"), "16, 24 or '32f'"),
    ("seed", said(seed=-1), "0 to 2^53 - 1"),
    ("seed", said(seed=2**53), "0 to 2^53 - 1"),
    ("seed", said(seed=10**40), "0 to 2^53 - 1"),
    ("seed", said(seed=1.0), "0 to 2^53 - 1"),
    ("seed", said(seed="1"), "0 to 2^53 - 1"),
    ("seed", written("seed", "1e999"), "0 to 2^53 - 1"),
    ("seed", written("seed", "NaN"), "0 to 2^53 - 1"),
    ("rate", said(rate=0), "0.5 to 2.0"),
    ("rate", said(rate=2.01), "0.5 to 2.0"),
    ("rate", said(rate="1"), "0.5 to 2.0"),
    ("rate", written("rate", "NaN"), "0.5 to 2.0"),
    ("rate", written("rate", "-Infinity"), "0.5 to 2.0"),
    ("volume", said(volume=11), FIELDS),
    ("Text", said(Text="Hold"), FIELDS),
    ("fit.max_stretch", said(fit={"seconds": 2, "max_stretch": 3}), list(Fit.model_fields)),
    ("fit.seconds", said(fit={"seconds": 0}), "above 0, up to 3600"),
    ("fit.seconds", said(fit={"seconds": "2"}), "above 0, up to 3600"),
    ("spans.0.pitch", said(spans=[{"start": 0, "end": 4, "pitch": 1}]), list(Span.model_fields)),
    (
        "emotion.intensity",
        said(emotion={"name": "sad", "intensity": -1}),
        "0 is neutral, 1 the table's",
    ),
    ("emotion.weight", said(emotion={"name": "sad", "weight": 1}), EMOTION_FIELDS),
    ("emotion.name", said(emotion={"name": "glad", "intensity": 1}), "'happy'"),
    ("body", "[]", FIELDS),
    ("body", '"Hold the line."', FIELDS),
    ("body", "null", FIELDS),
    ("body", "", FIELDS),
    ("body", written("\\ud800", "1"), FIELDS),
]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("where", "body", "valid"), INVALID)
def test_an_invalid_field_is_named_with_what_is_valid(
    tone_server: Service, where: str, body: str, valid: str | list[object]
) -> None:
    problem = refused(tone_server.post(body), 422, "invalid-request")
    assert problem["where"] == where
    if isinstance(valid, str):
        assert valid in problem["valid"]
    else:
        assert problem["valid"] == valid


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"{", "character 1"),
        (b"Hold the line.", "character 0"),
        (b'{"actor": "ann", "text": "Hold"} more', "character 33"),
        (b'{"actor": "ann", "text": "Hold\nthe line"}', "character 30"),
        (b"\xff\xfe\xfd\xfc", "character 0"),
        (b'{"actor": "ann", "text": "caf\xe9"}', "body"),
        (b"[" * 100_000, "body"),
        (written("seed", "1" * 5000).encode(), "body"),
    ],
)
def test_what_is_not_json_is_said_to_be_none(tone_server: Service, body: bytes, where: str) -> None:
    problem = refused(tone_server.post(body), 400, "malformed-body")
    assert problem["where"] == where
    assert problem["valid"] == "a JSON object in UTF-8"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("actor", ["bob", "", "../ann", "ANN", "ann\0", "a" * 100_000])
def test_no_other_voice_speaks_for_an_unknown_actor(tone_server: Service, actor: str) -> None:
    problem = refused(tone_server.post(said(actor=actor)), 404, "unknown-actor")
    assert (problem["where"], problem["valid"]) == ("actor", ["ann"])
    assert len(problem["detail"]) <= 300


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\n\t\r\n",
        "\u00a0\u2003",
        "...",
        "?!,;:",
        "—",
        "\u200b",
        "\x00\x07\x1b",
        "😀",
        "👩‍👩‍👧 🏳️‍🌈",
        "שלום עולם",
        "你好",
        "привет",
        "\ud800",
        "\ud83d\ude00"[0] * 3,
        "\ufffe",
    ],
)
def test_what_cannot_be_spoken_is_refused(tone_server: Service, text: str) -> None:
    problem = refused(tone_server.post(said(text=text)), 422, "nothing-speakable")
    assert (problem["where"], problem["valid"]) == ("text", "letters, digits and words of en-us")


@pytest.mark.usefixtures("unchanged")
def test_a_text_over_the_limit_is_refused(tone_server: Service) -> None:
    problem = refused(tone_server.post(said(text="a " * 100_001)), 413, "text-too-long")
    assert (problem["where"], problem["valid"]) == ("text", "up to 200000")
    assert "200002 characters" in problem["detail"]


@pytest.mark.usefixtures("unchanged")
def test_a_body_over_the_limit_is_refused_declared_or_not(tone_server: Service) -> None:
    body = said(text="a" * 1_000_000).encode()
    in_chunks = iter(body[i : i + 10_000] for i in range(0, len(body), 10_000))
    for sent in (body, in_chunks):
        problem = refused(tone_server.post(sent), 413, "text-too-long")
        assert (problem["where"], problem["valid"]) == ("body", "up to 900000 bytes")
    assert tone_server.post("{}").status_code == 422  # and the next one is read


@pytest.mark.usefixtures("unchanged")
def test_a_body_without_end_is_refused_while_it_arrives(tone_server: Service) -> None:
    url = tone_server.http.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=20) as asker:
        head = f"POST /v1/speech HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
        asker.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(100):
            asker.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        assert asker.recv(12) == b"HTTP/1.1 413"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_a_body_that_is_not_sent_as_json_is_refused(tone_server: Service, kind: str) -> None:
    answer = tone_server.post(said(), **{"Content-Type": kind})
    problem = refused(answer, 422, "invalid-request")
    assert (problem["where"], problem["valid"]) == ("Content-Type", ["application/json"])


@pytest.mark.usefixtures("unchanged")
def test_a_wrong_method_or_path_is_answered_with_the_right_ones(tone_server: Service) -> None:
    wrong = tone_server.http.get("/v1/speech")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    assert wrong.headers["Content-Type"] == "application/problem+json"
    assert wrong.json()["title"] == "Method Not Allowed"
    assert (wrong.json()["where"], wrong.json()["valid"]) == ("method", ["POST"])
    lost = tone_server.http.post("/v1/speeches", json=GOOD)
    assert lost.status_code == 404
    assert lost.headers["Content-Type"] == "application/problem+json"
    assert lost.json()["where"] == "path"
    assert "/v1/speech" in lost.json()["valid"]


def test_an_unknown_take_is_refused(client: httpx.Client) -> None:
    problem = refused(client.get("/v1/takes/tk_0/timings"), 404, "unknown-take")
    assert (problem["where"], problem["valid"]) == ("take", "an id of GET /v1/takes")


def test_a_refusal_is_counted(tone_server: Service) -> None:
    def count() -> tuple[float, float]:
        return (
            metric("voicesvc_refused_total", problem="nothing-speakable"),
            metric("voicesvc_requests_total", route="/v1/speech", status="422"),
        )

    refused_before, answered_before = count()
    tone_server.post(said(text="..."))
    assert count() == (refused_before + 1, answered_before + 1)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
NEARLY = st.fixed_dictionaries(
    {
        "actor": st.just("ann") | ANY_JSON,
        "text": st.text(st.characters(exclude_categories=()), max_size=40)
        | st.sampled_from(["Hold the line.", "U.S. 3.50 5:45 1,024", "a'b-c_d/e", "1" * 80])
        | ANY_JSON,
    },
    optional={
        "format": st.sampled_from([*FORMATS, "aac"]) | ANY_JSON,
        "sample_rate_hz": st.sampled_from([None, 8000, 22050, 44100, 48000, 96000, 8001])
        | ANY_JSON,
        "bit_depth": st.sampled_from([None, 16, 24, "32f"]) | ANY_JSON,
        "seed": st.integers(0, 2**53 - 1) | ANY_JSON,
        "rate": st.floats(0.5, 2.0) | ANY_JSON,
        "extra": ANY_JSON,
    },
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=NEARLY | ANY_JSON)
@example(body={"actor": "ann", "text": "´" * 30})
def test_no_body_makes_the_service_fail(tone_server: Service, body: object) -> None:
    answer = tone_server.post(json.dumps(body))
    if answer.status_code == 200:
        assert answer.content
        assert int(answer.headers["Voicesvc-Sample-Rate-Hz"]) in range(8000, 96001)
    else:
        assert answer.status_code in (400, 404, 413, 422), answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["where"]
        assert answer.json()["valid"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.fixed_dictionaries(
        {"model": st.text(), "voice": st.just("ann"), "input": st.just("Yes.") | ANY_JSON},
        optional={
            "response_format": st.sampled_from(["mp3", "opus", "flac", "wav", "pcm"]) | ANY_JSON,
            "speed": st.floats(0.5, 2.0) | ANY_JSON,
            "instructions": ANY_JSON,
        },
    )
)
def test_no_body_of_openai_makes_the_service_fail(tone_server: Service, body: object) -> None:
    answer = tone_server.post(json.dumps(body), "/v1/audio/speech")
    assert answer.status_code == 200 or answer.json()["error"]["message"]
    assert answer.status_code in (200, 422)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_make_the_service_fail(tone_server: Service, body: bytes) -> None:
    assert tone_server.post(body).status_code in (400, 422)
