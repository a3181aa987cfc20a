"""`WS /v1/speech/live`: text in pieces, audio as soon as a clause can be spoken."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LINE, Service, eventually, metric, tones_served
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from voicesvc.api.live_messages import PATH, asyncapi

RATE_HZ = 22050


class Talk:
    """A client of the socket, and all that it heard."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.sound = b""

    def say(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def hear(self, event: str) -> dict[str, Any]:
        """Receive up to the next message of this kind."""
        while True:
            raw = self.socket.recv(timeout=60)
            if isinstance(raw, bytes):
                assert len(raw) == self.events[-1]["n_bytes"]
                self.sound += raw
                continue
            told = json.loads(raw)
            self.events.append(told)
            if told["event"] == event:
                return told

    @property
    def samples(self) -> np.ndarray:
        """Heard so far."""
        return np.frombuffer(self.sound, "<i2")

    @property
    def words(self) -> list[dict[str, Any]]:
        """Told of so far."""
        return [w for e in self.events for w in e.get("words", ())]


@contextmanager
def talk(service: Service, **headers: str) -> Iterator[Talk]:
    url = service.url.replace("http", "ws") + PATH
    with connect(url, additional_headers=headers) as socket:
        yield Talk(socket)


def closing(talk: Talk) -> int:
    """The code that the socket is closed with."""
    with suppress(ConnectionClosed):
        while True:
            talk.socket.recv(timeout=30)
    code = talk.socket.close_code
    assert code is not None
    return code


def test_a_clause_is_heard_before_its_sentence_ends_and_words_have_times(
    tone_server: Service,
) -> None:
    with talk(tone_server) as live:
        live.say(actor="ann", seed=3, text="We hold the harbour, ")
        assert live.hear("started")["sample_rate_hz"] == RATE_HZ
        live.hear("audio")
        live.say(text="and then the boats go out. ")
        live.say(text="Now")
        live.say(text="")
        at_s = live.hear("ended")["at_s"]
        assert closing(live) == 1000
    assert len(live.samples) == pytest.approx(at_s * RATE_HZ, abs=2)
    typed = "We hold the harbour, and then the boats go out. Now"
    said = [w["text"] for w in live.words]
    assert " ".join(said) == "We hold the harbour and then the boats go out Now"
    assert [typed[w["char_start"] : w["char_end"]] for w in live.words] == said
    starts_s = [w["start_s"] for w in live.words]
    assert starts_s == sorted(starts_s)
    spans_s = [(e["start_s"], e["end_s"]) for e in live.events if e["event"] == "audio"]
    assert all(a[1] == pytest.approx(b[0], abs=1e-5) for a, b in pairwise(spans_s))
    now = live.words[-1]["start_s"]
    out = live.words[-2]["end_s"]
    silence = live.samples[round((out + 0.02) * RATE_HZ) : round((out + 0.18) * RATE_HZ)]
    assert now - out >= 0.2  # between sentences
    assert not silence.any()


def test_each_piece_is_a_take_and_has_the_samples_of_its_line(tone_server: Service) -> None:
    with talk(tone_server) as live:
        live.say(actor="ann", seed=5, text=f"{LINE} ")
        live.say(text="")
        live.hear("ended")
    alone = tone_server.speak(LINE + " ", seed=5, format="pcm_s16le", markup="plain").content
    assert live.sound == alone
    take = next(e["take"] for e in live.events if "take" in e)
    assert tone_server.http.get(f"/v1/takes/{take}").json()["text"] == f"{LINE} "


def test_flush_speaks_what_there_is_and_says_when_it_is_done(tone_server: Service) -> None:
    with talk(tone_server) as live:
        live.say(actor="ann")
        live.say(text="Hold", flush=True)
        at_s = live.hear("flushed")["at_s"]
        assert [w["text"] for w in live.words] == ["Hold"]
        live.say(flush=True)
        assert live.hear("flushed")["at_s"] == at_s
        live.say(text=" on", flush=True)
        assert live.hear("flushed")["at_s"] > at_s
        assert live.words[-1]["char_start"] == 5


def test_cancel_stops_within_one_chunk_and_what_comes_after_is_spoken(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=0.05) as service, talk(service) as live:
        live.say(actor="ann", text=" ".join([LINE] * 30), seed=1)
        live.hear("audio")
        live.say(cancel=True)
        at_s = live.hear("cancelled")["at_s"]
        assert at_s < 20.0
        assert len(live.samples) == pytest.approx(at_s * RATE_HZ, abs=2)
        live.say(text="Now. ", flush=True)
        live.hear("flushed")
        assert live.words[-1]["text"] == "Now"
        assert eventually(service.idle)


def test_who_leaves_stops_the_work(tmp_path: Path) -> None:
    with tones_served(tmp_path, delay_s=0.05) as service:
        with talk(service) as live:
            live.say(actor="ann", text=" ".join([LINE] * 30))
            live.hear("audio")
        made = service.tone.chunks
        assert eventually(service.idle)
        assert service.tone.chunks <= made + 2


def test_opus_is_one_stream_over_all_pieces(tone_server: Service) -> None:
    with talk(tone_server) as live:
        live.say(actor="ann", format="opus", text="Hold the line. Then go. ")
        live.say(text="")
        live.hear("ended")
    assert live.sound.count(b"OpusHead") == 1
    assert live.sound.startswith(b"OggS")


def test_messages_have_the_shapes_of_elevenlabs_where_frames_are_base64(
    tone_server: Service,
) -> None:
    with talk(tone_server) as live:
        live.say(actor="ann", frames="base64", text=" ")
        live.say(text="Hold the line. ")
        live.say(text="")
        assert live.hear("ended")["isFinal"] is True
    sound = b"".join(base64.b64decode(e.get("audio", "")) for e in live.events)
    assert live.sound == b""
    assert len(sound) > RATE_HZ


@pytest.mark.parametrize(
    ("message", "type_", "where"),
    [
        ("{", "malformed-body", "message"),
        ('{"actor": "bob"}', "unknown-actor", "actor"),
        ('{"actor": "ann", "speed": 2}', "invalid-request", "speed"),
        ('{"actor": "ann", "format": "flac"}', "invalid-request", "format"),
        ('{"actor": "ann", "sample_rate_hz": 7}', "invalid-request", "sample_rate_hz"),
        ('{"actor": "ann", "spans": [{"start": 0, "end": 2}]}', "invalid-request", "spans"),
    ],
)
def test_what_is_not_valid_is_told_and_closes_the_socket(
    tone_server: Service, message: str, type_: str, where: str
) -> None:
    with talk(tone_server) as live:
        live.socket.send(message)
        told = live.hear("problem")
        assert (told["type"], told["where"]) == (f"/problems/{type_}", where)
        assert told["valid"]
        assert closing(live) == 1008


def test_another_sites_page_may_not_open_it(tone_server: Service) -> None:
    with pytest.raises(InvalidStatus, match="403"), talk(tone_server, Origin="http://evil.example"):
        pass
    with talk(tone_server, Origin=tone_server.url) as live:
        live.say(actor="ann")
        live.hear("started")


def test_a_service_that_ends_lets_no_conversation_begin(tmp_path: Path) -> None:
    with tones_served(tmp_path, settings={"drain_s": 60.0}) as service, talk(service) as live:
        live.say(actor="ann", text="Hold the line. ")
        live.hear("audio")
        service.server.handle_exit(15, None)
        assert eventually(lambda: service.http.get("/readyz").status_code == 503)
        live.say(text="And this too. ", flush=True)  # who was let in is served
        live.hear("flushed")
        with talk(service) as late:
            late.say(actor="ann", text="Too late. ")
            told = late.hear("problem")
            assert (told["status"], told["type"]) == (503, "/problems/overloaded")
            assert told["retry_after_s"] >= 1
            assert closing(late) == 1013


def test_every_message_is_as_the_asyncapi_document_says(tone_server: Service) -> None:
    document = tone_server.http.get("/asyncapi.json").json()
    assert document == json.loads(json.dumps(asyncapi()))
    assert document["channels"]["live"]["address"] == PATH
    schemas = {"components": document["components"]}
    with talk(tone_server) as live:
        sent = [
            {"actor": "ann", "emotion": "sad"},
            {"text": "Hold on. ", "flush": True},
            {"text": ""},
        ]
        for message in sent:
            live.say(**message)
        live.hear("ended")
    kinds = {e["event"].capitalize() for e in live.events} | {"Begin", "More"}
    for name in kinds:
        payload = document["components"]["messages"][name]["payload"]
        told = [e for e in live.events if e["event"].capitalize() == name]
        said = {"Begin": sent[:1], "More": sent[1:]}.get(name, told)
        for message in said:
            Draft202012Validator({**payload, **schemas}).validate(message)
    heard = document["operations"]["speak"]["messages"]
    assert {m["$ref"].rsplit("/", 1)[1] for m in heard} >= kinds - {"Begin", "More"}


def test_live_takes_count_as_live(tmp_path: Path) -> None:
    before = metric("voicesvc_queue_wait_seconds_count", **{"class": "live"})
    with tones_served(tmp_path) as service, talk(service) as live:
        live.say(actor="ann", text="Hold. Then. ")
        live.say(text="")
        live.hear("ended")
    assert metric("voicesvc_queue_wait_seconds_count", **{"class": "live"}) == before + 2
