"""A notice that is said before what leaves, where a grant wants one. Spoken like any line.

A take's own samples stay as they are: the notice and a gap come before them in the file.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from voicesvc.archive import Origin
from voicesvc.audio import Pcm
from voicesvc.line import Line
from voicesvc.packs import Pack
from voicesvc.rights import Permit, stated
from voicesvc.rights.grant import Spoken
from voicesvc.store import StoredTake
from voicesvc.studio import Studio

GAP_S = 0.5
_KEPT = 64  # notices
_SEED = 0  # the same notice sounds the same each time


@dataclass(frozen=True, slots=True)
class Lead:
    """What comes before a take's samples, at `rate_hz`: the notice, then the gap."""

    pcm: Pcm  # [n]
    rate_hz: int
    actor: str

    @property
    def header(self) -> str:
        """As HTTP tells it: how long both are, the gap in it, and whose voice it is."""
        return f"{len(self.pcm) / self.rate_hz:.6f} s; gap={GAP_S} s; voice={self.actor}"


class Disclosures:
    """Any method may be called from any thread."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._leads: OrderedDict[tuple[str, str, str, int], Lead] = OrderedDict()
        self._lock = threading.Lock()

    def before(self, take: StoredTake, permit: Permit, rate_hz: int) -> Lead | None:
        """What is said before a take that leaves under a permit; None where nothing is.

        The first time it is spoken, by which a voice may have to be loaded; it is marked as all
        speech is. It is not a take, and no limit of the grant counts it.

        Raises:
            VoiceError: it cannot be spoken, so the take cannot leave.
        """
        spoken = self._wanted(take, permit)
        if spoken is None:
            return None
        neutral = self._studio.settings.neutral_actor
        actor = take.actor if spoken.voice == "own" else neutral
        pack: Pack = self._studio.cast.pack(actor)
        key = (actor, pack.model_sha256, spoken.text, rate_hz)
        with self._lock:
            found = self._leads.get(key)
        if found is None:
            found = self._spoken(take, spoken.text, actor, rate_hz)
        with self._lock:
            self._leads[key] = found
            self._leads.move_to_end(key)
            while len(self._leads) > _KEPT:
                self._leads.popitem(last=False)
        return found

    def _wanted(self, take: StoredTake, permit: Permit) -> Spoken | None:
        """The grant's notice, if it is for the medium; one that nobody stated may be any."""
        spoken = self._studio.door.register.grants[permit.grant][-1].grant.spoken_disclosure
        if spoken is None or not spoken.media:
            return spoken
        medium = stated.kept(take.facts.get("use", {})).medium
        return spoken if medium is None or medium in spoken.media else None

    def _spoken(self, take: StoredTake, text: str, actor: str, rate_hz: int) -> Lead:
        line = Line(
            actor=actor,
            text=text,
            markup="plain",
            format="pcm_f32le",
            sample_rate_hz=rate_hz,
            seed=_SEED,
        )
        said = stated.kept(take.facts.get("use", {}))
        origin = Origin(production=take.production, line=take.line, stated=said, kept=False)
        rendering = self._studio.open(line, origin=origin)
        notice = np.frombuffer(b"".join(rendering.chunks()), "<f4").astype(np.float32)
        gap = np.zeros(round(GAP_S * rate_hz), np.float32)
        return Lead(np.concatenate([notice, gap]), rate_hz, actor)
