"""Directing a line over HTTP: markup, emotion, prosody, breaths and rooms, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
from conftest import LINE, Service
from numpy.typing import NDArray

Floats = NDArray[np.float32]
SSML = (
    '<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">'
    'Hold <break time="500ms"/> the <mark name="here"/><emphasis>harbour</emphasis>,'
    ' <prosody rate="50%" pitch="+2st" volume="-6dB">now</prosody>.</speak>'
)


def answer_of(service: Service, text: str = LINE, path: str = "/v1/speech", **fields: Any) -> Any:
    actor = "ann" if service.tones else "joe"
    body = {"actor": actor, "text": text, "seed": 3, "format": "pcm_f32le"} | fields
    return service.post(json.dumps(body), path)


def heard(service: Service, text: str = LINE, **fields: Any) -> Floats:
    answer = answer_of(service, text, **fields)
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4")


def planned(service: Service, text: str = LINE, **fields: Any) -> Any:
    answer = answer_of(service, text, "/v1/plans", **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def words(answer: Any) -> dict[str, Any]:
    return {w["text"]: w for s in answer["plan"]["sentences"] for w in s["words"]}


def level_db(pcm: Floats) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(pcm.astype(np.float64) ** 2))))


def test_ssml_is_performed(tone_server: Service) -> None:
    plain, marked = planned(tone_server, "Hold, the harbour, now."), planned(tone_server, SSML)
    assert list(words(marked)) == ["Hold", "the", "harbour", "now"]
    before, after = words(plain)["now"], words(marked)["now"]
    for p, q in zip(before["phonemes"], after["phonemes"], strict=True):
        assert q["duration_ms"] == pytest.approx(2 * p["duration_ms"], abs=1e-3)
        assert (q["pitch_st"], q["energy_db"]) == (2.0, -6.0)
    assert words(marked)["Hold"]["pause_ms"] == 500
    assert words(marked)["harbour"]["marks"] == ["here"]
    assert {p["pitch_st"] for p in words(marked)["harbour"]["phonemes"]} == {1.5}
    assert marked["delivery"]["emphasis"] == "model"


def test_marks_come_back_in_the_timings(tone_server: Service) -> None:
    timings = tone_server.timings(answer_of(tone_server, SSML))
    harbour = next(w for w in timings["words"] if w["text"] == "harbour")
    assert timings["marks"] == [{"name": "here", "at_s": harbour["start_s"]}]


def test_light_marks_are_performed_and_plain_text_is_not(tone_server: Service) -> None:
    text = "Hold the *harbour* [pause 0.7s] now."
    marked = words(planned(tone_server, text))
    assert marked["harbour"]["pause_ms"] == 700
    assert marked["harbour"]["phonemes"][0]["pitch_st"] > 0
    plain = words(planned(tone_server, text, markup="plain"))
    assert {"pause", "0.7s"} <= set(plain)
    assert plain["harbour"]["phonemes"][0]["pitch_st"] == 0


def test_a_pause_is_heard_as_long_as_it_is_asked_for(tone_server: Service) -> None:
    text = "Hold the harbour,{} now."
    lengths = [len(heard(tone_server, text.format(p))) for p in ("[pause 0.3s]", "[pause 1.3s]")]
    assert lengths[1] - lengths[0] == 22050


def test_unknown_markup_is_refused_or_skipped_on_request(tone_server: Service) -> None:
    problem = answer_of(tone_server, "Hold [bang] it.").json()
    assert problem["type"] == "/problems/bad-markup"
    assert "line 1, column 6" in problem["where"]
    skipped = planned(tone_server, "Hold [bang] it.", lenient=True)
    assert [(i["start"], i["end"]) for i in skipped["ignored"]] == [(5, 11)]
    assert list(words(skipped)) == ["Hold", "it"]
    spoken = answer_of(tone_server, "Hold [bang] it.", lenient=True)
    assert spoken.headers["Voicesvc-Ignored"] == "5-11"


def test_words_of_another_language_are_said_in_it(tone_server: Service) -> None:
    text = '<speak>She said <lang xml:lang="fr">bonjour</lang> to me.</speak>'
    french = words(planned(tone_server, text))["bonjour"]
    english = words(planned(tone_server, "She said bonjour to me."))["bonjour"]
    assert "ʒ" in "".join(p["symbol"] for p in french["phonemes"])
    assert french["phonemes"] != english["phonemes"]
    problem = answer_of(tone_server, text.replace('"fr"', '"xx"')).json()
    assert problem["type"] == "/problems/bad-markup"
    assert "fr-fr" in problem["valid"]


def test_inline_phonemes_have_to_be_the_voices(tone_server: Service) -> None:
    text = '<speak>Say <phoneme alphabet="ipa" ph="{}">it</phoneme>.</speak>'
    said = words(planned(tone_server, text.format("hˈɑːɹbɚ")))["it"]
    assert "".join(p["symbol"] for p in said["phonemes"]) == "hˈɑːɹbɚ"
    problem = answer_of(tone_server, text.format("hʘ̃☃")).json()
    assert problem["type"] == "/problems/bad-markup"


def test_emotion_says_what_makes_it(tone_server: Service) -> None:
    answer = answer_of(tone_server, emotion={"name": "sad", "intensity": 0.6})
    assert answer.headers["Voicesvc-Delivery"] == "emotion=prosody; quality=good"
    assert "Voicesvc-Delivery" not in answer_of(tone_server).headers
    whispered = answer_of(tone_server, emotion="whispered", rate=0.9)
    assert "quality=experimental" in whispered.headers["Voicesvc-Delivery"]
    assert "rate=model" in whispered.headers["Voicesvc-Delivery"]


def test_more_pitch_than_allowed_is_limited_and_told(tone_server: Service) -> None:
    asked = {"emotion": "excited", "pitch_st": 6.0}
    assert planned(tone_server, **asked)["delivery"]["limited"] == "pitch_st"
    phonemes = words(planned(tone_server, **asked))["storm"]["phonemes"]
    assert {p["pitch_st"] for p in phonemes} == {8.0}
    meant = planned(tone_server, **asked, extreme=True)
    assert {p["pitch_st"] for p in words(meant)["storm"]["phonemes"]} == {9.5}


def test_energy_is_what_is_asked_for(joe_server: Service) -> None:
    plain = heard(joe_server)
    for energy_db in (-6.0, 3.0):
        louder = heard(joe_server, energy_db=energy_db)
        assert level_db(louder) - level_db(plain) == pytest.approx(energy_db, abs=0.5)
    assert np.abs(heard(joe_server, energy_db=12.0)).max() < 1.0


def test_all_of_it_at_once_is_its_plan(joe_server: Service) -> None:
    text = "We hold the *harbour* until morning, [breath] and then [pause 0.4s] the boats go out."
    asked = {
        "emotion": {"angry": 0.4, "fearful": 0.3},
        "pitch_st": [[0.0, -1.0], [1.0, 2.0]],
        "breathiness": 0.2,
        "room_tone": True,
        "breaths": "auto",
        "variability": {"sound": 0.8},
        "spans": [{"start": 3, "end": 7, "rate": 0.8}],
        "fit": {"frames": 130, "fps": "24000/1001"},
    }
    spoken = heard(joe_server, text, **asked)
    assert len(spoken) == round(130 * 1001 / 24000 * 22050)
    plan = planned(joe_server, text, **asked)["plan"]
    body = {"plan": plan, "format": "pcm_f32le"}
    again = np.frombuffer(joe_server.post(json.dumps(body)).content, "<f4")
    np.testing.assert_array_equal(again, spoken)


def test_a_pause_is_not_dead_with_room_tone(joe_server: Service) -> None:
    text = "We hold the harbour. [pause 1s] Nobody sleeps."
    dead, alive = heard(joe_server, text), heard(joe_server, text, room_tone=True)
    assert len(dead) == len(alive)
    (silent,) = np.nonzero(dead == 0)
    inside = slice(int(silent[0]) + 200, int(silent[-1]) - 200)
    assert not dead[inside].any()
    floor_db = joe_server.http.get("/v1/actors/joe").json()["voice"]["floor_db"]
    assert level_db(alive[inside]) == pytest.approx(floor_db, abs=1.5)


def test_a_breath_is_heard_24_db_below_the_voice(joe_server: Service) -> None:
    text = "We hold the harbour, [breath] and then the boats go out."
    plan = planned(joe_server, text)["plan"]
    spoken = heard(joe_server, text)
    word = next(w for w in plan["sentences"][0]["words"] if w["breath"])
    assert (word["text"], word["pause_ms"] > 450) == ("harbour", True)
    timings = joe_server.timings(answer_of(joe_server, text))["words"]
    end, begin = (round(timings[i][k] * 22050) for i, k in ((3, "end_s"), (4, "start_s")))
    breath = spoken[begin - round(0.33 * 22050) : begin - round(0.13 * 22050)]
    voice = np.concatenate([spoken[:end], spoken[begin:]])
    assert -40 < level_db(breath) - level_db(voice) < -18
    assert np.abs(heard(joe_server, text, breaths="none")[end : end + 2000]).max() < 0.2


def test_a_variability_of_nothing_leaves_no_difference_between_seeds(joe_server: Service) -> None:
    still = {"sound": 0.0, "timing": 0.0}
    one, two = (heard(joe_server, seed=n, variability=still) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("emotion", "furious", "emotion"),
        ("emotion", {"name": "sad", "intensity": 3}, "emotion.intensity"),
        ("emotion", {"angry": 0.7, "sad": 0.7}, "emotion"),
        ("emotion", {"valence": 2}, "emotion.valence"),
        ("pitch_st", 9, "pitch_st"),
        ("pitch_st", [[0, 1], [0, 2]], "pitch_st"),
        ("pitch_st", [[0, 1], [1, 9]], "pitch_st"),
        ("pitch_st", "high", "pitch_st"),
        ("energy_db", float("inf"), "energy_db"),
        ("range", -1, "range"),
        ("breathiness", 1.1, "breathiness"),
        ("breaths", "often", "breaths"),
        ("variability", {"sound": 2}, "variability.sound"),
        ("spans", [{"start": 5, "end": 5}], "spans.0"),
        ("spans", [{"start": 0, "end": 5, "speed": 2}], "spans.0.speed"),
        ("lexicons", ["nowhere"], None),
        ("fit", {"seconds": 1, "frames": 2}, "fit"),
    ],
)
def test_what_cannot_be_asked_costs_no_model_step(
    tone_server: Service, field: str, value: Any, where: str | None
) -> None:
    before = tone_server.tone.planned
    answer = answer_of(tone_server, **{field: value})
    assert 400 <= answer.status_code < 500, answer.text
    assert tone_server.tone.planned == before
    if where is not None:
        assert answer.json()["where"] == where


def test_a_scene_is_not_planned_as_a_whole_before_it_is_heard(tone_server: Service) -> None:
    scene = f"{LINE} " * 600
    for asked in ({"fit": {"seconds": 60}}, {"pitch_st": [[0, 0], [1, 2]]}):
        answer = answer_of(tone_server, scene, **asked)
        assert (answer.status_code, answer.json()["where"]) == (413, "text")
