"""The page that speaks what is typed into it, in Chromium."""

import page_browser
from axe_playwright_python.sync_playwright import Axe
from conftest import Service
from playwright.sync_api import Page, expect

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen


def test_what_is_typed_is_heard_word_by_word(page: Page, tone_server: Service) -> None:
    page.goto(f"{tone_server.url}/live")
    expect(page.get_by_label("Actor")).to_have_value("ann")
    text, said = page.get_by_label("Text"), page.locator("#said")
    text.press_sequentially("Hold the line. Then")
    expect(said).to_have_text("Hold the line ", timeout=20_000)
    text.press("Enter")
    expect(said).to_have_text("Hold the line Then ", timeout=20_000)
    expect(said.locator(".heard")).to_have_count(4, timeout=20_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.")
    serious = [
        v for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")
    ]
    assert serious == []
