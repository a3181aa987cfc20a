"""What the tests of takes on the page share: lines with takes, opened in a browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import httpx
from conftest import Service, eventually
from page_browser import Seen, new_page
from playwright.sync_api import Browser, Locator, Page, expect

TEXTS = (
    "We hold the harbour until morning.",
    "You never asked me that before.",
    "Tell them the line is open.",
)
_numbers = count(1)
Json = dict[str, Any]


def make(service: Service, path: str, **fields: Any) -> Any:
    answer = service.http.post(path, json=fields)
    assert answer.status_code in (200, 201, 202), answer.text
    return answer.json()


def get(service: Service, path: str, **query: Any) -> Any:
    answer = service.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def patch(service: Service, take: Json, by: str = "Ben", **fields: Any) -> Json:
    """Change a take as another editor."""
    headers = {"If-Match": f'"{take["version"]}"', "Voicesvc-User": by}
    answer = service.http.patch(f"/v1/takes/{take['id']}", json=fields, headers=headers)
    assert answer.status_code == 200, answer.text
    changed: Json = answer.json()
    return changed


def takes_of(service: Service, line: Json) -> list[Json]:
    """The takes of a line, by number."""
    found: list[Json] = get(service, "/v1/takes", line=line["id"])["items"]
    return found


class Script:
    """A production of its own for one test: lines with takes."""

    def __init__(self, service: Service, takes: int = 3, texts: tuple[str, ...] = TEXTS) -> None:
        self.service = service
        self.title = f"Harbour {next(_numbers)}"
        self.production = make(service, "/v1/productions", title=self.title)["id"]
        lines = [
            {
                "actor": "ann",
                "text": t,
                "scene": str(n // 2 + 1),
                "cue": f"H{n}",
                "character": "EVE",
            }
            for n, t in enumerate(texts)
        ]
        self.lines = make(service, "/v1/lines", production=self.production, lines=lines)["items"]
        if takes:
            body = {"count": takes, "vary": ["seed", "pace"], "seed": 1}
            make(service, f"/v1/lines/{self.lines[0]['id']}/takes", **body)
            assert eventually(lambda: all(t["measured"] for t in self.takes), 60)

    @property
    def takes(self) -> list[Json]:
        """Those of the first line."""
        return takes_of(self.service, self.lines[0])

    def open(self, page: Page, line: int | None = 0, url: str | None = None) -> Page:
        """The page with this production, at one of its lines."""
        page.goto(url or self.service.url)
        expect(page.get_by_role("button", name="Speak")).to_be_enabled()
        page.get_by_label("Production", exact=True).select_option(label=self.title)
        expect(page.locator("#line-count")).to_contain_text(f"{len(self.lines)} lines")
        if line is not None:
            option(page, self.lines[line]).click()
            expect(page.locator("#line-about")).to_contain_text(self.lines[line]["cue"])
        return page

    def open_takes(self, page: Page, url: str | None = None) -> Page:
        """The same, once the first take is chosen and can be heard."""
        self.open(page, url=url)
        expect(row(page, 1)).to_have_attribute("aria-current", "true")
        expect(page.locator("#words button")).to_have_count(len(self.lines[0]["text"].split()))
        return page

    def samples(self, take: Json, rate_hz: int) -> bytes:
        """What the service has of a take, as float32."""
        query: dict[str, str | int] = {"format": "pcm_f32le", "sample_rate_hz": rate_hz}
        answer = httpx.get(f"{self.service.url}/v1/takes/{take['id']}/audio", params=query)
        assert answer.status_code == 200, answer.text
        return answer.content


def option(page: Page, line: Json) -> Locator:
    """A line in the script."""
    return page.locator(f"#line-{line['id']}")


def row(page: Page, number: int) -> Locator:
    """A take of the line, by its number."""
    return page.locator(".take-row").filter(has=page.locator(f".number:text-is('T{number}')"))


@contextmanager
def second_editor(browser: Browser, seen: Seen, script: Script, name: str) -> Iterator[Page]:
    """The same line in another browser, under another name."""
    with new_page(browser, seen) as page:
        page.goto(script.service.url)
        page.get_by_label("You", exact=True).fill(name)
        page.get_by_label("You", exact=True).press("Enter")
        script.open_takes(page)
        yield page
