"""OpenAI's own client against our speech: it gets what it asks for, or raises what was refused."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile
from conftest import LINE, Service
from openai import OpenAI

TWO = "Hold the line. The storm is coming."


@pytest.fixture(scope="module")
def speech(joe_server: Service) -> Iterator[Any]:
    """`client.audio.speech` of a client that never asks twice."""
    with OpenAI(base_url=f"{joe_server.url}/v1", api_key="none", max_retries=0) as client:
        yield client.audio.speech


def seconds(content: bytes, format: str) -> float:
    """How long the sound of a file is."""
    if format == "pcm":
        return len(content) / 2 / 24_000
    samples, rate_hz = soundfile.read(io.BytesIO(content))
    assert np.abs(samples).max() > 0.05
    return float(len(samples) / rate_hz)


@pytest.mark.parametrize(
    ("format", "media_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/ogg; codecs=opus"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
def test_every_format_is_made(
    speech: Any, joe_server: Service, format: str, media_type: str
) -> None:
    answer = speech.create(
        model="tts-1", voice="joe", input=LINE, response_format=format, extra_body={"seed": 4}
    )
    assert answer.response.headers["Content-Type"] == media_type
    timings = joe_server.timings(answer.response)
    assert seconds(answer.content, format) == pytest.approx(timings["duration_s"], abs=0.05)


def test_mp3_is_made_when_no_format_is_named(speech: Any) -> None:
    answer = speech.create(model="tts-1", voice="joe", input="Yes.")
    assert answer.response.headers["Content-Type"] == "audio/mpeg"


def test_pcm_is_what_openai_says_it_is(speech: Any, joe_server: Service) -> None:
    answer = speech.create(
        model="tts-1", voice="joe", input=LINE, response_format="pcm", extra_body={"seed": 4}
    )
    ours = joe_server.speak(LINE, format="pcm_s16le", sample_rate_hz=24_000, seed=4)
    assert answer.content == ours.content


def test_it_streams_to_a_file(speech: Any, tmp_path: Path) -> None:
    asked = speech.with_streaming_response.create(
        model="tts-1", voice="joe", input=TWO, response_format="wav"
    )
    with asked as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        answer.stream_to_file(tmp_path / "line.wav")
    assert 1 < soundfile.info(tmp_path / "line.wav").duration < 6


def test_speed_is_honoured(speech: Any) -> None:
    slow, fast = (
        speech.create(
            model="tts-1",
            voice="joe",
            input=TWO,
            response_format="pcm",
            speed=speed,
            extra_body={"seed": 4},
        )
        for speed in (0.5, 2.0)
    )
    assert len(slow.content) > 2 * len(fast.content)


@pytest.mark.parametrize(
    ("changes", "raised", "param", "hint"),
    [
        ({"voice": "alloy"}, openai.NotFoundError, "voice", "valid: joe"),
        ({"voice": {"id": "joe"}}, openai.UnprocessableEntityError, "voice", "actor id"),
        ({"input": "..."}, openai.UnprocessableEntityError, "input", "letters, digits"),
        ({"input": "a" * 200_001}, openai.APIStatusError, "input", "up to 200000"),
        (
            {"response_format": "aac"},
            openai.UnprocessableEntityError,
            "response_format",
            "'mp3', 'opus', 'flac', 'wav' or 'pcm'",
        ),
        ({"speed": 4.0}, openai.UnprocessableEntityError, "speed", "0.5 to 2.0"),
        (
            {"instructions": "Whisper."},
            openai.UnprocessableEntityError,
            "instructions",
            "response_format",
        ),
        ({"stream_format": "sse"}, openai.UnprocessableEntityError, "stream_format", "'audio'"),
    ],
)
def test_what_is_refused_is_raised_with_what_would_be_right(
    speech: Any, changes: dict[str, Any], raised: type[openai.APIStatusError], param: str, hint: str
) -> None:
    given = {"model": "tts-1", "voice": "joe", "input": "Hold the line."} | changes
    with pytest.raises(raised) as caught:
        speech.create(**given)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
    assert hint in str(caught.value)
    assert caught.value.response.headers["Content-Type"] == "application/problem+json"


def test_a_body_that_is_not_json_is_a_bad_request(joe_server: Service) -> None:
    answer = joe_server.post("{", "/v1/audio/speech")
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert answer.json()["error"]["code"] == "malformed-body"
