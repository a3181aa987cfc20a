"""An SSML document -> a directed text: the order of its tags and texts, and what is refused."""

from dataclasses import dataclass, field

from voicesvc.directions import Bookmark, Directed, Ignored, Said, Style
from voicesvc.errors import BadMarkup
from voicesvc.markup import elements, values
from voicesvc.markup.draft import JOINER, Draft, Stretch
from voicesvc.markup.sayas import reading
from voicesvc.markup.silence import silences
from voicesvc.markup.values import Invalid, Level
from voicesvc.markup.xml import Close, Gap, Node, Open, Run, nodes, value_at


def parse_ssml(source: str, lenient: bool) -> Directed:
    """An SSML document's text and what it asks for. Raises errors.BadMarkup."""
    walk = _Walk(source, lenient)
    for node in nodes(source):
        walk.step(node)
    return walk.finish()


@dataclass(slots=True)
class _Scope:
    """An element that is open."""

    tag: Open
    level: Level = values.NEUTRAL
    blocks: frozenset[str] = frozenset()  # the paragraphs and sentences it stands in
    stretch: Stretch | None = None
    known: bool = False
    unsaid: bool = False
    runs: list[Run] = field(default_factory=list)  # text that is read otherwise


class _Walk:
    """Node by node through a document; `step` takes them in order."""

    def __init__(self, source: str, lenient: bool) -> None:
        self._draft = Draft(source)
        self._source = source
        self._lenient = lenient
        self._open: list[_Scope] = []
        self._silences: dict[str, float] = {}

    def step(self, node: Node) -> None:
        """Take one node. Raises errors.BadMarkup."""
        match node:
            case Open():
                self._opened(node)
            case Close():
                self._closed(self._open.pop(), node)
            case Run():
                self._text(self._open[-1], node)
            case Gap():
                self._draft.inline(node.start, node.end)

    def finish(self) -> Directed:
        """The text and what was asked for, once every node was taken."""
        if self._silences:
            events = self._draft.events
            events += silences(self._draft.written(), self._silences, events)
        return self._draft.finish()

    def _opened(self, tag: Open) -> None:
        around = self._open[-1] if self._open else None
        scope = _Scope(tag, around.level, around.blocks) if around else _Scope(tag)
        self._open.append(scope)
        scope.unsaid = tag.name in elements.UNSAID or (around is not None and around.unsaid)
        if around and around.unsaid:
            return
        self._placed(tag, around)
        scope.known = tag.name in elements.ELEMENTS
        if not scope.known:
            self._unknown(tag)
            return
        self._attributes(tag)
        try:
            elements.check(tag)
            style = elements.style(tag, scope.level)
            self._act(scope)
        except Invalid as error:
            self._invalid(tag, error)
            style = Style()
        scope.level = scope.level.within(style)
        scope.stretch = self._draft.open(tag.end, style)

    def _act(self, scope: _Scope) -> None:
        """What an element does at its place. Raises Invalid."""
        tag = scope.tag
        if tag.name in ("p", "s"):
            scope.blocks |= {tag.name}
            self._ended(tag.name, tag.start)
        elif tag.name in elements.INLINE:
            self._draft.inline(tag.start, tag.end)
        if tag.name == "break":
            self._draft.pause(elements.pause(tag))
        elif tag.name in ("mark", "bookmark"):
            name = tag.attributes["name" if tag.name == "mark" else "mark"]
            self._draft.events.append(Bookmark(tag.start, name))
        elif tag.name == "mstts:silence":
            kind, length_s = elements.silence(tag)
            self._silences[kind] = length_s
        for name in elements.overridden(tag):
            at = value_at(self._source, tag, name)
            why = f"{name} is overruled by another attribute"
            self._draft.ignored.append(Ignored(at, tag.end, why))

    def _closed(self, scope: _Scope, tag: Close) -> None:
        if not scope.known or scope.unsaid:
            return
        self._draft.close(scope.stretch, tag.start)
        name = scope.tag.name
        if name in elements.READ:
            self._read(scope, tag.start)
        elif name in ("p", "s"):
            self._ended(name, tag.start)
        elif name in elements.INLINE and tag.start < tag.end:
            self._draft.inline(tag.start, tag.end)

    def _text(self, scope: _Scope, run: Run) -> None:
        name = scope.tag.name
        if scope.unsaid:
            return
        if name in elements.READ:
            scope.runs.append(run)
        elif name in elements.EMPTY and run.text.strip():
            raise self._draft.bad(run.start, f"<{name}> holds nothing", f"<{name}/>")
        else:
            self._draft.write(run.start, run.text)

    def _ended(self, name: str, at: int) -> None:
        if name == "s":
            self._draft.end_sentence()
        else:
            self._draft.end_paragraph(at)

    def _read(self, scope: _Scope, end: int) -> None:
        """A reading of the element's text, which is a word of its own."""
        tag = scope.tag
        chars = [" "] * (end - tag.end)
        for run in scope.runs:
            at = run.start - tag.end
            chars[at : at + len(run.text)] = run.text
        held = "".join(chars)
        written = held.strip().replace(JOINER, "")
        try:
            said = _reading(tag, written)
        except Invalid as error:
            self._invalid(tag, error)
            self._draft.write(tag.end, held)
            return
        start = tag.end + len(held) - len(held.lstrip())
        if not written:
            start, held = tag.start, " "  # its own tag is the place of a word that is not written
        stop = start + len(held.strip() or held)
        self._draft.read(Said(start, stop, *said), held.strip() or held, tag.name == "sub")

    def _placed(self, tag: Open, around: _Scope | None) -> None:
        bad = self._draft.bad
        if around is None and tag.name != "speak":
            space = "http://www.w3.org/2001/10/synthesis"
            if tag.name.endswith(":speak"):
                raise bad(tag.start, "<speak> is of an unknown namespace", f'xmlns="{space}"')
            raise bad(tag.start, f"the root is <{tag.name}>", "<speak>")
        if around is None:
            return
        inside = around.tag.name
        if tag.name == "speak":
            raise bad(tag.start, "<speak> within <speak>", "one <speak>, the root")
        if around.known and inside in elements.READ | elements.EMPTY:
            valid = "text" if inside in elements.READ else f"<{inside}/>"
            raise bad(tag.start, f"no element stands within <{inside}>", valid)
        if wrong := around.blocks & elements.NOT_WITHIN.get(tag.name, frozenset()):
            raise bad(tag.start, f"<{tag.name}> within <{min(wrong)}>", "<p> holds <s>, not itself")

    def _unknown(self, tag: Open) -> None:
        refused = elements.REFUSED.get(tag.name)
        if refused:
            self._skipped(tag.start, tag.end, f"<{tag.name}> is refused: {refused[0]}", refused[1])
        else:
            known = sorted(elements.ELEMENTS)
            self._skipped(tag.start, tag.end, f"<{tag.name}> is not known here", known)

    def _attributes(self, tag: Open) -> None:
        taken = [*elements.ELEMENTS[tag.name], "xml:id"]
        for name in tag.attributes:
            if name not in taken:
                refused = elements.REFUSED.get(f"{tag.name} {name}")
                why = f"<{tag.name} {name}> is " + (
                    f"refused: {refused[0]}" if refused else "unknown"
                )
                at = value_at(self._source, tag, name)
                self._skipped(at, tag.end, why, refused[1] if refused else taken)
        for name in elements.REQUIRED.get(tag.name, ()):
            if not tag.attributes.get(name, "").strip():
                raise self._draft.bad(tag.start, f"<{tag.name}> needs {name!r}", [name])

    def _invalid(self, tag: Open, error: Invalid) -> None:
        """A value that cannot be read ends it all, unless it names what may be skipped."""
        if not (self._lenient and error.skippable):
            raise self._bad_value(tag, error) from error
        self._draft.ignored.append(Ignored(tag.start, tag.end, error.detail))

    def _bad_value(self, tag: Open, error: Invalid) -> BadMarkup:
        at = value_at(self._source, tag, error.attribute, error.at) if error.attribute else tag.end
        what = f"<{tag.name} {error.attribute}>" if error.attribute else f"<{tag.name}>"
        return self._draft.bad(at, f"{what}: {error.detail}", error.valid)

    def _skipped(self, start: int, end: int, why: str, valid: list[str] | str) -> None:
        if not self._lenient:
            raise self._draft.bad(start, why, valid)
        self._draft.ignored.append(Ignored(start, end, why))


def _reading(tag: Open, written: str) -> tuple[str | None, tuple[str, ...] | None]:
    """(words to say, symbols to say) for the text of an element. Raises Invalid."""
    given = tag.attributes
    if tag.name == "sub":
        return " ".join(given["alias"].split()), None
    if tag.name == "phoneme":
        return None, elements.phones(tag)
    return reading(written, given["interpret-as"], given.get("format", "")), None
