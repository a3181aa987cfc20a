"""What a rule is: a pattern of written English, and how a match of it is said."""

import re
from collections.abc import Callable
from dataclasses import dataclass


def listed(words: str) -> frozenset[str]:
    """Words that are written with spaces between them."""
    return frozenset(words.split())


Say = Callable[[re.Match[str], bool], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """`say` gets the match and whether the English is British; None leaves it as it is written.

    `needs` is one of the signs that every match has ("0" for any figure), so that most sentences
    skip the rule. Patterns are bounded in length: a rule costs the same for each character.
    `quantity` rules can be ends of a range: "9am-5pm" is said with a "to".
    """

    pattern: re.Pattern[str]
    say: Say
    needs: str = "0"
    quantity: bool = False


def rule(pattern: str, say: Say, needs: str = "0", *, quantity: bool = False) -> Rule:
    """A rule from its pattern, in verbose syntax."""
    return Rule(re.compile(pattern, re.VERBOSE), say, needs, quantity)


def before(m: re.Match[str], n: int = 24) -> str:
    """The word before the match, in lower case, "" for none."""
    words = m.string[max(0, m.start() - n) : m.start()].split()
    return words[-1].lower() if words else ""


def after(m: re.Match[str], n: int = 24) -> str:
    """The word after the match and its space, as written; "" at a clause's end."""
    found = re.match(r"\s([\w'-]+)", m.string[m.end() : m.end() + n])
    return found.group(1) if found else ""
