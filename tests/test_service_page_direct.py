"""The direction panel of the audition page: what its controls ask for, show and take back."""

import json
from collections.abc import Callable
from typing import Any

import page_browser
import pytest
from conftest import LINE, Service
from page_browser import opened, speak_to_end
from playwright.sync_api import Page, Route, expect

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen
Body = dict[str, Any]


@pytest.fixture
def asked(page: Page, tone_server: Service) -> Callable[[Callable[[], object]], Body]:
    """What a change asks `/v1/plans` for; the page is open and has spoken the line."""
    speak_to_end(opened(page, tone_server.url), LINE)

    def after(change: Callable[[], object]) -> Body:
        # The plan is held once its speech is asked for: a next change is one of that plan.
        with (
            page.expect_request("**/v1/speech"),
            page.expect_request(lambda r: r.url.endswith("/v1/plans")) as request,
        ):
            change()
        body: Body = json.loads(request.value.post_data or "")
        return body

    return after


def test_a_chip_asks_for_its_emotion_and_shows_its_quality(page: Page, asked: Any) -> None:
    chips = page.get_by_role("group", name="Emotion by name")
    expect(chips.get_by_role("button", name="whispered experimental")).to_be_visible()
    body = asked(lambda: chips.get_by_role("button", name="sad", exact=True).click())
    assert body["emotion"] in ("sad", {"name": "sad", "intensity": 1})
    expect(page.locator("#delivered")).to_contain_text("emotion by prosody")
    slider = page.get_by_role("slider", name="Intensity")
    body = asked(lambda: slider.press("ArrowLeft"))
    assert body["emotion"]["name"] == "sad"
    assert 0.8 <= body["emotion"]["intensity"] < 1


def test_a_language_is_chosen_where_the_actor_has_several(
    page: Page, tone_server: Service, seen: page_browser.Seen
) -> None:
    seen.allowed.append("422")  # the tone speaks one language, whatever the page was told
    row, select = page.locator("#language-row"), page.get_by_label("Language")
    opened(page, tone_server.url)
    expect(row).to_be_hidden()

    def several(route: Route) -> None:
        answer = route.fetch()
        said = answer.json()
        for actor in said["actors"]:
            actor["languages"] = [actor["language"], "de", "fr"]
        route.fulfill(response=answer, json=said)

    page.route("**/v1/actors", several)
    speak_to_end(opened(page, tone_server.url), LINE)
    expect(select.locator("option")).to_have_text(["en-us (the actor's own)", "de", "fr"])
    with page.expect_request(lambda r: r.url.endswith("/v1/plans")) as request:
        select.select_option("de")
    assert json.loads(request.value.post_data or "")["language"] == "de"
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(select).to_have_value("")


def test_the_pad_is_moved_by_keys(page: Page, asked: Any) -> None:
    pad = page.get_by_role("slider", name="Emotion pad")
    body = asked(lambda: (pad.press("ArrowRight"), pad.press("ArrowUp"), pad.press("ArrowUp")))
    assert 0 < body["emotion"]["valence"] < body["emotion"]["arousal"] <= 1
    body = asked(lambda: pad.press("Home"))
    assert body.get("emotion") in (None, "neutral", {"valence": 0, "arousal": 0, "dominance": 0})


@pytest.mark.parametrize(
    ("name", "field", "unit"),
    [
        ("Rate", "rate", "×"),
        ("Pitch", "pitch_st", "st"),
        ("Range", "range", "×"),
        ("Energy", "energy_db", "dB"),
        ("Tilt", "tilt_db", "dB"),
        ("Breathiness", "breathiness", "%"),
        ("Pauses", "pause_scale", "×"),
    ],
)
def test_a_slider_asks_shows_its_unit_and_is_reset(
    page: Page, asked: Any, name: str, field: str, unit: str
) -> None:
    row = page.locator("#prosody > *").filter(has_text=name).first
    slider = page.get_by_role("slider", name=name, exact=True)
    body = asked(lambda: slider.press("ArrowRight"))
    assert body[field] != {"rate": 1, "range": 1, "pause_scale": 1}.get(field, 0)
    expect(row).to_contain_text(unit)
    body = asked(lambda: row.get_by_role("button").click())
    assert field not in body


def test_undo_takes_a_change_back(page: Page, asked: Any) -> None:
    body = asked(lambda: page.get_by_role("slider", name="Pitch", exact=True).press("ArrowRight"))
    assert body["pitch_st"] > 0
    body = asked(lambda: page.get_by_role("button", name="Undo", exact=True).click())
    assert "pitch_st" not in body


def test_the_line_gets_the_length_that_is_asked_for(page: Page, asked: Any) -> None:
    field = page.locator("#length")

    def fill() -> None:
        field.fill("3.2")
        field.press("Enter")

    body = asked(fill)
    assert body["fit"] == {"seconds": 3.2}
    expect(page.locator("#length-report")).to_contain_text("Natural")
    expect(page.locator("#duration")).to_have_text("3.20 s")
