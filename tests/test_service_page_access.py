"""The audition page for everybody: axe-core's rules, the list of keys, motion, and its pictures."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import page_browser
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import Service, tones_served
from page_browser import Seen, new_page
from page_takes import Script, row
from playwright.sync_api import Browser, Page, Route, expect

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen
Scheme = Literal["dark", "light"]
ROOT = Path(__file__).parent.parent
STATIC = ROOT / "voicesvc" / "static"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("access")) as running:
        yield running


@pytest.fixture(scope="module")
def script(service: Service) -> Script:
    return Script(service)


def violations(page: Page) -> list[str]:
    """What axe-core calls serious or critical, with an element each."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found
        for node in rule["nodes"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious(
    browser: Browser, seen: Seen, script: Script, scheme: Scheme
) -> None:
    with new_page(browser, seen, bypass_csp=True) as page:  # axe is a script from elsewhere
        page.emulate_media(color_scheme=scheme)
        script.open(page, line=None)
        assert violations(page) == []
        script.open_takes(page)
        page.keyboard.press("2")
        page.keyboard.press("s")
        page.keyboard.press("c")
        expect(row(page, 2).locator(".circle-mark")).to_have_attribute("aria-pressed", "true")
        page.mouse.move(600, 420)  # a row that is pointed at has another background
        assert violations(page) == []
        for opener in ("Import…", "Export…", "Keys ?"):
            page.get_by_role("button", name=opener, exact=True).click()
            expect(page.get_by_role("dialog")).to_be_visible()
            assert violations(page) == []
            page.keyboard.press("Escape")
        page.keyboard.press("c")
        page.set_viewport_size({"width": 390, "height": 844})
        assert violations(page) == []


def test_nothing_is_wider_than_a_narrow_screen(page: Page, script: Script) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    script.open_takes(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_the_list_of_keys_has_every_key_that_is_handled(page: Page, service: Service) -> None:
    page.goto(service.url)
    expect(page.locator("#speak")).to_be_enabled()
    page.locator("#take-title").click()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    shown = set(dialog.locator("kbd").all_inner_texts())
    expected = {"J", "K", "L", "1", "9", "C", "B", "N", "?", "Space", "Esc", "Enter", "Delete"}
    assert expected <= shown
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("textbox", name="Line").fill("")
    page.get_by_role("textbox", name="Line").press("?")
    expect(page.get_by_role("textbox", name="Line")).to_have_value("?")  # fields keep their keys
    expect(dialog).to_be_hidden()


def test_the_guide_has_every_key(page: Page, service: Service) -> None:
    page.goto(service.url)
    expect(page.locator("#speak")).to_be_enabled()
    page.locator("#keys-open").click()
    shown = set(page.locator("#key-list kbd").all_inner_texts()) - {"…"}
    guide = (ROOT / "docs" / "page.md").read_text("utf-8")
    assert {key for key in shown if f"<kbd>{key}</kbd>" not in guide} == set()


def test_modules_are_named_ahead_so_that_none_is_waited_for(page: Page, service: Service) -> None:
    """All of them, in one go: what a module imports is otherwise only found when it is read."""
    page.goto(service.url)
    page.wait_for_selector('link[rel="modulepreload"]', state="attached")
    named = page.eval_on_selector_all(
        'link[rel="modulepreload"]', "(links) => links.map((link) => link.getAttribute('href'))"
    )
    wanted, todo = set(), ["/static/app.js"]
    while todo:
        source = (STATIC / todo.pop().removeprefix("/static/")).read_text("utf-8")
        found = set(re.findall(r'^import [^;]*? from "([^"]+)";', source, re.M)) - wanted
        wanted |= found
        todo += found
    assert set(named) == wanted


def test_nothing_but_the_page_is_waited_for_to_paint_it(browser: Browser, service: Service) -> None:
    """Its styles are in it, and what starts its modules, which are asked for when it is painted."""
    page = browser.new_page()
    page.goto(service.url)
    page.wait_for_function("() => !document.querySelector('#speak').disabled")
    asked = page.evaluate(
        """() => Object.fromEntries(performance.getEntriesByType("resource").map((e) =>
             [new URL(e.name).pathname, [e.startTime, e.responseEnd]]))"""
    )
    read_ms = page.evaluate(
        "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    )
    scripts = [begin for path, (begin, _) in asked.items() if path.endswith(".js")]
    assert len(scripts) > 40
    assert "/static/start.js" not in asked
    assert min(scripts) > read_ms
    assert not [path for path in asked if path.endswith(".css")]
    assert page.evaluate("getComputedStyle(document.querySelector('main')).display") == "grid"
    page.close()


@pytest.mark.parametrize(
    ("keys", "field", "dialogs"), [("/mor?", "mor?", 0), ("?", "", 1), ("m", "", 0)]
)
def test_keys_pressed_before_the_modules_are_there_are_not_lost(
    page: Page, service: Service, keys: str, field: str, dialogs: int
) -> None:
    held: list[Route] = []
    page.route("**/static/app.js", lambda route: held.append(route))
    page.goto(service.url, wait_until="domcontentloaded")
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#line-search")).to_have_value("")
    while not held:
        page.wait_for_timeout(5)
    held[0].continue_()
    expect(page.locator("#line-search")).to_have_value(field)
    expect(page.locator("dialog[open]")).to_have_count(dialogs)
    expect(page.locator("#level")).to_have_value("r128" if keys == "m" else "matched")
    page.keyboard.press("Escape")
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()


def test_every_control_is_reached_by_the_tab_key_in_reading_order(
    page: Page, script: Script
) -> None:
    script.open_takes(page)
    page.locator("h1").click()
    order = []
    for _ in range(40):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    wanted = ["production", "line-search", "lines", "text", "speak", "batch-make", "pick", "ab"]
    places = [order.index(name) for name in wanted]
    assert places == sorted(places)


def test_nothing_moves_where_motion_is_not_wanted(browser: Browser, script: Script) -> None:
    page = browser.new_page(reduced_motion="reduce")
    script.open_takes(page)
    running = "document.getAnimations().filter((a) => a.playState === 'running').length"
    page.locator(".take-row").first.evaluate("(row) => { row.dataset.state = 'open'; }")
    assert page.evaluate(running) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(running) == 1
    page.close()


def test_the_whole_seed_is_seen(page: Page, script: Script) -> None:
    script.open_takes(page)
    field = page.locator("#seed-field")
    field.fill(str(2**53 - 1))
    assert field.evaluate("(field) => field.scrollWidth <= field.clientWidth")
