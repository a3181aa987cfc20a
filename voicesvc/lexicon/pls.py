"""W3C Pronunciation Lexicon Specification 1.0 (2008) -> entries.

defusedxml's parser refuses a document type, so no entity and nothing outside is ever read.
"""

import xml.sax.handler
from xml.sax import SAXParseException
from xml.sax.xmlreader import AttributesImpl

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import create_parser
from pydantic import ValidationError

from voicesvc.errors import BadLexicon
from voicesvc.lexicon.entries import (
    LONGEST_GRAPHEME,
    LONGEST_SAID,
    MOST_ENTRIES,
    Entry,
    Place,
    checked,
)
from voicesvc.markup.ipa import symbols
from voicesvc.markup.values import Invalid

_INSIDE = {
    "": ("lexicon",),
    "lexicon": ("meta", "metadata", "lexeme"),
    "lexeme": ("grapheme", "phoneme", "alias", "example"),
}
_ALPHABETS = ["ipa", "x-sampa"]
_READ = frozenset(("grapheme", "phoneme", "alias"))


def read_pls(xml_bytes: bytes) -> tuple[Entry, ...]:
    """Entries of a PLS document, one for each grapheme of each lexeme.

    Of several pronunciations the first, or the first with `prefer="true"`, is taken. Phonemes are
    in the alphabet "ipa" or "x-sampa".

    Raises:
        BadLexicon: it is not PLS, or an entry is not valid; `where` gives line and column.
    """
    reader = _Reader()
    try:
        reader.read(xml_bytes)
    except DefusedXmlException:
        raise reader.error("a document type or an entity is not read", "<lexicon>") from None
    except SAXParseException as error:
        raise reader.error(f"broken XML: {error.getMessage()}", "XML 1.0") from error
    except (LookupError, UnicodeError) as error:
        raise reader.error("the encoding is not known", "UTF-8 or UTF-16") from error
    return checked(reader.entries, reader.places)


class _Reader(xml.sax.handler.ContentHandler):
    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.places: list[Place] = []
        self._open: list[str] = []  # names of the elements around
        self._alphabets = ["ipa"]
        self._text = ""
        self._place = ""  # where the text that is read began
        self._graphemes: list[tuple[str, str]] = []  # and their places
        self._said: list[tuple[bool, str, str, str]] = []  # preferred, field, its value, place
        self._prefer = False
        self._parser = create_parser(forbid_dtd=True)
        self._parser.setContentHandler(self)

    def read(self, xml_bytes: bytes) -> None:
        self._parser.feed(xml_bytes)
        self._parser.close()

    def _at(self) -> str:
        line, column = self._parser.getLineNumber() or 1, self._parser.getColumnNumber() or 0
        return f"line {line}, column {column + 1}"

    def error(self, detail: str, valid: str | list[str]) -> BadLexicon:
        return BadLexicon(detail, where=self._at(), valid=valid)

    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        name = name.rpartition(":")[2]
        around = self._open[-1] if self._open else ""
        if around != "metadata":  # it may hold anything
            allowed = _INSIDE.get(around, ())
            if name not in allowed:
                raise self.error(
                    f"<{name[:40]}> cannot stand in <{around or 'the document'}>", list(allowed)
                )
        if name == "metadata" or around == "metadata":
            name = "metadata"
        self._open.append(name)
        if name in ("lexicon", "phoneme"):
            alphabet = attrs.get("alphabet", self._alphabets[-1])
            if alphabet not in _ALPHABETS:
                raise self.error(f"the alphabet {alphabet[:40]!r} is not known", _ALPHABETS)
            self._alphabets.append(alphabet)
        if name == "lexeme":
            self._graphemes, self._said = [], []
        self._text, self._place = "", self._at()
        self._prefer = attrs.get("prefer") == "true"

    def characters(self, content: str) -> None:
        self._text += content if self._open[-1] in _READ else ""
        if len(self._text) > 4 * LONGEST_SAID:
            raise self.error("the text is too long", f"up to {LONGEST_SAID} characters")

    def endElement(self, name: str) -> None:
        name = self._open.pop()
        text = " ".join(self._text.split())
        if name == "grapheme":
            self._graphemes.append((text, self._place))
        elif name == "alias":
            self._said.append((self._prefer, "alias", text, self._place))
        elif name == "phoneme":
            if self._alphabets.pop() == "x-sampa":
                text = self._from_x_sampa(text)
            self._said.append((self._prefer, "ipa", text, self._place))
        elif name == "lexeme":
            self._end_lexeme()
        self._text = ""

    def _from_x_sampa(self, text: str) -> str:
        try:
            return "".join(symbols(text, "x-sampa"))
        except Invalid as error:
            raise self.error(f"X-SAMPA: {error.detail}", error.valid) from error

    def _end_lexeme(self) -> None:
        if not self._graphemes or not self._said:
            raise self.error(
                "a lexeme needs a grapheme and something to be said",
                ["grapheme", "phoneme", "alias"],
            )
        _, field, value, said_at = next((s for s in self._said if s[0]), self._said[0])
        for grapheme, place in self._graphemes:
            try:
                self.entries.append(Entry.model_validate({"grapheme": grapheme, field: value}))
            except ValidationError as error:
                raise BadLexicon(
                    error.errors(include_url=False)[0]["msg"],
                    where=place,
                    valid=f"1 to {LONGEST_GRAPHEME} characters, said in 1 to {LONGEST_SAID}",
                ) from error
            self.places.append(Place(place, said_at))
        if len(self.entries) > MOST_ENTRIES:
            raise self.error("there are too many entries", f"up to {MOST_ENTRIES}")
