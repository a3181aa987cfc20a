"""Lines as the service itself renders them, in this process, and where their words are heard.

It knows nothing of what is measured. Seeds are fixed, so the same request gives the same samples.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from common import Pcm

from voicesvc.config import Settings
from voicesvc.line import Line
from voicesvc.lineplan import LinePlan
from voicesvc.studio import Studio
from voicesvc.takes import Take

ACTOR = "joe"


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What came of a request: samples [n], their rate, and the words with `start_s` and `end_s`."""

    pcm: Pcm
    rate_hz: int
    words: Sequence[Mapping[str, Any]]
    take: Take

    @property
    def pauses(self) -> list[tuple[float, float]]:
        """Where the line is written with a sign between two words: from the one to the other."""
        text = self.take.line.text or ""
        return [
            (float(a["end_s"]), float(b["start_s"]))
            for a, b in pairwise(self.words)
            if text[a["char_end"] : b["char_start"]].strip()
        ]

    @property
    def begin_s(self) -> float:
        """Where the first word begins, as the service says."""
        return float(self.words[0]["start_s"])

    @property
    def end_s(self) -> float:
        """Where the last word ends, as the service says."""
        return float(self.words[-1]["end_s"])


class Booth:
    """Renders a fixed set of lines; the neutral renders and plans are made once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self._studio = Studio(Settings.read())
        self._studio.cast.warm()
        self._neutral: dict[int, Spoken] = {}
        self._plans: dict[int, LinePlan] = {}

    def neutral(self, i: int) -> Spoken:
        """Line `i` with nothing asked for."""
        if i not in self._neutral:
            self._neutral[i] = self.say(i)
        return self._neutral[i]

    def plan(self, i: int) -> LinePlan:
        """The plan of line `i` with nothing asked for."""
        if i not in self._plans:
            line = Line(actor=ACTOR, text=self.texts[i], seed=i + 1)
            self._plans[i] = self._studio.plan(line)[0]
        return self._plans[i]

    def say(self, i: int, **asked: Any) -> Spoken:
        """Line `i` with more fields of a request, `text` among them where it is another."""
        request = {"actor": ACTOR, "text": self.texts[i], "seed": i + 1, **asked}
        return self._spoken(Line.model_validate(request))

    def render(self, plan: LinePlan) -> Spoken:
        """A plan's document."""
        return self._spoken(Line(plan=plan, format="pcm_f32le"))

    def open(self, request: Mapping[str, Any]) -> Generator[bytes]:
        """The bytes of a request as they come; hangs up when closed."""
        rendering = self._studio.open(Line.model_validate({"actor": ACTOR, **request}))
        yield from rendering.chunks()

    def _spoken(self, line: Line) -> Spoken:
        rendering = self._studio.open(line.model_copy(update={"format": "pcm_f32le"}))
        pcm = np.frombuffer(b"".join(rendering.chunks()), "<f4")
        take = rendering.take
        words = json.loads(take.timings_json())["words"]
        return Spoken(pcm, take.output.sample_rate_hz, words, take)

    def close(self) -> None:
        """Drop the voice."""
        self._studio.close()
