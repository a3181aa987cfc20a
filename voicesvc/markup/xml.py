"""SSML's characters -> tags and text with their offsets. Knows no element by name.

expat reads the document, hardened by defusedxml: a document type, an entity of one's own or
anything outside ends it. Depth and number of elements are limited here. The text of an entity is
laid into its own room, so that a run of text is as long as it is written.
"""

import re
import xml.sax.handler
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.sax import SAXParseException
from xml.sax.xmlreader import AttributesImpl

from defusedxml.common import DTDForbidden
from defusedxml.expatreader import create_parser

from voicesvc.markup.draft import DEEPEST, JOINER, bad_markup

MOST_ELEMENTS = 20_000

_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NEWLINE = re.compile(r"\r\n|\r|\n")
_TAG = re.compile(r"<(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(r"\s([^\s=\"'/>]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_UNIT = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(\w+));|(.)", re.DOTALL)
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_FOLDED = re.compile(r"[ \t\r]*\n\s*|\r")
_HINTS = {
    "undefined entity": "&amp; &lt; &gt; &quot; &apos; and characters by number, such as &#233;",
    "mismatched tag": "the end tag of the element that was opened last",
    "syntax error": "a <speak> element, and nothing before it",
    "no element found": "a <speak> element that is closed",
    "not well-formed (invalid token)": "XML 1.0; & is written &amp; and < is written &lt;",
}
_NAMESPACES = {
    "http://www.w3.org/2001/10/synthesis": "",
    "https://www.w3.org/2001/10/synthesis": "",
    "http://www.w3.org/2001/mstts": "mstts:",
    "https://www.w3.org/2001/mstts": "mstts:",
    "http://www.w3.org/2001/XMLSchema-instance": "xsi:",
}


@dataclass(frozen=True, slots=True)
class Open:
    """A start tag [start, end). `name` has the usual prefix, whichever was declared."""

    name: str
    attributes: dict[str, str]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Close:
    """An end tag; of an element without content, an empty place after its start tag."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Run:
    """Text as it is said, as long as it is written. Lines are folded but for empty ones."""

    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A comment, an instruction or a CDATA section's mark: nothing."""

    start: int
    end: int


Node = Open | Close | Run | Gap


def value_at(source: str, tag: Open, name: str, at: int = 0) -> int:
    """Where in `source` character `at` of an attribute's value is written."""
    for found in _ATTRIBUTE.finditer(source, tag.start, tag.end):
        if found[1].rpartition(":")[2] == name.rpartition(":")[2]:
            written = found[2] if found[2] is not None else found[3]
            start = found.end() - len(written) - 1
            return start + (at if "&" not in written and at < len(written) else 0)
    return tag.start


def nodes(source: str) -> Iterator[Node]:
    """The document's tags and text in order. Raises errors.BadMarkup, before the first."""
    begin = len(source) - len(source.lstrip().lstrip("\ufeff").lstrip())
    if odd := _NOT_XML.search(source):
        raise bad_markup(source, odd.start(), f"the character U+{ord(odd[0]):04X} is not XML")
    reader = _Reader(source, begin)
    try:
        reader.read()
    except DTDForbidden:
        raise bad_markup(source, reader.at(), "a document type is not read", "<speak>") from None
    except SAXParseException as error:
        said = str(error.getMessage())
        raise bad_markup(source, reader.at(), f"broken XML: {said}", _HINTS.get(said)) from error
    yield from _with_text(source, reader.tags, reader.sections)


class _Reader(xml.sax.handler.ContentHandler, xml.sax.handler.LexicalHandler):
    """Notes every tag; the parser itself says where it is, in lines and columns."""

    def __init__(self, source: str, begin: int) -> None:
        super().__init__()
        self.tags: list[Open | Close | Gap] = []
        self.sections: set[int] = set()  # where the text of a CDATA section starts
        self._source = source
        self._begin = begin
        self._lines = [begin, *(m.end() for m in _NEWLINE.finditer(source, begin))]
        self._prefixes: list[dict[str, str]] = [{"mstts": "mstts:", "amazon": "amazon:"}]
        self._opened = 0
        self._parser = create_parser(forbid_dtd=True)
        self._parser.setContentHandler(self)
        self._parser.setProperty(xml.sax.handler.property_lexical_handler, self)

    def read(self) -> None:
        """The whole document, noted in `tags`."""
        self._parser.feed(self._source[self._begin :])
        self._parser.close()

    def at(self) -> int:
        """The offset of what the parser is at."""
        line = self._parser.getLineNumber() or 1
        return min(self._lines[line - 1] + (self._parser.getColumnNumber() or 0), len(self._source))

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        start = self.at()
        self._opened += 1
        if len(self._prefixes) > DEEPEST:
            raise bad_markup(self._source, start, f"more than {DEEPEST} elements in one another")
        if self._opened > MOST_ELEMENTS:
            raise bad_markup(self._source, start, f"more than {MOST_ELEMENTS} elements")
        tag = _TAG.match(self._source, start)
        assert tag
        declared = {n[6:]: v for n, v in attrs.items() if n == "xmlns" or n[:6] == "xmlns:"}
        prefixes = self._prefixes[-1]
        if declared:
            known = {p: _NAMESPACES.get(uri, f"{p or uri}:") for p, uri in declared.items()}
            prefixes = prefixes | known
        self._prefixes.append(prefixes)
        attributes = {
            _canonical(n, prefixes, ""): v
            for n, v in attrs.items()
            if n != "xmlns" and n[:6] != "xmlns:"
        }
        name = _canonical(name, prefixes, prefixes.get("", ""))
        self.tags.append(Open(name, attributes, start, tag.end()))

    def endElement(self, name: str) -> None:
        start = self.at()
        self._prefixes.pop()
        empty = not self._source.startswith("</", start)
        end = start if empty else self._source.index(">", start) + 1
        self.tags.append(Close(start, end))

    def comment(self, content: str) -> None:
        self._gap("-->")

    def processingInstruction(self, target: str, data: str) -> None:
        self._gap("?>")

    def startCDATA(self) -> None:
        self._gap("[CDATA[")
        self.sections.add(self.tags[-1].end)

    def endCDATA(self) -> None:
        self._gap("]]>")

    def _gap(self, ends: str) -> None:
        start = self.at()
        self.tags.append(Gap(start, self._source.index(ends, start) + len(ends)))


def _canonical(name: str, prefixes: dict[str, str], default: str) -> str:
    prefix, colon, local = name.rpartition(":")
    return prefixes.get(prefix, f"{prefix}:") + local if colon else default + local


def _with_text(source: str, tags: list[Open | Close | Gap], sections: set[int]) -> Iterator[Node]:
    """Tags with the text between them. What is outside the root is white space."""
    for tag, following in pairwise(tags):
        yield tag
        if tag.end < following.start:
            written = source[tag.end : following.start]
            if "&" in written and tag.end not in sections:
                written = _without_entities(written)
            yield Run(tag.end, _FOLDED.sub(_fold, written))
    yield from tags[-1:]


def _fold(newline: re.Match[str]) -> str:
    """Spaces for a line's end; empty lines stay where the run goes on on both sides."""
    inside = newline.start() > 0 and newline.end() < len(newline.string)
    return newline[0] if inside and newline[0].count("\n") > 1 else " " * len(newline[0])


def _without_entities(written: str) -> str:
    """Entities as the characters they mean, at the same length.

    Within a word the character stands last and what is left is filled with joiners; else it
    stands beside what it belongs to.
    """
    units = [(m[0], _meant(m)) for m in _UNIT.finditer(written)]
    out: list[str] = []
    for i, (room, char) in enumerate(units):
        rest = len(room) - 1
        before = units[i - 1][1].isalnum() if i else False
        after = units[i + 1][1].isalnum() if i + 1 < len(units) else False
        if rest == 0 or char.isspace():
            out.append(char if rest == 0 else " " * len(room))
        elif after and (before or char.isalnum() or char in _ENTITIES.values()):
            out.append((JOINER if before else " ") * rest + char)
        else:
            out.append(char + " " * rest)
    return "".join(out)


def _meant(unit: re.Match[str]) -> str:
    by_hex, by_number, name, char = unit.groups()
    if char:
        return char
    return _ENTITIES[name] if name else chr(int(by_hex, 16) if by_hex else int(by_number))
