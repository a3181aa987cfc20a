"""The pictures of the page that README and docs show, taken with the real voice.

`make screenshots` writes them into docs/; without PAGE_PICTURES they go to a temporary folder.
"""

import os
from pathlib import Path
from typing import Any

import page_browser
import pytest
from conftest import Service, eventually
from page_browser import opened, speak_without_dropout
from page_takes import get, make, patch, row
from playwright.sync_api import Page, expect

browser = page_browser.browser
page = page_browser.page
seen = page_browser.seen
SCRIPT = (
    ("11", "ELENA", "You never asked me that before."),
    ("11", "MARTIN", "I never had to."),
    ("12", "THE OLD MAN", "We hold the harbour until morning, and then the boats go out."),
    ("12", "ELENA", "And if they come back?"),
    ("12", "THE OLD MAN", "Then we were never here."),
    ("12", "MARTIN", "Three men and a dog. God help the dog."),
    ("13", "ELENA", "Look at me. It was never about the boats."),
    ("13", "MARTIN", "Tell them the line is open."),
    ("14", "THE OLD MAN", "Quiet. Listen."),
    ("14", "ELENA", "I said I would be there, and I was there, all night, in the rain."),
    ("14", "MARTIN", "He isn't coming, is he?"),
    ("14", "THE OLD MAN", "No. He isn't."),
)
SPOKEN = {2: 5, 0: 3, 3: 2}  # line -> takes


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return Path(os.environ.get("PAGE_PICTURES", tmp_path))


def taken(page: Page, path: Path) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    page.screenshot(path=path)
    assert path.stat().st_size > 20_000


def test_picture_of_a_line(page: Page, joe_server: Service, pictures: Path) -> None:
    opened(page, joe_server.url)
    page.set_viewport_size({"width": 1440, "height": 1040})
    speak_without_dropout(
        page, "The harbour was quiet, and three of the boats were gone before the morning."
    )
    page.locator("#wave").click(position={"x": 380, "y": 90})
    page.wait_for_timeout(100)
    page.get_by_role("button", name="Pause", exact=True).click()
    taken(page, pictures / "page.png")


def scripted(service: Service) -> list[Any]:
    """A production with a scene's lines, some with takes that an editor has been through."""
    production = make(service, "/v1/productions", title="The Harbour")["id"]
    lines = [
        {"actor": "joe", "scene": scene, "character": who, "text": text, "cue": f"{scene}-{n:02}"}
        for n, (scene, who, text) in enumerate(SCRIPT, 1)
    ]
    kept: list[Any] = make(service, "/v1/lines", production=production, lines=lines)["items"]
    for n, count in SPOKEN.items():
        body = {"count": count, "vary": ["seed", "emotion", "pace"], "seed": 4}
        make(service, f"/v1/lines/{kept[n]['id']}/takes", **body)

    def of(n: int) -> list[Any]:
        found: list[Any] = get(service, "/v1/takes", line=kept[n]["id"])["items"]
        return found

    assert eventually(lambda: all(t["measured"] for n in SPOKEN for t in of(n)), 120)
    patch(service, of(0)[1], circled=True)
    first, second, third, *_ = of(2)
    patch(service, second, circled=True, rating=4, note="the pause before “until”", tags=["warm"])
    patch(service, third, rating=2, note="too bright")
    patch(service, first, tags=["alt"])
    return kept


def test_picture_of_takes(page: Page, joe_server: Service, pictures: Path) -> None:
    lines = scripted(joe_server)
    opened(page, joe_server.url)
    page.get_by_label("Production", exact=True).select_option(label="The Harbour")
    page.get_by_label("You", exact=True).fill("Ann")
    page.locator(f"#line-{lines[2]['id']}").click()
    expect(row(page, 2)).to_have_attribute("aria-current", "true")
    expect(page.locator("#words button")).to_have_count(len(lines[2]["text"].split()))
    page.locator("#take-title").click()
    page.keyboard.press("3")
    page.keyboard.press("2")
    expect(page.locator("#kept-wave")).to_be_visible()
    page.wait_for_timeout(800)
    page.keyboard.press("l")
    page.wait_for_function(
        "() => parseFloat(document.querySelector('#position').textContent) > 1.1"
    )
    page.keyboard.press("k")
    taken(page, pictures / "page-takes.png")
