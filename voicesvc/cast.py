"""The actors of this process: their packs, their voices, and what each can do.

A pack whose manifest is another file than when it was read is read anew by whoever asks for its
actor next; streams that run keep the voice that they have. Knows nothing of lines, takes or HTTP;
imports no torch until a voice is loaded.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from voicesvc import calibration, delivery, packs, phonemes, reading, signatures
from voicesvc.batching import Batchings
from voicesvc.calibration import Calibration
from voicesvc.config import Settings
from voicesvc.devices import Several
from voicesvc.engines import Engine, Pace
from voicesvc.errors import (
    BadSetting,
    EngineFailed,
    NotReady,
    PackRefused,
    UnknownActor,
    VoiceError,
)
from voicesvc.voices import Lease, Needs, Prepared, Voices, VoiceState

LoadEngine = Callable[[packs.Pack, Settings, Callable[[str], None]], Engine]
PrepareEngine = Callable[[packs.Pack, Settings, Callable[[str], None]], Prepared[Engine]]
# What torch and the drivers below it raise: out of memory is a RuntimeError there.
ENGINE_ERRORS = (RuntimeError, ValueError, MemoryError, OSError)
_DEVICES_S = 120.0  # what several devices may take to come up
_START_S = 3600.0  # what one voice may take to be loaded at the start
# When manifest and signatures were written, their sizes and their numbers.
_Signature = tuple[tuple[int, int, int] | None, ...]


def prepare_engine(
    pack: packs.Pack, settings: Settings, say: Callable[[str], None]
) -> Prepared[Engine]:
    """The engine that the pack is for. Raises as `engines.load.prepare`."""
    from voicesvc.engines.load import prepare

    return prepare(pack, settings, say)


@dataclass
class _Parts:
    """A voice in host memory."""

    place: Callable[[], Engine]
    close: Callable[[], None] = field(default=lambda: None)
    host_bytes: int = 0


def at_once(load: LoadEngine) -> PrepareEngine:
    """Engines of which nothing can be had in host memory first."""
    return partial(_at_once, load)


def _at_once(
    load: LoadEngine, pack: packs.Pack, settings: Settings, say: Callable[[str], None]
) -> Prepared[Engine]:
    return _Parts(lambda: load(pack, settings, say))


class Cast:
    """Any public method may be called from any thread.

    Raises:
        BadSetting: an actor that is to be loaded at start has no pack.
    """

    def __init__(
        self, settings: Settings, prepare: PrepareEngine, say: Callable[[str], None]
    ) -> None:
        self.settings = settings
        keys = settings.pack_keys
        self._trust = None if keys is None else signatures.trusted(keys)
        self._say = say
        self._lock = threading.Lock()
        self._calibrations: dict[str, Calibration] = {}
        self._phonemizers: dict[tuple[str, str, bool], phonemes.Phonemizer] = {}
        self._warm: dict[str, Pace] = {}  # kinds of engines that have been run through
        self._batchings = Batchings(settings.batch)
        self.warmed = False  # whether `warm` is done
        self.warms = True  # whether a voice is run through every shape first; not for one line
        self.stands: Callable[[str], bool] = lambda _: True  # whether a grant is for an actor
        self.loaded: Callable[[packs.Pack, str], None] = lambda *_: None  # told of each load
        self.paced: Callable[[str, Pace], None] = lambda *_: None  # and of the voice's pace
        self.batched: Callable[[str, dict[int, float]], None] = lambda *_: None  # of several cells'
        self.voices: Voices[Engine] | Several
        if len(settings.devices) > 1:
            self.voices = Several(settings, prepare, self._prepare, say)
        else:
            self.voices = Voices(
                partial(self._prepare, prepare),
                (settings.device_budget_mb or 0) * 2**20 or None,
                (settings.host_budget_mb or 0) * 2**20,
            )
        self.packs: dict[str, packs.Pack | PackRefused] = {}  # replaced, never changed
        self._signatures: dict[str, _Signature] = {}
        folders = settings.models_dir.iterdir() if settings.models_dir.is_dir() else ()
        for folder in sorted(f for f in folders if packs.is_pack(f)):
            self._look(folder.name)
        absent = [a for a in settings.actors if a not in self.packs]
        if absent:
            detail = f"{settings.models_dir} has no actor {absent[0]!r}"
            raise BadSetting(detail, where="VOICESVC_ACTORS", valid=sorted(self.packs))
        if isinstance(self.voices, Several):
            self.voices.start()

    def warm(self) -> None:
        """Load the voices that are to be ready at start, as far as there is room.

        A pack that fails is in `actors()`.
        """
        if isinstance(self.voices, Several) and not self.voices.wait(_DEVICES_S):
            self._say(f"of {self.settings.device} only {', '.join(sorted(self.voices.up))} came up")
        for actor in self.settings.actors or tuple(self.packs):
            if not self.stands(actor):
                self._say(f"{actor}: no grant for this voice stands, so it is not loaded")
                continue
            try:
                self.pack(actor)
                if self.voices.fits(actor):
                    self.voices.lease(actor, _START_S).release()
                else:
                    self._say(f"{actor}: no room beside the others; loaded when it is asked for")
            except VoiceError as e:
                self._say(f"{actor}: {e}")
        self.warmed = True

    def _look(self, actor: str) -> None:
        """Read the actor's manifest if it is another file than when it was read."""
        folder = self.settings.models_dir / actor
        signature = tuple(_written(folder / n) for n in (packs.MANIFEST, signatures.SIGNATURES))
        with self._lock:
            if actor in self._signatures and self._signatures[actor] == signature:
                return
            if not packs.is_pack(folder):
                self.packs = {a: p for a, p in self.packs.items() if a != actor}
                self._signatures.pop(actor, None)
                self.voices.retire(actor)
                return
            found = self._read(folder)
            self.packs = dict(sorted({**self.packs, actor: found}.items()))
            self._signatures[actor] = signature
            if isinstance(found, PackRefused):
                self.voices.retire(actor)
            else:
                self.voices.declare(actor, _needs(found), found.manifest_sha256)

    def _read(self, folder: Path) -> packs.Pack | PackRefused:
        """The pack, or why it is refused: its manifest alone is looked at, and who signed it."""
        found = packs.of_folder(folder)
        if self._trust is not None and isinstance(found, packs.Pack):
            try:
                signatures.opened(found, self._trust)
            except PackRefused as e:
                return e
        return found

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
                    **told(states.get(actor, VoiceState("idle"))),
                    "name": pack.name,
                    "engine": pack.engine,
                    "language": pack.language,
                    **reading.languages(pack),
                    "sample_rate_hz": pack.sample_rate_hz,
                    "demonstration": pack.demonstration,
                    "licence": pack.licence.model_dump(),
                    "model_sha256": pack.model_sha256,
                    "batch": self._batchings.told(actor),
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
            "emotions": delivery.emotions_of(pack.emotion, pack.measured.emotion, pack.styles),
            "voice": None if voice is None else voice.model_dump(exclude={"version"}),
        }

    def is_ready(self, actor: str) -> bool:
        """Whether the voice would be leased without waiting for a load."""
        if actor in self.packs:
            self._look(actor)
        state = self.voices.state(actor)
        return state is None or state.name in ("ready", "failed")

    def pack(self, actor: str) -> packs.Pack:
        """An actor's pack as it is on disk now.

        Raises:
            UnknownActor: there is none of this name.
            PackRefused: it cannot be used.
        """
        if actor in self.packs or packs.is_slug(actor):
            self._look(actor)
        pack = self.packs.get(actor)
        if pack is None:
            raise UnknownActor(f"no actor {actor!r}", where="actor", valid=sorted(self.packs))
        if isinstance(pack, PackRefused):
            raise PackRefused(pack.detail, where=pack.where, valid=pack.valid)
        return pack

    def load(self, actor: str, wait_s: float) -> dict[str, Any]:
        """Begin to load the voice, a failed one anew; where it stands after `wait_s`.

        Raises: as `pack` and `lease`.
        """
        self.pack(actor)
        return {"actor_id": actor, **told(self.voices.load(actor, wait_s))}

    def unload(self, actor: str) -> dict[str, Any]:
        """Give back the voice's memory as soon as no stream holds it.

        Raises: as `pack`.
        """
        self.pack(actor)
        return {"actor_id": actor, **told(self.voices.unload(actor))}

    def forget(self, actor: str) -> list[str]:
        """Remove what was imported of an actor's weights; gives the names of the folders.

        The pack itself stays: who installed it removes it.

        Raises:
            OSError: something is there and cannot be removed.
        """
        return packs.forget(self.settings.cache_path / "packs", actor)

    def lease(self, pack: packs.Pack) -> Lease[Engine]:
        """The voice of this version of its pack, loaded, until it is released.

        Raises:
            NotReady: it takes longer than the setting allows, or there is no room for it now.
            VoiceError: it cannot be loaded.
        """
        return self.voices.lease(pack.actor_id, self.settings.load_wait_s, pack.manifest_sha256)

    def _prepare(self, prepare: PrepareEngine, actor: str, version: str) -> Prepared[Engine]:
        pack = self.pack(actor)
        if pack.manifest_sha256 != version:
            raise NotReady(f"the pack of {actor} was changed just now", where="actor")
        withheld = pack.licence.withheld(self.settings.acknowledged_licences)
        if withheld is not None:
            raise PackRefused(
                f"{actor}: {withheld}",
                where="licence.base",
                valid=f"VOICESVC_ACKNOWLEDGED_LICENCES={pack.licence.base}, or what was granted in"
                " licence.base_granted of its pack.toml",
            )
        if self._trust is not None:
            signatures.verify(pack, self._trust)
        self._say(f"{actor}: loading")
        with _told(actor):
            read = prepare(pack, self.settings, self._say)
        return _Parts(lambda: self._placed(pack, read), read.close, read.host_bytes)

    def _placed(self, pack: packs.Pack, read: Prepared[Engine]) -> Engine:
        begin = time.perf_counter()
        with _told(pack.actor_id):
            engine = read.place()
            self._english(pack).words("Ready.", 0)
            if self.warms:
                self.paced(pack.actor_id, self._warmed(engine))
                batching = self._batchings.settle(pack.actor_id, engine)
                self.batched(pack.actor_id, batching.factors)
            self._calibrations[pack.actor_id] = self._calibrated(engine, pack)
        self._sized(pack, engine.resident_bytes)
        self.loaded(pack, engine.device)
        self._say(f"{pack.actor_id}: ready after {time.perf_counter() - begin:.1f} s")
        return engine

    def _warmed(self, engine: Engine) -> Pace:
        """Run the engine through everything, unless one of its kind was; gives its pace."""
        if engine.warm_key is None:
            return engine.warm()
        if engine.warm_key not in self._warm:
            self._warm[engine.warm_key] = engine.warm()
        return self._warm[engine.warm_key]

    def _sized(self, pack: packs.Pack, resident_bytes: int) -> None:
        """Reckon the voices of the same network at what one of them turned out to take here."""
        for actor, other in self.packs.items():
            if isinstance(other, packs.Pack) and pack.base is None and packs.alike(pack, other):
                self.voices.expect(actor, resident_bytes)

    def _calibrated(self, engine: Engine, pack: packs.Pack) -> Calibration:
        """What the voice is by itself, measured when it is first loaded."""
        phonemizer = self._english(pack)
        folder = self.settings.cache_path / "calibrations"
        return calibration.ensure(engine, pack, lambda text: phonemizer.words(text, 0), folder)

    def _english(self, pack: packs.Pack) -> phonemes.Phonemizer:
        """What reads the sentences that every voice is measured with, which are English."""
        return self.phonemizer(pack.speaking("en") if reading.lacking(pack) else pack)

    @contextmanager
    def leased(self, actor: str) -> Iterator[Engine]:
        """The actor's engine, loaded, for as long as the block lasts.

        Raises:
            EngineFailed: it failed in the block.
            NotReady: there is no room for it now.
        """
        lease = self.lease(self.pack(actor))
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
        """What says the words of the pack's language.

        Raises:
            InvalidRequest: what reads it is not installed here, or its model has no such language.
        """
        reading.demand(pack)
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


def _needs(pack: packs.Pack) -> Needs:
    base = pack.base
    if base is None or pack.engine != "xtts":  # other engines lay all of their tensors out anew
        return Needs(pack.resident_bytes)
    return Needs(pack.resident_bytes, base.sha256, base.resident_bytes)


def told(state: VoiceState) -> dict[str, Any]:
    """Where a voice stands, as it is answered."""
    return {
        "state": state.name,
        "reason": state.reason,
        "tier": state.tier,
        "stage": state.stage,
        "load_s": state.seconds,
        "resident_bytes": state.resident_bytes,
    }


@contextmanager
def _told(actor: str) -> Iterator[None]:
    try:
        yield
    except ENGINE_ERRORS as e:
        raise EngineFailed(f"{actor} cannot be loaded: {e}", where="actor") from e


def _written(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
