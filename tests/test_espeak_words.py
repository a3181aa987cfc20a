"""The phoneme program as anyone meets it: through its pipe."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

LINES = (Path(__file__).parent / "data" / "lines_en.txt").read_text("utf-8").splitlines()


class Program:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            (sys.executable, "-I", "-m", "espeak_words"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: str) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def shares(self, words: list[str], end: str = "", language: str = "en-us") -> list[str]:
        clause = {"words": words, "end": end}
        (answer,) = self.ask(json.dumps({"language": language, "clauses": [clause]}))["clauses"]
        assert len(answer) == len(words)
        return [str(share) for share in answer]


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    started = Program()
    yield started
    started.process.communicate()  # it ends when its stdin does
    assert started.process.returncode == 0


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        ("end of the road", ["ˈɛnd ", "ʌv", "ðə ", "ɹˈoʊd"]),
        ("this one was in the lake", ["ðˈɪs", "wˌʌn ", "wʌz ", "ɪn", "ðə ", "lˈeɪk"]),
        ("there are some over it", ["ðɛɹ", "ˌɑːɹ ", "sˌʌm ", "ˈoʊvɚɹ ", "ɪt"]),
        ("not a lot", ["nˌɑːɾ", "ə ", "lˈɑːt"]),
        ("look at a house", ["lˈʊk ", "æɾ", "ə ", "hˈaʊs"]),
        ("supposed to be it", ["səpˈoʊzd ", "tə", "bi ", "ɪt"]),
        ("it is 1024 a day", ["ɪɾ ", "ɪz ", "wˈʌn θˈaʊzənd twˈɛnti fˈɔːɹ ", "ɐ ", "dˈeɪ"]),
        ("refuse to record it", ["ɹᵻfjˈuːz ", "tə ", "ɹᵻkˈɔːɹd ", "ɪt"]),
        ("0 '-o", ["zˈiəɹoʊ", "ˈoʊ"]),
        ("we - they", ["wiː ", "", "ðeɪ"]),
    ],
)
def test_each_word_gets_its_own_sounds(program: Program, words: str, shares: list[str]) -> None:
    assert program.shares(words.split()) == shares


def test_the_shares_are_the_clause_as_said_in_one_go(program: Program) -> None:
    for line in LINES:
        for clause in re.split(r"[^\w' ]+", line):
            words = clause.split()
            assert "".join(program.shares(words)) == "".join(program.shares([clause])), clause


@given(st.lists(st.text("aeioutdnsrhlTHE'0159é-", min_size=1, max_size=6), max_size=12))
def test_no_sound_is_lost_whatever_the_words(program: Program, words: list[str]) -> None:
    whole = program.shares([" ".join(words)])
    assert "".join(program.shares(words)) == "".join(whole)


def test_languages_take_turns(program: Program) -> None:
    english = program.shares(["table"])
    assert program.shares(["table"], language="fr-fr") == ["tˈabl"]
    assert program.shares(["tart"], language="en-gb") == ["tˈɑːt"]
    assert program.shares(["table"]) == english


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("not json", "not a request"),
        ("[]", "not a request"),
        ("{}", "not a request: KeyError('language')"),
        ('{"language": "en-us", "clauses": [{"words": []}]}', "not a request"),
        ('{"language": "en-us", "clauses": [{"words": ["\\ud800"], "end": ""}]}', "not a request"),
        ('{"language": "qq", "clauses": []}', "espeak-ng has no language 'qq'"),
        ('{"language": "e\\u0000n", "clauses": []}', "espeak-ng has no language"),
        ('{"language": 7, "clauses": []}', "not a request"),
    ],
)
def test_a_bad_request_is_answered_and_the_program_goes_on(
    program: Program, line: str, error: str
) -> None:
    answer = program.ask(line)
    assert answer["error"].startswith(error)
    assert ("en-us" in answer["valid"]) == error.startswith("espeak-ng")
    assert program.shares(["hello"]) == ["həlˈoʊ"]
