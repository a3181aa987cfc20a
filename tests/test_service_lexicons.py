"""Lexicons through the front door."""

from collections.abc import Iterator

import httpx
import pytest
from conftest import tones_served

NAME = "/v1/lexicons/heist-2"
ENTRIES = {"entries": [{"grapheme": "Elena", "ipa": "ɛlˈeɪnə"}]}
PLS = (
    '<lexicon version="1.0" alphabet="ipa"><lexeme><grapheme>Elena</grapheme>'
    "<phoneme>ɛlˈiːnə</phoneme></lexeme></lexicon>"
)


@pytest.fixture
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    path = tmp_path_factory.mktemp("lexicons")
    with tones_served(path, settings={"data_dir": path / "data"}) as service:
        yield service.http


def put_pls(http: httpx.Client, text: str) -> httpx.Response:
    return http.put(NAME, content=text.encode(), headers={"Content-Type": "application/pls+xml"})


def test_a_lexicon_is_kept_listed_given_and_forgotten(http: httpx.Client) -> None:
    assert http.get("/v1/lexicons").json() == {"lexicons": []}
    made = http.put(NAME, json=ENTRIES)
    assert made.status_code == 201
    assert made.json() == {"name": "heist-2", "entries": 1, "sha256": made.headers["ETag"][1:-1]}
    given = http.get(NAME)
    assert given.json() == ENTRIES
    assert given.headers["ETag"] == made.headers["ETag"]
    assert http.get(NAME, headers={"If-None-Match": given.headers["ETag"]}).status_code == 304
    replaced = put_pls(http, PLS)
    assert replaced.status_code == 200
    assert replaced.headers["ETag"] != made.headers["ETag"]
    assert http.get(NAME).json()["entries"] == [{"grapheme": "Elena", "ipa": "ɛlˈiːnə"}]
    assert http.get("/v1/lexicons").json()["lexicons"] == [replaced.json()]
    assert http.delete(NAME).status_code == 204
    gone = http.get(NAME)
    assert gone.status_code == 404
    assert gone.json()["type"] == "/problems/unknown-lexicon"


def test_what_is_not_valid_is_refused(http: httpx.Client) -> None:
    bad = put_pls(http, PLS.replace("ɛlˈiːnə", "ɛl5"))
    assert bad.status_code == 422
    assert bad.json()["type"] == "/problems/bad-lexicon"
    assert bad.json()["where"] == "line 1, column 73, character 2"
    assert http.put(NAME, content=b"{").json()["where"] == "Content-Type"
    kind = {"Content-Type": "application/json"}
    assert http.put(NAME, content=b"{", headers=kind).status_code == 400
    assert http.put("/v1/lexicons/No", json=ENTRIES).status_code == 422
    many = {"entries": [{"grapheme": f"word {i}" * 8, "ipa": "a"} for i in range(20_000)]}
    assert http.put(NAME, json=many).status_code == 413
    assert http.get("/v1/lexicons").json() == {"lexicons": []}


def test_the_actors_own_lexicon_is_used(http: httpx.Client) -> None:
    line = {"actor": "ann", "text": "Hold 3 Elena.", "seed": 1}

    def words() -> list[dict[str, object]]:
        take = http.post("/v1/speech", json=line).headers["Voicesvc-Take"]
        listed: list[dict[str, object]] = http.get(f"/v1/takes/{take}/timings").json()["words"]
        return listed

    before = words()
    http.put("/v1/lexicons/actor-ann", json={"entries": [{"grapheme": "Elena", "alias": "Lee"}]})
    after = words()
    assert [w["text"] for w in after] == ["Hold", "3", "Elena"]
    assert len(str(after[2]["phonemes"])) < len(str(before[2]["phonemes"]))
    assert after[:2] == before[:2]
