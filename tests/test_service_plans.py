"""Plans over HTTP: what `/v1/plans` answers is what `/v1/speech` speaks, edited or not."""

import json
from typing import Any

import numpy as np
import parselmouth
import pytest
from conftest import LINE, Service, metric
from numpy.typing import NDArray

Plan = dict[str, Any]
Floats = NDArray[np.float32]
TWO = "We hold the harbour until morning, and then the boats go out. Nobody sleeps before that."
# Flow and decoder of the demonstration voice see this far, in frames of 256 samples.
REACH_FRAMES = 43


def planned(service: Service, text: str = LINE, **fields: Any) -> Any:
    body = {"actor": "ann" if service.tones else "joe", "text": text, "seed": 3} | fields
    answer = service.post(json.dumps(body), "/v1/plans")
    assert answer.status_code == 200, answer.text
    return answer.json()


def heard(service: Service, **body: Any) -> Floats:
    answer = service.post(json.dumps({"format": "pcm_f32le"} | body))
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4")


def words(plan: Plan) -> list[dict[str, Any]]:
    return [w for s in plan["sentences"] for w in s["words"]]


@pytest.mark.parametrize("text", [LINE, TWO])
def test_a_plan_that_comes_back_unedited_is_the_text(tone_server: Service, text: str) -> None:
    plan = planned(tone_server, text)["plan"]
    spoken = heard(tone_server, actor="ann", text=text, seed=3)
    np.testing.assert_array_equal(heard(tone_server, plan=plan), spoken)


def test_the_real_voice_speaks_its_plan_as_its_text(joe_server: Service) -> None:
    answer = planned(joe_server, TWO)
    spoken = heard(joe_server, actor="joe", text=TWO, seed=3)
    np.testing.assert_array_equal(heard(joe_server, plan=answer["plan"]), spoken)
    assert answer["duration_s"] == pytest.approx(len(spoken) / 22050, abs=1e-3)


def test_a_plan_says_everything(tone_server: Service) -> None:
    answer = planned(tone_server, "So it is, then. And so it was.")
    plan = answer["plan"]
    assert (plan["version"], plan["actor"], plan["seed"]) == (1, "ann", 3)
    assert len(plan["model_sha256"]) == 64
    assert [w["text"] for w in words(plan)] == ["So", "it", "is", "then", "And", "so", "it", "was"]
    first, second = plan["sentences"]
    assert first["pause_ms"] == 200
    assert second["pause_ms"] == 0
    assert first["words"][2]["after"] == ", "
    assert first["words"][2]["pause_ms"] == pytest.approx(12 * 256 / 22.05, abs=1e-3)
    for word in words(plan):
        for p in word["phonemes"]:
            assert set(p) == {"symbol", "duration_ms", "pitch_st", "energy_db"}
            assert p["duration_ms"] > 0
            assert p["pitch_st"] == p["energy_db"] == 0
    spoken = heard(tone_server, plan=plan)
    assert answer["duration_s"] == pytest.approx(len(spoken) / 22050, abs=1e-4)


def test_every_seed_is_one_that_json_readers_keep(tone_server: Service) -> None:
    plan = planned(tone_server, TWO, seed=2**53 - 1)["plan"]
    seeds = [s["seed"] for s in plan["sentences"]]
    assert len(set(seeds)) == len(seeds) == 2
    assert all(float(seed) == seed <= 2**53 - 1 for seed in seeds)


def test_a_plan_says_what_is_not_spoken(tone_server: Service) -> None:
    body = json.dumps({"actor": "ann", "text": "Hold \N{GRINNING FACE} now."})
    answer = tone_server.post(body, "/v1/plans")
    assert answer.headers["Voicesvc-Skipped"] == tone_server.post(body).headers["Voicesvc-Skipped"]
    assert (
        "Voicesvc-Skipped"
        not in tone_server.post(json.dumps({"actor": "ann", "text": LINE}), "/v1/plans").headers
    )


def test_an_edited_duration_leaves_the_other_words_alone(joe_server: Service) -> None:
    plan = planned(joe_server, TWO)["plan"]
    own = heard(joe_server, plan=plan)
    before = joe_server.timings(joe_server.post(json.dumps({"plan": plan})))["words"]
    assert words(plan)[3]["text"] == "harbour"
    for p in words(plan)[3]["phonemes"]:
        p["duration_ms"] *= 1.5
    after = joe_server.timings(joe_server.post(json.dumps({"plan": plan})))["words"]
    edited = heard(joe_server, plan=plan)
    longer = len(edited) - len(own)
    for was, now in zip(before, after, strict=True):
        length_s = was["end_s"] - was["start_s"]
        stretch = 1.5 if was["text"] == "harbour" else 1.0
        assert now["end_s"] - now["start_s"] == pytest.approx(length_s * stretch, abs=0.006)
    begin = round(before[3]["start_s"] * 22050) - REACH_FRAMES * 256
    end = round(before[3]["end_s"] * 22050) + (REACH_FRAMES + 2) * 256
    np.testing.assert_allclose(edited[:begin], own[:begin], atol=1e-5)
    np.testing.assert_allclose(edited[end + longer :], own[end:], atol=1e-5)
    assert np.abs(edited[begin:end] - own[begin:end]).max() > 0.01


@pytest.mark.parametrize("changed", ["pitch_st", "energy_db"])
def test_pitch_and_energy_act_where_they_are_set(joe_server: Service, changed: str) -> None:
    plan = planned(joe_server, TWO)["plan"]
    own = heard(joe_server, plan=plan)
    for p in words(plan)[10]["phonemes"]:
        p[changed] = 3.0
    edited = heard(joe_server, plan=plan)
    assert len(edited) == len(own)
    (differs,) = np.nonzero(np.abs(edited - own) > 1e-5)
    timed = joe_server.timings(joe_server.post(json.dumps({"plan": plan})))["words"]
    assert differs[0] > timed[9]["start_s"] * 22050
    assert differs[-1] < timed[12]["end_s"] * 22050


@pytest.mark.parametrize("pause_ms", [150.0, 800.0])
def test_an_edited_pause_is_as_long_as_it_is_heard(joe_server: Service, pause_ms: float) -> None:
    plan = planned(joe_server, TWO)["plan"]
    own = heard(joe_server, plan=plan)
    words(plan)[5]["pause_ms"] = pause_ms  # "morning,", a little less and more than the model's own
    answer = joe_server.post(json.dumps({"plan": plan, "format": "pcm_f32le"}))
    edited = np.frombuffer(answer.content, "<f4")
    times = joe_server.timings(answer)["words"]
    border_s = (times[5]["end_s"] + times[6]["start_s"]) / 2
    assert silence_ms(edited, border_s) == pytest.approx(pause_ms, abs=10)
    longer = len(edited) - len(own)
    begin, end = (round(times[i][k] * 22050) for i, k in ((5, "end_s"), (6, "start_s")))
    if pause_ms > 500:  # else the model's frames are others
        before = begin - round(0.005 * 22050)
        np.testing.assert_array_equal(edited[:before], own[:before])
        np.testing.assert_array_equal(edited[end:], own[end - longer :])


def test_a_line_with_a_pause_is_as_long_as_its_file_says(joe_server: Service) -> None:
    """What the pause is shorter for what is heard is silence at the end of the line."""
    text = "We hold the harbour until morning, [pause 0.6s] and then the boats go out."
    body = {"actor": "joe", "text": text, "seed": 3, "format": "wav", "bit_depth": "32f"}
    answer = joe_server.post(json.dumps(body))
    assert int.from_bytes(answer.content[4:8], "little") == len(answer.content) - 8
    samples = np.frombuffer(answer.content[answer.content.index(b"data") + 8 :], "<f4")
    assert not samples[-40:].any()
    times = joe_server.timings(answer)
    assert times["duration_s"] == pytest.approx(len(samples) / 22050, abs=1e-6)


def silence_ms(pcm: Floats, at_s: float) -> float:
    """The silence around a moment: below 40 dB under the loudest, by Praat's intensity."""
    sound = parselmouth.Sound(pcm.astype(np.float64), 22050)
    found = sound.to_intensity(minimum_pitch=1000.0, time_step=0.001, subtract_mean=False)
    level_db = found.values[0]
    loud_s = found.xs()[level_db >= level_db.max() - 40]
    return float(1000 * (loud_s[loud_s > at_s].min() - loud_s[loud_s < at_s].max()))


@pytest.mark.parametrize(
    ("fit", "seconds"),
    [
        ({"seconds": 2.4}, 2.4),
        ({"samples": 115201, "at_hz": 48000}, 115201 / 48000),
        ({"frames": 60, "fps": "24000/1001"}, 60 * 1001 / 24000),
    ],
)
@pytest.mark.parametrize("rate_hz", [22050, 44100, 48000])
def test_a_line_fits_to_the_sample(
    tone_server: Service, fit: dict[str, Any], seconds: float, rate_hz: int
) -> None:
    fields = {"actor": "ann", "text": LINE, "seed": 3, "fit": fit, "sample_rate_hz": rate_hz}
    samples = heard(tone_server, **fields)
    assert len(samples) == int(seconds * rate_hz + 0.5)
    plan = planned(tone_server, fit=fit)
    assert plan["duration_s"] == pytest.approx(seconds, abs=1e-6)
    assert plan["fit"]["stretch"] != 1
    again = heard(tone_server, plan=plan["plan"], sample_rate_hz=rate_hz)
    np.testing.assert_array_equal(again, samples)


def test_a_fitted_take_says_its_stretch_and_its_length(tone_server: Service) -> None:
    body = {"actor": "ann", "text": LINE, "seed": 3, "fit": {"seconds": 2.4}}
    answer = tone_server.post(json.dumps(body))
    assert "stretch=" in answer.headers["Voicesvc-Fit"]
    assert int.from_bytes(answer.content[40:44], "little") == len(answer.content) - 44
    assert tone_server.timings(answer)["duration_s"] == 2.4
    plain = tone_server.post(json.dumps(body | {"fit": {"max_seconds": 60}}))
    assert "Voicesvc-Fit" not in plain.headers


def test_several_sentences_fit_together(tone_server: Service) -> None:
    text = "So it is, then. And so it was. But not for long."
    natural = len(heard(tone_server, actor="ann", text=text, seed=3)) / 22050
    for factor in (0.7, 1.3):
        fit = {"seconds": round(natural * factor, 3)}
        samples = heard(tone_server, actor="ann", text=text, seed=3, fit=fit)
        assert len(samples) == round(fit["seconds"] * 22050)


def refused(service: Service, path: str = "/v1/speech", **body: Any) -> Any:
    planned_before = service.tone.planned
    answer = service.post(json.dumps(body), path)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert 400 <= answer.status_code < 500
    if answer.json()["type"] != "/problems/cannot-fit":
        assert service.tone.planned == planned_before
    return answer.json()


def test_what_cannot_fit_says_what_is_natural(tone_server: Service) -> None:
    body = {"actor": "ann", "text": LINE, "fit": {"seconds": 0.3}}
    for path in ("/v1/speech", "/v1/plans"):
        problem = refused(tone_server, path, **body)
        assert problem["type"] == "/problems/cannot-fit"
        assert "natural" in problem["detail"]
        assert " to " in problem["valid"]


def test_a_plan_for_another_model_is_refused(tone_server: Service) -> None:
    plan = planned(tone_server)["plan"]
    problem = refused(tone_server, plan=plan | {"model_sha256": "0" * 64})
    assert problem["type"] == "/problems/bad-plan"
    assert problem["where"] == "plan.model_sha256"
    assert problem["valid"] == [plan["model_sha256"]]
    assert refused(tone_server, plan=plan | {"actor": "bob"})["type"] == "/problems/unknown-actor"
    assert refused(tone_server, plan=plan, actor="bob")["where"] == "plan.actor"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("plan.tempo", 1),
        ("plan.sentences.0.words.1.phonemes.0.duration_ms", -1),
        ("plan.sentences.0.words.1.phonemes.0.duration_ms", "60"),
        ("plan.sentences.0.words.1.phonemes.0.symbol", ""),
        ("plan.sentences.0.words.1.phonemes.0.symbol", "☃"),
        ("plan.sentences.0.words.1.after", "☃"),
        ("plan.sentences.0.words.1.pause_ms", 1e9),
        ("plan.sentences", []),
    ],
)
def test_a_plan_with_a_mistake_is_refused_by_place(
    tone_server: Service, path: str, value: Any
) -> None:
    plan = planned(tone_server)["plan"]
    at: Any = {"plan": plan}
    *steps, last = (int(s) if s.isdigit() else s for s in path.split("."))
    for step in steps:
        at = at[step]
    at[last] = value
    assert refused(tone_server, plan=plan)["where"] == path


def test_a_plan_whose_length_is_not_its_own_is_refused(tone_server: Service) -> None:
    plan = planned(tone_server, fit={"seconds": 2.4})["plan"]
    words(plan)[2]["phonemes"][0]["duration_ms"] += 500
    answer = tone_server.post(json.dumps({"plan": plan}))
    problem = answer.json()
    assert (answer.status_code, problem["where"]) == (422, "plan.length")
    refitted = heard(tone_server, plan=plan, fit={"seconds": 2.4})
    assert len(refitted) == round(2.4 * 22050)
    freed = heard(tone_server, plan=plan | {"length": None})
    assert len(freed) / 22050 == pytest.approx(2.9, abs=0.05)


def test_text_and_plan_exclude_each_other(tone_server: Service) -> None:
    plan = planned(tone_server)["plan"]
    assert refused(tone_server, plan=plan, text=LINE)["where"] == "text"
    assert refused(tone_server, plan=plan, seed=4)["where"] == "seed"
    assert refused(tone_server, actor="ann")["where"] == "text"
    assert refused(tone_server, text=LINE)["where"] == "actor"


def test_a_refused_plan_is_counted(tone_server: Service) -> None:
    before = metric("voicesvc_refused_total", problem="bad-plan")
    plan = planned(tone_server)["plan"]
    refused(tone_server, plan=plan | {"model_sha256": "0" * 64})
    assert metric("voicesvc_refused_total", problem="bad-plan") == before + 1
