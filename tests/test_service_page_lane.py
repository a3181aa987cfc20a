"""The lane of the audition page: words edited by mouse, key and number; what is then posted."""

import json
import re
from collections.abc import Callable
from typing import Any

import page_browser
import pytest
from conftest import LINE, Service
from page_browser import (
    Seen,
    block,
    lasting_ms,
    opened,
    rendered,
    shown,
    speak_to_end,
    word_of,
    words_of,
)
from playwright.sync_api import Page, expect

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen
Plan = dict[str, Any]
ST_PX = 5


@pytest.fixture
def own(page: Page, tone_server: Service, seen: Seen) -> Plan:
    """The line's plan as it is heard first; the page is open and has spoken it."""
    speak_to_end(opened(page, tone_server.url), LINE)
    plan: Plan = seen.posted[-1][1]["plan"]
    return plan


def others(plan: Plan, but: str = "harbour") -> list[Any]:
    return [word for word in words_of(plan) if word["text"] != but]


def pressed(page: Page, *keys: str) -> Plan:
    def press() -> None:
        block(page, "harbour").focus()
        for key in keys:  # at once: a change that has settled is rendered without the next
            page.keyboard.press(key)

    plan: Plan = rendered(page, press)["plan"]
    return plan


def dragged(page: Page, part: str, dx_px: float, dy_px: float) -> Plan:
    handle = page.locator(f'.lane-word[data-text="harbour"] {part}')
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag() -> None:
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + dx_px / 2, y + dy_px / 2)
        page.mouse.move(x + dx_px, y + dy_px)
        page.mouse.up()

    plan: Plan = rendered(page, drag)["plan"]
    return plan


def px_per_s(page: Page, plan: Plan) -> float:
    box = block(page, "harbour").bounding_box()
    assert box is not None
    return box["width"] / lasting_ms(word_of(plan, "harbour")) * 1000


def test_the_lane_shows_words_and_phonemes_as_planned(page: Page, own: Plan) -> None:
    wave = page.locator("#wave").bounding_box()
    assert wave is not None
    scale = px_per_s(page, own) / 1000
    at_ms = own["sentences"][0]["lead_ms"]
    for word in words_of(own):
        box = block(page, word["text"]).first.bounding_box()
        assert box is not None
        assert box["x"] - wave["x"] == pytest.approx(at_ms * scale, abs=3)
        assert box["width"] == pytest.approx(lasting_ms(word) * scale, abs=1)
        at_ms += lasting_ms(word) + word["pause_ms"]
    widths = block(page, "harbour").evaluate(
        "({ firstChild: body }) => [...body.children].map((c) => c.getBoundingClientRect().width)"
    )
    asked = [p["duration_ms"] * scale for p in word_of(own, "harbour")["phonemes"]]
    assert widths == pytest.approx(asked, abs=1)


@pytest.mark.parametrize(
    ("keys", "factor"),
    [
        (["ArrowRight"], 1.05),
        (["ArrowLeft", "ArrowLeft"], 0.95**2),
        (["Shift+ArrowRight"], 1.01),
    ],
)
def test_left_and_right_change_the_length(
    page: Page, own: Plan, keys: list[str], factor: float
) -> None:
    plan = pressed(page, *keys)
    before, after = word_of(own, "harbour"), word_of(plan, "harbour")
    for was, now in zip(before["phonemes"], after["phonemes"], strict=True):
        assert now == was | {"duration_ms": pytest.approx(was["duration_ms"] * factor, abs=1e-4)}
    assert after["pause_ms"] == before["pause_ms"]
    assert others(plan) == others(own)
    expect(block(page, "harbour")).to_have_accessible_name(
        f"harbour: {lasting_ms(after):.0f} ms, 0.0 st, 0.0 dB, pause 0 ms, edited"
    )
    expect(page.locator("#word-title")).to_contain_text(f"{lasting_ms(after):.0f} ms")
    expect(page.get_by_label("Lasts")).to_have_value(f"{lasting_ms(after):.0f}")
    expect(block(page, "harbour")).to_be_focused()  # it can go on


@pytest.mark.parametrize(
    ("keys", "member", "value", "said"),
    [
        (["ArrowUp", "ArrowUp"], "pitch_st", 1.0, "+1.0 st"),
        (["ArrowDown", "Shift+ArrowDown"], "pitch_st", -0.6, "−0.6 st"),
        (["+", "+"], "energy_db", 2.0, "+2.0 dB"),
        (["-"], "energy_db", -1.0, "−1.0 dB"),
    ],
)
def test_keys_change_pitch_and_energy(
    page: Page, own: Plan, keys: list[str], member: str, value: float, said: str
) -> None:
    plan = pressed(page, *keys)
    before, after = word_of(own, "harbour"), word_of(plan, "harbour")
    assert [p[member] for p in after["phonemes"]] == [value] * len(after["phonemes"])
    assert [p | {member: 0} for p in after["phonemes"]] == before["phonemes"]
    assert others(plan) == others(own)
    expect(page.locator("#word-title")).to_contain_text(said)


def test_keys_put_a_pause_and_a_breath_after_a_word(page: Page, own: Plan) -> None:
    assert word_of(pressed(page, "p", "p"), "harbour")["pause_ms"] == 600
    assert word_of(pressed(page, "Shift+P"), "harbour")["pause_ms"] == 300
    expect(page.locator("#word-title")).to_contain_text("pause 300 ms")
    breathing = word_of(pressed(page, "b"), "harbour")
    assert (breathing["breath"], breathing["pause_ms"]) == (True, 450)
    expect(page.get_by_label("Breath after")).to_be_checked()
    assert pressed(page, "b", "Shift+P") == own


def test_stress_is_the_emphasis_of_the_markup(page: Page, own: Plan, tone_server: Service) -> None:
    marked = LINE.replace("harbour", "*harbour*")
    body = {"actor": "ann", "text": marked, "seed": own["seed"]}
    emphatic = tone_server.post(json.dumps(body), "/v1/plans").json()["plan"]
    place = {"start": 0, "end": 0}
    asked = word_of(emphatic, "harbour") | place
    assert word_of(pressed(page, "s"), "harbour") | place == asked
    expect(block(page, "harbour")).to_have_attribute("aria-pressed", "true")
    assert pressed(page, "Enter") == own
    clicked = rendered(page, block(page, "harbour").click)["plan"]
    assert word_of(clicked, "harbour") | place == asked
    expect(page.locator("#word-title")).to_contain_text("stressed")


def test_the_right_edge_is_dragged_for_the_length(page: Page, own: Plan) -> None:
    longer_ms = 60 / px_per_s(page, own) * 1000
    plan = dragged(page, ".edge", 60, 0)
    was, now = word_of(own, "harbour"), word_of(plan, "harbour")
    assert lasting_ms(now) == pytest.approx(lasting_ms(was) + longer_ms, abs=3)
    factors = [
        b["duration_ms"] / a["duration_ms"]
        for a, b in zip(was["phonemes"], now["phonemes"], strict=True)
    ]
    assert factors == pytest.approx([factors[0]] * len(factors), abs=1e-4)
    assert others(plan) == others(own)
    expect(page.locator('.lane-word[data-text="harbour"]')).to_have_attribute("data-edited", "true")


def test_a_word_is_dragged_for_its_pitch(page: Page, own: Plan) -> None:
    height = "(block) => block.firstChild.offsetTop"
    top_px = block(page, "harbour").evaluate(height)
    plan = dragged(page, ".block", 0, -3 * ST_PX)
    after = word_of(plan, "harbour")
    assert {p["pitch_st"] for p in after["phonemes"]} == {3.0}
    assert others(plan) == others(own)
    expect(page.locator("#word-title")).to_contain_text("+3.0 st")
    expect(block(page, "harbour")).to_have_attribute("aria-pressed", "false")  # no click
    assert top_px - block(page, "harbour").evaluate(height) == pytest.approx(3 * ST_PX, abs=1)


def test_the_grip_is_dragged_for_the_pause(page: Page, own: Plan) -> None:
    longer_ms = 50 / px_per_s(page, own) * 1000
    plan = dragged(page, ".grip", 50, 0)
    assert word_of(plan, "harbour")["pause_ms"] == pytest.approx(longer_ms, abs=3)
    assert others(plan) == others(own)


def test_a_pitch_beyond_what_a_plan_holds_stops_at_it(page: Page, own: Plan) -> None:
    plan = dragged(page, ".block", 0, -30 * ST_PX)
    assert {p["pitch_st"] for p in word_of(plan, "harbour")["phonemes"]} == {8.0}


def _delete(page: Page) -> None:
    block(page, "harbour").press("Delete")


def _double_click(page: Page) -> None:
    block(page, "harbour").dblclick()


def _button(page: Page) -> None:
    page.get_by_role("button", name="Reset this word").click()


def _all(page: Page) -> None:
    page.get_by_role("button", name="Reset all words").click()


def _undo(page: Page) -> None:
    block(page, "harbour").press("Control+z")


@pytest.mark.parametrize("reset", [_delete, _double_click, _button, _all, _undo])
def test_an_edit_is_taken_back(
    page: Page, own: Plan, seen: Seen, reset: Callable[[Page], None]
) -> None:
    assert pressed(page, "ArrowUp", "ArrowUp") != own
    rendered(page, lambda: reset(page))
    expect(page.locator('[data-edited="true"]')).to_have_count(0)
    page.wait_for_timeout(300)  # a double click is two clicks first, far apart on a slow machine
    assert seen.posted[-1][1]["plan"] == own


def test_undo_and_redo_go_through_edits_one_by_one(page: Page, own: Plan) -> None:
    higher = pressed(page, "ArrowUp", "ArrowUp")  # one step: they follow at once
    longer = pressed(page, "ArrowRight")
    undo, redo = (page.get_by_role("button", name=n, exact=True) for n in ("Undo", "Redo"))
    assert rendered(page, undo.click)["plan"] == higher
    assert rendered(page, undo.click)["plan"] == own
    expect(undo).to_be_disabled()
    assert rendered(page, lambda: page.keyboard.press("Control+Shift+z"))["plan"] == higher
    assert rendered(page, redo.click)["plan"] == longer
    expect(redo).to_be_disabled()


@pytest.mark.parametrize(
    ("label", "typed", "member"),
    [("Lasts", "500", None), ("Pitch", "-1.5", "pitch_st"), ("Energy", "3", "energy_db")],
)
def test_numbers_of_a_word_are_typed(
    page: Page, own: Plan, label: str, typed: str, member: str | None
) -> None:
    block(page, "harbour").focus()
    field = page.get_by_role("group", name="Word", exact=True).get_by_label(label)

    def type_it() -> None:
        field.fill(typed)
        field.press("Enter")

    after = word_of(rendered(page, type_it)["plan"], "harbour")
    if member is None:
        assert lasting_ms(after) == pytest.approx(float(typed), abs=0.01)
    else:
        assert [p[member] for p in after["phonemes"]] == [float(typed)] * len(after["phonemes"])


def test_edits_go_with_their_words_into_another_text(page: Page, own: Plan) -> None:
    pressed(page, "ArrowUp")
    block(page, "storm").press("ArrowDown")
    page.get_by_role("checkbox", name="Keep this seed").check()
    speak_to_end(page, "And now the harbour was very quiet.")
    expect(page.locator("#notice")).to_contain_text("edits of storm are dropped")
    expect(page.locator('[data-edited="true"]')).to_have_attribute("data-text", "harbour")
    expect(block(page, "harbour")).to_have_accessible_name(re.compile(re.escape("+0.5 st")))


def test_an_edited_take_lasts_as_its_plan_does(page: Page, own: Plan) -> None:
    before = float(shown(page, "duration").split()[0])
    pressed(page, "p", "p", "p")
    grown_s = float(shown(page, "duration").split()[0]) - before
    # A word is torn from the next: so much longer is it laid out, and ends in as much silence.
    assert grown_s == pytest.approx(0.9 + 0.04, abs=0.011)
