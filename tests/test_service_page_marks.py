"""What editors say of takes on the page: circles, ratings, notes; undone, and from two browsers."""

from collections.abc import Iterator
from typing import Any

import page_browser
import pytest
from conftest import Service, eventually, tones_served
from page_browser import Seen
from page_takes import Script, option, patch, row, second_editor
from playwright.sync_api import Browser, Page, Response, Route, expect
from relay import relayed

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("marks")) as running:
        yield running


@pytest.fixture
def script(service: Service) -> Script:
    return Script(service, takes=2)


def kept(script: Script, number: int = 1) -> Any:
    return script.takes[number - 1]


def test_keys_circle_and_rate_and_are_undone(page: Page, script: Script) -> None:
    script.open_takes(page)
    page.keyboard.press("c")
    expect(row(page, 1).locator(".circle-mark")).to_have_attribute("aria-pressed", "true")
    expect(option(page, script.lines[0])).to_have_attribute("data-status", "circled")
    page.keyboard.press("Shift+Digit4")
    expect(row(page, 1)).to_contain_text("★★★★")
    assert eventually(lambda: (kept(script)["circled"], kept(script)["rating"]) == (True, 4))
    page.keyboard.press("Control+z")
    expect(row(page, 1)).not_to_contain_text("★")
    page.keyboard.press("Control+z")
    expect(option(page, script.lines[0])).to_have_attribute("data-status", "takes")
    assert eventually(lambda: (kept(script)["circled"], kept(script)["rating"]) == (False, None))
    page.keyboard.press("Control+Shift+z")
    assert eventually(lambda: bool(kept(script)["circled"]))


def test_a_note_and_tags_are_typed(page: Page, script: Script) -> None:
    page.goto(script.service.url)
    expect(page.locator("#speak")).to_be_enabled()
    page.get_by_label("You", exact=True).fill("Zoë")
    page.get_by_label("You", exact=True).press("Enter")
    script.open_takes(page)
    page.keyboard.press("n")
    page.keyboard.type("breath before “until”; good")
    page.keyboard.press("Enter")
    expect(row(page, 1)).to_contain_text("breath before “until”; good")
    page.keyboard.press("t")
    page.keyboard.type("alt, warm, alt")
    page.keyboard.press("Enter")
    expect(row(page, 1).locator(".tag-mark")).to_have_text(["alt", "warm"])
    assert eventually(lambda: kept(script)["tags"] == ["alt", "warm"])
    take = kept(script)
    assert (take["note"], take["updated_by"]) == ("breath before “until”; good", "Zoë")
    page.keyboard.press("n")
    page.keyboard.type("no")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Note")).to_have_value("breath before “until”; good")


def test_what_another_editor_does_is_seen_at_once(
    page: Page, browser: Browser, seen: Seen, script: Script
) -> None:
    script.open_takes(page)
    with second_editor(browser, seen, script, "Ann") as other:
        other.keyboard.press("2")
        other.keyboard.press("c")
        expect(row(page, 2).locator(".circle-mark")).to_have_attribute("aria-pressed", "true")
        expect(option(page, script.lines[0])).to_have_attribute("data-status", "circled")
        other.keyboard.press("n")
        other.keyboard.type("this one")
        other.keyboard.press("Enter")
        expect(row(page, 2)).to_contain_text("this one")
        other.get_by_role("button", name="Delete take").click()
        expect(page.locator(".take-row")).to_have_count(1)
        other.get_by_role("button", name="Undo").click()
        expect(page.locator(".take-row")).to_have_count(2)


@pytest.mark.parametrize(("answer", "stays"), [("Keep theirs", "theirs"), ("Use mine", "mine")])
def test_two_notes_at_once_are_settled_by_the_later_editor(
    page: Page, seen: Seen, script: Script, answer: str, stays: str
) -> None:
    seen.allowed.append("412")
    script.open_takes(page)
    page.keyboard.press("n")
    page.keyboard.type("mine")
    patch(script.service, kept(script), by="Ben", note="theirs", rating=3)
    expect(row(page, 1)).to_contain_text("theirs")
    expect(page.get_by_label("Note")).to_have_value("mine")  # what is being typed stays
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Ben changed this take while you did.")
    expect(dialog.get_by_role("row", name="note")).to_contain_text("theirs")
    expect(dialog.get_by_role("row", name="note")).to_contain_text("mine")
    dialog.get_by_role("button", name=answer).click()
    expect(row(page, 1)).to_contain_text(stays)
    assert eventually(lambda: kept(script)["note"] == stays)
    assert kept(script)["rating"] == 3


def test_changes_of_different_things_do_not_meet(page: Page, seen: Seen, script: Script) -> None:
    seen.allowed.append("412")
    script.open_takes(page)
    page.keyboard.press("n")
    page.keyboard.type("mine")
    patch(script.service, kept(script), circled=True)
    expect(row(page, 1).locator(".circle-mark")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    assert eventually(lambda: kept(script)["note"] == "mine")
    assert kept(script)["circled"]
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_undo_does_not_take_back_what_somebody_else_has_changed(page: Page, script: Script) -> None:
    script.open_takes(page)
    page.keyboard.press("Shift+Digit2")
    assert eventually(lambda: kept(script)["rating"] == 2)
    patch(script.service, kept(script), rating=5)
    expect(row(page, 1)).to_contain_text("★★★★★")
    page.keyboard.press("Control+z")
    expect(page.get_by_role("alert")).to_contain_text("Somebody else has changed it since")
    assert kept(script)["rating"] == 5


def test_changes_made_while_it_was_not_connected_are_caught_up(
    page: Page, seen: Seen, script: Script
) -> None:
    seen.allowed.append("Failed to load resource: net::")
    with relayed(script.service.url) as relay:
        script.open_takes(page, relay.url)
        expect(page.locator("#live")).to_have_attribute("data-state", "on")
        relay.cut()
        expect(page.locator("#live")).to_contain_text("Not connected")
        patch(script.service, kept(script), note="while you were away")
        relay.mend()
        expect(row(page, 1)).to_contain_text("while you were away", timeout=20_000)
        expect(page.locator("#live")).to_have_text("")


AWAY = "the service could not be reached"


def test_marks_made_while_the_service_is_away_are_taken_back(
    page: Page, seen: Seen, script: Script
) -> None:
    seen.allowed.append("Failed to load resource: net::")
    script.open_takes(page)
    page.keyboard.press("2")
    page.keyboard.press("Shift+Digit1")
    assert eventually(lambda: kept(script, 2)["rating"] == 1)
    page.context.set_offline(True)
    page.keyboard.press("Shift+Digit4")
    expect(page.locator("#problem-title")).to_have_text(f"T2: rating not kept: {AWAY}")
    with page.expect_event("requestfailed"):
        page.locator("#differences").click()  # what was lost stays on top, whatever else fails too
    page.evaluate("new Promise((told) => setTimeout(told))")
    expect(page.locator("#problem-title")).to_have_text(f"T2: rating not kept: {AWAY}")
    page.keyboard.press("n")
    page.keyboard.type("offline note")
    page.keyboard.press("Enter")
    not_kept = [f"rating not kept: {AWAY}", f"note “offline note” not kept: {AWAY}"]
    expect(row(page, 2).locator(".unkept")).to_have_text(not_kept)
    expect(page.locator("#review .unkept")).to_have_text("; ".join(not_kept))
    expect(row(page, 2).locator(".stars")).to_have_text("★")
    expect(row(page, 2).locator(".remark")).to_have_count(0)
    expect(page.locator("#note")).to_have_value("")
    page.get_by_role("button", name="Delete take").click()
    expect(page.locator("#problem-title")).to_have_text(f"T2: not deleted: {AWAY}")
    expect(page.locator(".take-row")).to_have_count(2)
    page.keyboard.press("Control+z")  # of what came about: the first rating
    expect(page.locator("#problem-title")).to_have_text(f"T2: rating not kept: {AWAY}")
    expect(row(page, 2).locator(".stars")).to_have_text("★")
    page.context.set_offline(False)
    page.keyboard.press("c")
    expect(row(page, 2).locator(".circle-mark")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".unkept:not(:empty)")).to_have_count(0)
    take = kept(script, 2)
    assert (take["circled"], take["rating"], take["note"]) == (True, 1, "")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")  # what could not be taken back then
    assert eventually(lambda: kept(script, 2)["rating"] is None)
    assert not kept(script, 2)["circled"]


def open_failing(page: Page, seen: Seen, script: Script) -> None:
    """With a service that keeps no change of a take."""
    seen.allowed.append("503")
    page.route(  # before it is opened: a busy Chromium lets what is asked just afterwards pass
        "**/v1/takes/*",
        lambda r: r.fulfill(status=503) if r.request.method == "PATCH" else r.continue_(),
    )
    script.open_takes(page)


def test_marks_that_were_not_kept_are_sent_again(page: Page, seen: Seen, script: Script) -> None:
    open_failing(page, seen, script)
    page.keyboard.press("Shift+Digit4")
    expect(row(page, 1).locator(".unkept")).to_have_count(1)
    page.keyboard.press("n")
    page.keyboard.type("lost note")
    page.keyboard.press("Enter")
    expect(row(page, 1).locator(".unkept")).to_have_count(2)
    again = row(page, 1).get_by_role("button", name="Send again what was not kept of T1")
    again.focus()

    def is_note(response: Response) -> bool:
        return "lost note" in (response.request.post_data or "")

    with page.expect_response(is_note):  # the last of what is sent again
        page.keyboard.press("Enter")
    expect(row(page, 1).locator(".unkept")).to_have_count(2)
    expect(row(page, 1).locator(".remark:not(:empty)")).to_have_count(0)  # it is taken back
    expect(row(page, 1).locator(".pick")).to_be_focused()
    patch(script.service, kept(script), note="Ben's", tags=["alt"])
    expect(row(page, 1)).to_contain_text("Ben's")
    page.unroute("**/v1/takes/*")
    page.keyboard.press("Tab")
    expect(again).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")  # nobody's note is written over
    expect(dialog.get_by_role("row", name="note")).to_contain_text("Ben's")
    expect(dialog).to_contain_text("This take was changed while you did.")
    dialog.get_by_role("button", name="Use mine").click()
    assert eventually(lambda: kept(script)["note"] == "lost note")
    expect(row(page, 1).locator(".stars")).to_have_text("★★★★")
    expect(page.locator(".unkept:not(:empty), .again")).to_have_count(0)
    expect(page.get_by_role("alert")).to_be_hidden()
    assert (kept(script)["rating"], kept(script)["tags"]) == (4, ["alt"])
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    assert eventually(lambda: kept(script)["rating"] is None)


def test_a_mark_the_service_fails_to_keep_is_taken_back(
    page: Page, seen: Seen, script: Script
) -> None:
    open_failing(page, seen, script)
    page.keyboard.press("Shift+Digit4")
    expect(row(page, 1).locator(".unkept")).to_have_text("rating not kept: HTTP 503")
    expect(row(page, 1).locator(".stars")).to_have_text("")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_mark_whose_answer_was_lost_is_no_mark_lost(
    page: Page, seen: Seen, script: Script
) -> None:
    seen.allowed.append("502")

    def lose(route: Route) -> None:
        if route.request.method == "PATCH":
            route.fetch()
            route.fulfill(status=502)
        else:
            route.continue_()

    page.route("**/v1/takes/*", lose)
    script.open_takes(page)
    page.keyboard.press("Shift+Digit4")
    assert eventually(lambda: kept(script)["rating"] == 4)
    expect(row(page, 1).locator(".stars")).to_have_text("★★★★")
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    expect(page.locator(".unkept:not(:empty)")).to_have_count(0)


def test_a_deleted_take_is_restored_by_undo(page: Page, script: Script) -> None:
    script.open_takes(page)
    page.keyboard.press("2")
    page.locator("#take-title").click()
    page.keyboard.press("Delete")
    expect(page.locator(".take-row")).to_have_count(1)
    expect(row(page, 1)).to_have_attribute("aria-current", "true")
    assert eventually(lambda: len(script.takes) == 1)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".take-row")).to_have_count(2)
    assert len(script.takes) == 2
