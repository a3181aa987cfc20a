"""Takes on the audition page, with the tone engine: rows, listening, A and B, loops, retakes."""

import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import page_browser
import pytest
from conftest import Service, eventually, tones_served
from page_browser import (
    Floats,
    Seen,
    block,
    forget_heard,
    heard,
    opened,
    sound,
    speak_to_end,
)
from page_takes import Script, get, row, takes_of
from playwright.sync_api import Page, Route, expect

browser = page_browser.browser
ear = page_browser.ear
page = page_browser.page
seen = page_browser.seen
FADE_S = 0.005


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("takes")) as running:
        yield running


@pytest.fixture(scope="module")
def script(service: Service) -> Script:
    """For tests that change nothing."""
    return Script(service)


def rate_hz(page: Page) -> int:
    return int(page.evaluate("audioContext.sampleRate"))


def stored(page: Page, script: Script, number: int) -> Floats:
    raw = script.samples(script.takes[number - 1], rate_hz(page))
    return np.frombuffer(raw, np.float32)


def as_made(page: Page) -> None:
    page.get_by_label("Loudness").select_option("made")


def pitches_of(service: Service, take: Any) -> set[float]:
    plan = get(service, f"/v1/takes/{take['id']}/plan")
    words = [word for sentence in plan["sentences"] for word in sentence["words"]]
    return {p["pitch_st"] for word in words for p in word["phonemes"]}


def places(part: Floats, whole: Floats) -> list[int]:
    """Where in `whole` exactly these samples are."""
    first = np.flatnonzero(whole == part[0])
    return [int(at) for at in first if np.array_equal(whole[at : at + part.size], part)]


def test_rows_show_the_takes_with_their_waveforms(page: Page, script: Script) -> None:
    script.open_takes(page)
    expect(page.locator(".take-row")).to_have_count(3)
    for number, take in enumerate(script.takes, 1):
        expect(row(page, number)).to_contain_text(f"{take['duration_s']:.2f} s")
        expect(row(page, number)).to_contain_text("LUFS")
        inked = row(page, number).locator("canvas")
        page.wait_for_function(
            """(canvas) => canvas.width > 0 && canvas.getContext("2d")
              .getImageData(0, 0, canvas.width, canvas.height).data.some((x) => x > 0)""",
            arg=inked.element_handle(),
        )
    paces = [take["varied"].get("pace") for take in script.takes]
    assert len(set(paces)) > 1
    expect(row(page, 2)).to_contain_text(f"pace × {paces[1]:.2f}")


def test_kept_take_is_heard_as_it_is_kept(ear: Page, script: Script) -> None:
    script.open_takes(ear)
    as_made(ear)
    ear.keyboard.press("2")
    expect(row(ear, 2)).to_have_attribute("aria-current", "true")
    ear.keyboard.press("l")
    expect(ear.locator("#status")).to_have_text("Playing.")
    expect(ear.locator("#status")).to_have_text("Ready.")
    assert np.array_equal(sound(heard(ear)), sound(stored(ear, script, 2)))


def test_matched_loudness_turns_down_to_the_quietest(ear: Page, script: Script) -> None:
    script.open_takes(ear)
    lufs = [take["measured"]["loudness_lufs"] for take in script.takes]
    gain_db = min(lufs) - lufs[0]
    ear.keyboard.press("l")
    expect(ear.locator("#status")).to_have_text("Playing.")
    expect(ear.locator("#status")).to_have_text("Ready.")
    own = sound(stored(ear, script, 1))
    assert np.allclose(sound(heard(ear)), own * 10 ** (gain_db / 20), atol=1e-6)


def test_gains_never_turn_up_beyond_the_ceiling(page: Page, service: Service) -> None:
    opened(page, service.url)
    gains = page.evaluate(
        """async () => {
          const { gainDb } = await import("/static/deck.js");
          const of = (loudness_lufs, true_peak_dbtp) => ({ loudness_lufs, true_peak_dbtp });
          return [
            gainDb(of(-20, -3), [of(-20, -3), of(-26, -9), null], "matched"),
            gainDb(of(-26, -9), [of(-20, -3), of(-26, -9)], "matched"),
            gainDb(of(-30, -12), [], "r128"), gainDb(of(-30, -3), [], "r128"),
            gainDb(of(-18, -0.5), [], "r128"), gainDb(of(-20, -3), [], "made"),
            gainDb(null, [of(-26, -9)], "matched"),
          ];
        }"""
    )
    assert gains == [-6, 0, 7, 2, -5, 0, 0]


def test_b_goes_on_in_the_other_take_at_the_same_place(ear: Page, script: Script) -> None:
    script.open_takes(ear)
    as_made(ear)
    ear.keyboard.press("2")
    ear.keyboard.press("1")
    expect(row(ear, 1).locator(".badge")).to_have_text("A")
    expect(row(ear, 2).locator(".badge")).to_have_text("B")
    ear.wait_for_timeout(300)  # both are in memory
    ear.keyboard.press("l")
    ear.wait_for_function("parseFloat(document.querySelector('#position').textContent) > 0.4")
    ear.keyboard.press("b")
    expect(row(ear, 2).locator(".badge")).to_have_text("A")
    expect(ear.locator("#status")).to_have_text("Ready.")
    played = sound(heard(ear))
    fade = round(FADE_S * rate_hz(ear))
    a, b = (stored(ear, script, n) for n in (1, 2))
    skipped = int(np.flatnonzero(a)[0])
    n = min(played.size, a.size - skipped)
    same = played[:n] == a[skipped : skipped + n]
    cut = int(np.flatnonzero(~same)[0])  # where b begins to be heard
    assert cut > 0.3 * rate_hz(ear)
    at = skipped + cut + fade + 2
    end = min(b.size, skipped + played.size)
    rest = played[at - skipped : end - skipped]
    assert rest.size > 0.3 * rate_hz(ear)
    assert np.array_equal(rest, b[at:end])  # the very same place, no sample lost
    steps = np.abs(np.diff(played)).max()
    assert steps < 1.5 * max(np.abs(np.diff(a)).max(), np.abs(np.diff(b)).max())  # no click


def test_a_word_goes_round(ear: Page, script: Script) -> None:
    script.open_takes(ear)
    as_made(ear)
    ear.get_by_role("slider", name="Position in the take").press("Home")
    ear.keyboard.press(".")
    ear.wait_for_timeout(200)
    ear.keyboard.press("k")
    forget_heard(ear)
    ear.keyboard.press("o")
    expect(ear.locator("#loop")).to_have_attribute("aria-pressed", "true")
    expect(ear.locator("#status")).to_have_text("Playing.")
    ear.wait_for_timeout(1500)
    ear.keyboard.press("k")
    expect(ear.locator("#status")).to_have_text("Ready.")
    played = sound(heard(ear))
    word = ear.evaluate(
        """() => { const { dataset } = [...document.querySelectorAll("#words button")]
             .find((b) => b.hasAttribute("aria-current"));
             return [+dataset.startS, +dataset.endS]; }"""
    )
    start, end = (round(t * rate_hz(ear)) for t in word)
    fade = round(FADE_S * rate_hz(ear)) + 2
    middle = stored(ear, script, 1)[start + fade : end - 1]
    rounds = places(middle[: 4 * fade], played)
    assert len(rounds) >= 3
    assert set(np.diff(rounds)) == {end - start}


def test_j_k_and_l_shuttle(ear: Page, script: Script) -> None:
    script.open_takes(ear)
    as_made(ear)
    wave = ear.get_by_role("slider", name="Position in the take")
    wave.press("End")
    ear.keyboard.press("j")
    ear.wait_for_function("parseFloat(document.querySelector('#position').textContent) < 1")
    ear.keyboard.press("k")
    expect(ear.locator("#status")).to_have_text("Ready.")
    back = sound(heard(ear))
    own = stored(ear, script, 1)[::-1]
    fade = round(FADE_S * rate_hz(ear)) + 2
    middle = back[2 * fade : 2 * fade + 2000]
    assert places(middle, own)
    at_s = float(ear.locator("#position").inner_text().split()[0])
    ear.wait_for_timeout(200)
    assert float(ear.locator("#position").inner_text().split()[0]) == at_s
    forget_heard(ear)
    ear.keyboard.press("l")
    ear.keyboard.press("l")
    expect(ear.locator("#status")).to_have_text("Ready.")
    twice = sound(heard(ear))
    own = stored(ear, script, 1)
    middle = twice[-10_000:-8_000]  # the second press is long ago
    assert places(middle, own[::2]) or places(middle, own[1::2])


def test_five_takes_come_by_themselves(page: Page, service: Service) -> None:
    own = Script(service, takes=0)
    own.open(page)
    expect(page.locator("#takes-empty")).to_contain_text("No take of this line yet.")
    page.get_by_role("button", name="Make 5 takes").click()
    expect(page.locator(".take-row")).to_have_count(5)
    expect(page.locator('.take-row[data-state="complete"]')).to_have_count(5, timeout=60_000)
    expect(page.locator(f"#line-{own.lines[0]['id']} .count")).to_have_text("5")
    takes = own.takes
    assert len({take["seed"] for take in takes}) == 5
    assert len({take["varied"].get("pace") for take in takes}) > 1
    assert len({str(take["varied"].get("emotion")) for take in takes}) > 1


def test_a_line_is_spoken_as_a_take_of_it(page: Page, seen: Seen, service: Service) -> None:
    seen.allowed.append("412")  # it may be measured just then
    own = Script(service, takes=0)
    own.open(page)
    page.get_by_role("button", name="Speak").click()
    expect(page.locator("#status")).to_have_text("Ready.")
    expect(row(page, 1)).to_have_attribute("aria-current", "true")
    (take,) = own.takes
    assert (take["made_by"], take["number"], take["text"]) == ("speech", 1, own.lines[0]["text"])
    page.get_by_role("slider", name="Pitch", exact=True).press("ArrowRight")
    expect(page.get_by_role("button", name="Keep this take")).to_be_visible()
    assert len(own.takes) == 1  # what is tried is not kept with the line
    page.get_by_role("button", name="Keep this take").click()
    expect(row(page, 2)).to_have_attribute("aria-current", "true")
    assert [pitches_of(service, take) for take in own.takes] == [{0.0}, {0.1}]


def test_a_line_typed_without_a_script_is_a_loose_take(page: Page, service: Service) -> None:
    speak_to_end(opened(page, service.url), "Nobody has written this down.")
    expect(page.get_by_label("Which takes are shown")).to_have_value("loose")
    expect(page.locator(".take-row").first).to_contain_text("Nobody has written this down.")
    page.keyboard.press("Escape")
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("c")
    expect(page.locator("#circle")).to_have_attribute("aria-pressed", "true")

    def newest() -> Any:
        return get(service, "/v1/takes", line="none", limit=1)["items"][0]

    assert eventually(lambda: newest()["circled"])
    assert newest()["text"] == "Nobody has written this down."


def test_words_of_a_take_are_edited_into_a_retake(page: Page, service: Service) -> None:
    own = Script(service, takes=1)
    own.open_takes(page)
    expect(page.locator("#retake")).to_be_disabled()
    block(page, "harbour").press("ArrowUp")
    expect(page.locator("#status")).to_have_text("Ready.")
    page.get_by_role("button", name="Retake with these words").click()
    expect(row(page, 2)).to_contain_text("retake")
    expect(row(page, 2)).to_have_attribute("data-state", "complete", timeout=30_000)
    parent, child = own.takes
    assert child["parent"] == parent["id"]
    plan = get(service, f"/v1/takes/{child['id']}/plan")
    pitches = {
        word["text"]: {p["pitch_st"] for p in word["phonemes"]}
        for sentence in plan["sentences"]
        for word in sentence["words"]
    }
    assert pitches.pop("harbour") == {0.5}
    assert set().union(*pitches.values()) == {0.0}


def test_edits_wait_for_the_return_of_their_take(page: Page, service: Service) -> None:
    own = Script(service, takes=2)
    own.open_takes(page)
    block(page, "harbour").press("ArrowUp")
    expect(page.locator("#status")).to_have_text("Ready.")
    page.locator("#take-title").click()
    page.keyboard.press("2")
    expect(row(page, 2)).to_have_attribute("aria-current", "true")
    expect(page.locator('.lane-word[data-edited="true"]')).to_have_count(0)
    page.keyboard.press("1")
    expect(page.locator('.lane-word[data-edited="true"]')).to_have_attribute("data-text", "harbour")


def test_what_differs_between_two_takes_is_told(page: Page, script: Script) -> None:
    script.open_takes(page)
    page.keyboard.press("2")
    expect(page.locator("#differences")).to_be_enabled()
    page.keyboard.press("d")
    dialog = page.get_by_role("dialog", name="T1 against T2")
    expect(dialog.get_by_role("rowheader", name="harbour")).to_be_visible()
    expect(dialog).to_contain_text("ms")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_spectrogram_is_drawn_when_asked_for(page: Page, script: Script) -> None:
    script.open_takes(page)
    expect(page.locator("#spectrogram")).to_be_hidden()
    page.keyboard.press("s")
    page.wait_for_function(
        """() => [...document.querySelectorAll("#spectrogram canvas")].some((c) => c.width > 0
             && new Set(c.getContext("2d").getImageData(0, 0, c.width, c.height).data).size > 50)"""
    )
    page.keyboard.press("s")
    expect(page.locator("#spectrogram")).to_be_hidden()


def test_take_is_taken_away_as_a_file(page: Page, script: Script) -> None:
    script.open_takes(page)
    page.get_by_label("File").select_option(label="WAV 24-bit")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    take: Any = script.takes[0]
    assert download.value.suggested_filename.endswith(f"seed{take['seed']}.wav")
    assert download.value.path().read_bytes()[:4] == b"RIFF"


def test_takes_of_a_production_are_found_by_what_they_are(page: Page, service: Service) -> None:
    own = Script(service, takes=3)
    own.open_takes(page)
    page.keyboard.press("3")
    page.keyboard.press("c")
    expect(row(page, 3).locator(".circle-mark")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Which takes are shown").select_option("circled")
    expect(page.locator(".take-row")).to_have_count(1)
    expect(page.locator(".take-row")).to_contain_text("H0")
    page.get_by_label("Which takes are shown").select_option("all")
    expect(page.locator(".take-row")).to_have_count(3)
    assert len(takes_of(service, own.lines[0])) == 3


def test_words_that_were_heard_otherwise_are_marked(page: Page, script: Script) -> None:
    """What the service hears in a take is put in its place: tests do not listen."""

    def as_heard(route: Route) -> None:
        answer = route.fetch()
        found = answer.json()
        for take in found["items"]:
            at = take["text"].index("harbour")
            word = {"text": "harbour", "start": at, "end": at + 7, "heard": "arbour"}
            take["measured"]["words"] = [word | {"status": "substituted"}]
            take["measured"]["inserted"] = [{"at": 1, "heard": "now"}]
            take["measured"]["wer"] = 0.2
            take["flags"] = ["words"]
        route.fulfill(response=answer, json=found)

    page.route("**/v1/takes?line=ln_*", as_heard)
    script.open_takes(page)
    expect(row(page, 1)).to_contain_text("⚑ words")
    expect(page.locator("#heard mark")).to_have_text(["harbour", "‸"])
    expect(page.locator("#heard")).to_contain_text("harbour arbour")
    expect(page.locator("#words [data-wrong]")).to_have_text("harbour")
    expect(page.locator("#measured")).to_contain_text("20 %")


def test_circled_takes_leave_as_a_zip(page: Page, service: Service) -> None:
    own = Script(service, takes=2)
    own.open_takes(page)
    page.keyboard.press("c")
    assert eventually(lambda: own.takes[0]["circled"])
    page.get_by_role("button", name="Export…").click()
    dialog = page.get_by_role("dialog", name="Export")
    expect(dialog).to_contain_text("1 circled take of")
    with page.expect_download() as download:
        dialog.get_by_role("link", name="Export").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = [name for name in archive.namelist() if name.endswith(".wav")]
    assert len(names) == 1
    assert names[0].endswith("_H0_ann_T1.wav")


def test_keys_go_by_the_number_of_a_take(page: Page, service: Service) -> None:
    own = Script(service, takes=3)
    own.open_takes(page)
    page.get_by_role("button", name="Delete take").click()
    expect(page.locator(".take-row")).to_have_count(2)
    page.locator("#take-title").click()
    page.keyboard.press("3")
    expect(row(page, 3)).to_have_attribute("aria-current", "true")
    row(page, 3).locator(".pick").focus()
    page.keyboard.press("ArrowUp")
    expect(row(page, 2).locator(".pick")).to_be_focused()
