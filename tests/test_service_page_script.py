"""The script on the audition page: imported, found, and as long as a film's."""

import json
from collections.abc import Iterator
from typing import Any

import page_browser
import pytest
from conftest import Service, tones_served
from page_browser import Seen, new_page, opened
from page_takes import Script, get, make, option
from playwright.sync_api import Browser, Page, expect

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen
LONG = 2000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with tones_served(tmp_path_factory.mktemp("script")) as running:
        yield running


def read(page: Page, text: str) -> Any:
    return page.evaluate(
        """async (text) => (await import("/static/scripttext.js")).readScript(text)""", text
    )


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "SCENE 12\nELENA: We hold.\nMARTIN (V.O.): Until when?\n",
            [
                {"text": "We hold.", "scene": "12", "character": "ELENA"},
                {"text": "Until when?", "scene": "12", "character": "MARTIN"},
            ],
        ),
        (
            "INT. HARBOUR - NIGHT\n\nTHE OLD MAN (CONT'D)\n(quietly)\nWe hold\nuntil morning.\n",
            [
                {
                    "text": "We hold until morning.",
                    "scene": "INT. HARBOUR - NIGHT",
                    "character": "THE OLD MAN",
                }
            ],
        ),
        ("Just one line.\n\nAnd another.", [{"text": "Just one line."}, {"text": "And another."}]),
        (
            'scene,Cue ID,Character,Text,"TC in",mood\r\n'
            '3,H1,EVE,"Hold, she said ""now"".\nAll of you.",10:00:00:00,calm\r\n\r\n'
            "3,H2,EVE,,10:00:04:00,calm\r\n",
            [
                {
                    "scene": "3",
                    "cue": "H1",
                    "character": "EVE",
                    "text": 'Hold, she said "now".\nAll of you.',
                    "timecode_in": "10:00:00:00",
                }
            ],
        ),
        ("character;text\nEVE;Hold; now", [{"character": "EVE", "text": "Hold; now"}]),
        ("text\tnotes\nHold.\tlow", [{"text": "Hold.", "notes": "low"}]),
        ("", []),
    ],
)
def test_scripts_are_read(page: Page, service: Service, text: str, lines: list[Any]) -> None:
    opened(page, service.url)
    assert read(page, text)["lines"] == lines


def test_what_a_script_has_beside_is_told(page: Page, service: Service) -> None:
    opened(page, service.url)
    assert read(page, "text,mood\nHold.,calm")["left"] == ["column “mood”"]
    assert read(page, "EVE\n(softly)\nHold.")["left"] == ["(softly)"]


def test_rows_without_text_are_told(page: Page, service: Service) -> None:
    opened(page, service.url)
    page.get_by_role("button", name="Import…").click()
    dialog = page.get_by_role("dialog", name="Import a script")
    script = dialog.get_by_role("textbox", name="The script")
    script.fill("cue,text,scene\nc1,We hold.,1\nc2,,1\nc3,Until when?,1")
    expect(dialog.locator("#import-found")).to_have_text(
        "2 lines in 1 scene, from “We hold.”. Not taken: 1 row without text (c2)."
    )
    script.fill("scene,text\n1,\n2,")
    expect(dialog.locator("#import-found")).to_have_text(
        "Nothing to import yet. Not taken: 2 rows without text (row 2, row 3)."
    )
    script.fill("cue,text\nc1,Hold.\nc2,…\nc3,👍 1️⃣ ™️\nc4,\nc5,“ ”")
    expect(dialog.locator("#import-found")).to_have_text(
        "1 lines in 1 scene, from “Hold.”. Not taken: 1 row without text (c4), "
        "3 rows with nothing that can be spoken (c2, c3, c5)."
    )


def test_a_break_in_a_typed_script_is_no_line(page: Page, service: Service) -> None:
    opened(page, service.url)
    found = read(page, "EVE: We hold.\n\n***\n\nBEN: Until when?")
    assert [line["text"] for line in found["lines"]] == ["We hold.", "Until when?"]
    assert found["left"] == ["“***”"]


def test_a_pasted_script_becomes_a_production(page: Page, service: Service) -> None:
    opened(page, service.url)
    page.get_by_role("button", name="Import…").click()
    dialog = page.get_by_role("dialog", name="Import a script")
    dialog.get_by_role("textbox", name="The script").fill(
        "SCENE 1\nEVE: We hold.\nBEN: Until when?\nSCENE 2\nEVE: Until morning."
    )
    expect(dialog).to_contain_text("3 lines in 2 scenes")
    dialog.get_by_label("Title").fill("Pasted")
    dialog.get_by_label("Frames per second").select_option("25")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.locator(".script-scene")).to_have_text(["Scene 1", "Scene 2"])
    expect(page.locator(".script-line .said")).to_have_text(
        ["We hold.", "Until when?", "Until morning."]
    )
    made = get(service, "/v1/productions")["items"]
    (pasted,) = (p for p in made if p["title"] == "Pasted")
    assert (pasted["fps"], pasted["lines"]) == ("25", 3)
    lines = get(service, "/v1/lines", production=pasted["id"])["items"]
    assert {line["actor"] for line in lines} == {"ann"}


def test_lines_are_found_by_words_and_by_state(page: Page, service: Service) -> None:
    own = Script(service, takes=1)
    own.open(page, line=None)
    page.get_by_label("Search in the script").fill("asked eve")
    expect(page.locator(".script-line")).to_have_count(1)
    expect(page.locator("#line-count")).to_contain_text("1 of 3 lines")
    page.get_by_label("Search in the script").fill("")
    page.get_by_label("Which lines are shown").select_option("without takes")
    expect(page.locator(".script-line")).to_have_count(2)
    page.get_by_label("Which lines are shown").select_option("all lines")
    page.keyboard.press("Tab")
    page.locator("#lines").focus()
    page.keyboard.press("ArrowDown")
    expect(option(page, own.lines[0])).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(page.locator("#lines")).to_have_attribute(
        "aria-activedescendant", f"line-{own.lines[2]['id']}"
    )
    expect(page.get_by_role("textbox", name="Line")).to_have_value(own.lines[2]["text"])


def test_a_line_is_reworded_and_added(page: Page, service: Service) -> None:
    own = Script(service, takes=0)
    own.open(page)
    page.get_by_role("textbox", name="Line").fill("We hold it all day.")
    page.get_by_role("button", name="Make 5 takes").click()
    expect(page.locator("#notice")).to_contain_text("Save it there first")
    page.get_by_role("button", name="Save to the script").click()
    expect(option(page, own.lines[0]).locator(".said")).to_have_text("We hold it all day.")
    page.get_by_role("button", name="Leave this line").click()
    page.get_by_role("textbox", name="Line").fill("And one more.")
    page.get_by_role("button", name="Add to the script").click()
    expect(page.locator("#line-count")).to_contain_text("4 lines")
    lines = get(service, "/v1/lines", production=own.production)["items"]
    assert [line["text"] for line in lines][::3] == ["We hold it all day.", "And one more."]


def test_nobody_else_speaks_a_line_of_an_actor_that_is_not_installed(
    page: Page, service: Service
) -> None:
    own = Script(service, takes=0)
    fields = {"actor": "nobody", "text": "Who says this?", "cue": "H9"}
    lost = make(service, "/v1/lines", production=own.production, **fields)
    own.lines.append(lost)
    own.open(page)
    actor = page.locator("#actor")
    speak = page.get_by_role("button", name="Speak")
    expect(actor).to_have_value("ann")
    option(page, lost).click()
    expect(actor.locator("option:checked")).to_have_text("nobody (not installed)")
    expect(actor.locator("option:checked")).to_be_disabled()
    expect(page.locator("#actor-note")).to_contain_text("not installed")
    expect(speak).to_be_disabled()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("button", name="Save to the script")).to_be_hidden()
    option(page, own.lines[0]).click()
    expect(actor).to_have_value("ann")
    expect(actor.locator("option")).to_have_count(1)
    option(page, lost).click()
    expect(speak).to_be_disabled()
    assert get(service, "/v1/takes", line=lost["id"])["items"] == []
    actor.select_option("ann")
    expect(speak).to_be_enabled()
    page.get_by_role("button", name="Save to the script").click()
    expect(page.get_by_role("button", name="Save to the script")).to_be_hidden()
    assert get(service, f"/v1/lines/{lost['id']}")["actor"] == "ann"


def test_the_address_leads_back_to_a_line(
    page: Page, browser: Browser, seen: Seen, service: Service
) -> None:
    own, newer = Script(service, takes=0), Script(service, takes=0)
    own.open(page, line=1)
    address = f"{service.url}/#{own.production}/{own.lines[1]['id']}"
    expect(page).to_have_url(address)
    page.reload()
    expect(page.locator("#line-about")).to_contain_text("H1")
    expect(option(page, own.lines[1])).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("textbox", name="Line")).to_have_value(own.lines[1]["text"])
    expect(page).to_have_url(address)
    page.evaluate("hash => { location.hash = hash; }", f"{newer.production}/{newer.lines[2]['id']}")
    expect(option(page, newer.lines[2])).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Production", exact=True)).to_have_value(newer.production)
    with new_page(browser, seen) as colleague:
        colleague.goto(address)
        expect(option(colleague, own.lines[1])).to_have_attribute("aria-selected", "true")
        colleague.goto(f"{service.url}/?again#{own.production}/ln_gone")
        expect(colleague.locator("#notice")).to_have_text(
            "What this address names is not here, or not for you."
        )
        expect(colleague).to_have_url(f"{service.url}/?again#{own.production}")


def test_only_what_is_in_view_of_a_long_script_is_in_the_document(
    page: Page, service: Service
) -> None:
    texts = tuple(f"Line {n} of a long script." for n in range(LONG))
    own = Script(service, takes=0, texts=texts)
    own.open(page, line=None)
    rows = page.locator("#lines .rows > *")
    assert rows.count() < 60
    box = page.locator("#lines")
    box.focus()
    page.keyboard.press("End")
    expect(option(page, own.lines[-1])).to_be_visible()
    assert rows.count() < 80
    described = json.loads(
        page.evaluate(
            """JSON.stringify([...document.querySelectorAll("#lines [role=option]")]
                 .map((row) => row.getAttribute("aria-label")))"""
        )
    )
    assert described[-1].startswith(f"H{LONG - 1}, EVE, Line {LONG - 1}")
    numbers = [int(said.split(",")[0][1:]) for said in described]
    assert numbers == sorted(numbers)  # it is read in its order


def test_a_row_that_the_service_refuses_is_named(page: Page, seen: Seen, service: Service) -> None:
    seen.allowed.append("422")
    opened(page, service.url)
    page.get_by_role("button", name="Import…").click()
    dialog = page.get_by_role("dialog", name="Import a script")
    dialog.get_by_role("textbox", name="The script").fill("cue,text\nc1,Hold.\nc2,[pause 1s]")
    dialog.locator("#import-name").fill("Refused")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.locator("#import-found")).to_contain_text("0 of 2 lines are in; then: ")
    expect(dialog.locator("#import-found")).to_contain_text("(text of c2)")
