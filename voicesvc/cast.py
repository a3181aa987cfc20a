"""The actors of this process: their packs, their voices, and what each can do.

Knows nothing of lines, takes or HTTP; imports no torch until a voice is loaded.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from voicesvc import calibration, delivery, packs, phonemes
from voicesvc.calibration import Calibration
from voicesvc.config import Settings
from voicesvc.engines import Engine
from voicesvc.errors import BadSetting, EngineFailed, PackRefused, UnknownActor, VoiceError
from voicesvc.voices import Voices

LoadEngine = Callable[[packs.Pack, Settings, Callable[[str], None]], Engine]
# What torch and the drivers below it raise: out of memory is a RuntimeError there.
ENGINE_ERRORS = (RuntimeError, ValueError, MemoryError, OSError)


class Cast:
    """Any public method may be called from any thread.

    Raises:
        BadSetting: an actor that is to be loaded at start has no pack.
    """

    def __init__(self, settings: Settings, load: LoadEngine, say: Callable[[str], None]) -> None:
        self.settings = settings
        self._load, self._say = load, say
        self.packs = packs.find(settings.models_dir)
        self.warmed = False  # whether `warm` is done
        absent = [a for a in settings.actors if a not in self.packs]
        if absent:
            detail = f"{settings.models_dir} has no actor {absent[0]!r}"
            raise BadSetting(detail, where="VOICESVC_ACTORS", valid=sorted(self.packs))
        good = {a: p for a, p in self.packs.items() if isinstance(p, packs.Pack)}
        budget = settings.device_budget_mb * 2**20 or None
        self.voices: Voices[Engine] = Voices(
            self._load_voice, {a: p.resident_bytes for a, p in good.items()}, budget
        )
        self._calibrations: dict[str, Calibration] = {}
        self._phonemizers: dict[tuple[str, str, bool], phonemes.Phonemizer] = {}
        self._lock = threading.Lock()

    def warm(self) -> None:
        """Load the voices that are to be ready at start. A pack that fails is in `actors()`."""
        for actor in self.settings.actors or tuple(self.packs):
            try:
                self.voices.lease(actor).release()
            except VoiceError as e:
                self._say(f"{actor}: {e}")
        self.warmed = True

    def actors(self) -> list[dict[str, Any]]:
        """Every actor there is a folder for, and where its voice stands."""
        states = self.voices.states()
        found: list[dict[str, Any]] = []
        for actor, pack in self.packs.items():
            if isinstance(pack, PackRefused):
                found.append({"actor_id": actor, "state": "failed", "reason": str(pack)})
                continue
            found.append(
                {
                    "actor_id": actor,
                    "state": states[actor].name,
                    "reason": states[actor].reason,
                    "name": pack.name,
                    "engine": pack.engine,
                    "language": pack.language,
                    "sample_rate_hz": pack.sample_rate_hz,
                    "demonstration": pack.demonstration,
                    "licence": pack.licence.model_dump(),
                    "model_sha256": pack.model_sha256,
                }
            )
        return found

    def actor(self, actor_id: str) -> dict[str, Any]:
        """One of them, with what its voice can do.

        Raises:
            UnknownActor: there is none of this name.
            PackRefused: its pack cannot be used.
        """
        pack = self.pack(actor_id)
        (listed,) = (a for a in self.actors() if a["actor_id"] == actor_id)
        voice = self._calibrations.get(actor_id)
        return listed | {
            "emotions": delivery.emotions_of(pack.emotion, pack.measured.emotion),
            "voice": None if voice is None else voice.model_dump(exclude={"version"}),
        }

    def is_ready(self, actor: str) -> bool:
        """Whether the voice would be leased without waiting for a load."""
        state = self.voices.states().get(actor)
        return state is None or state.name in ("ready", "failed")

    def pack(self, actor: str) -> packs.Pack:
        """An actor's pack.

        Raises:
            UnknownActor: there is none of this name.
            PackRefused: it cannot be used.
        """
        pack = self.packs.get(actor)
        if pack is None:
            raise UnknownActor(f"no actor {actor!r}", where="actor", valid=sorted(self.packs))
        if isinstance(pack, PackRefused):
            raise PackRefused(pack.detail, where=pack.where, valid=pack.valid)
        return pack

    def _load_voice(self, actor: str) -> Engine:
        pack = self.pack(actor)
        withheld = pack.licence.withheld(self.settings.acknowledged_licences)
        if withheld is not None:
            raise PackRefused(
                f"{actor}: {withheld}",
                where="licence.base",
                valid=f"VOICESVC_ACKNOWLEDGED_LICENCES={pack.licence.base}, or what was granted in"
                " licence.base_granted of its pack.toml",
            )
        self._say(f"{actor}: loading")
        begin = time.perf_counter()
        try:
            engine = self._load(pack, self.settings, self._say)
            self.phonemizer(pack).words("Ready.", 0)
            engine.warm()
            self._calibrations[actor] = self._calibrated(engine, pack)
        except ENGINE_ERRORS as e:
            raise EngineFailed(f"{actor} cannot be loaded: {e}", where="actor") from e
        self._say(f"{actor}: ready after {time.perf_counter() - begin:.1f} s")
        return engine

    def _calibrated(self, engine: Engine, pack: packs.Pack) -> Calibration:
        """What the voice is by itself, measured when it is first loaded."""
        phonemizer = self.phonemizer(pack)
        folder = self.settings.cache_path / "calibrations"
        return calibration.ensure(engine, pack, lambda text: phonemizer.words(text, 0), folder)

    @contextmanager
    def leased(self, actor: str) -> Iterator[Engine]:
        """The actor's engine, loaded, for as long as the block lasts.

        Raises:
            EngineFailed: it failed in the block.
            NotReady: there is no room for it now.
        """
        lease = self.voices.lease(actor)
        try:
            yield lease.engine
        except ENGINE_ERRORS as e:
            raise EngineFailed(f"the engine of {actor} failed: {e}") from e
        finally:
            lease.release()

    def calibration(self, actor: str) -> Calibration:
        """What a voice that was loaded is by itself."""
        return self._calibrations[actor]

    def phonemizer(self, pack: packs.Pack) -> phonemes.Phonemizer:
        """What says the words of the pack's language."""
        key = (pack.text.phonemizer, pack.language, pack.text.lowercase)
        with self._lock:
            if key not in self._phonemizers:
                self._phonemizers[key] = phonemes.phonemizer(*key)
            return self._phonemizers[key]

    def close(self) -> None:
        """Drop the voices and end the phoneme programs."""
        self.voices.close()
        with self._lock:
            for phonemizer in self._phonemizers.values():
                phonemizer.close()
            self._phonemizers.clear()
