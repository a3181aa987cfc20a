"""VITS in stages: text encoder -> durations -> expansion -> flow -> decoder, in cells.

Weights come from a pack and are loaded strictly into coqui-tts's own `Vits`, whose modules are then
rebuilt as `front` (text side) and `cells` (sound side). Knows nothing of text normalisation,
phonemizers, HTTP or files but the pack's.
"""

import math
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize

from voicesvc import phonemes
from voicesvc.engines import LONGEST_FIRST, SHAPED_S, Pace, going_on, tensors
from voicesvc.engines.cells import CELL_FRAMES, TAIL_FRAMES, WHOLE_FRAMES, Decoder, Speech
from voicesvc.engines.convs import pack as pack_weights
from voicesvc.engines.device import device_class, pick_dtype, pin
from voicesvc.engines.flow import Flow
from voicesvc.engines.front import Durations, Encoded, Encoder, Front, StochasticDurations, Timed
from voicesvc.engines.prior import Hidden, Opening, Prior, lasting, word_noise
from voicesvc.engines.read import weights
from voicesvc.engines.shared import Weights
from voicesvc.engines.speakers import Speaker, speaker
from voicesvc.engines.together import AtOnce, Measured, Sound
from voicesvc.errors import BadPlan, EngineFailed, PackRefused
from voicesvc.packs import Pack
from voicesvc.plan import (
    AS_MADE,
    Kind,
    Plan,
    PlannedWord,
    Unit,
    Variability,
    check_model,
    kind_of,
)
from voicesvc.products import rows_to_warm

_WARM_UNITS = 1024  # more than a sentence of 400 characters has
_MAX_FRAMES_PER_UNIT = 4096  # some 47 s at 22.05 kHz: beyond it the model has failed


class Vits(AtOnce):
    """One loaded VITS voice. Stateless between calls; every call carries its own state."""

    native = frozenset({"duration"})
    f0_hz: float | None = None

    def __init__(
        self,
        pack: Pack,
        model: Any,
        device: torch.device,
        decoder_dtype: torch.dtype,
        speaker: Speaker | None = None,
    ) -> None:
        self.pack, self.where, self.decoder_dtype = pack, device, decoder_dtype
        self.shape = pack.vits_network
        where, self.precision = device_class(device), str(decoder_dtype).partition(".")[2]
        self.sample_rate_hz, self.hop = pack.sample_rate_hz, self.shape.hop
        # One longer cell costs less than two, of which the second is needed for the first sample.
        heard = CELL_FRAMES[0] + math.ceil(SHAPED_S * self.sample_rate_hz / self.hop)
        self._shaped_cells = (heard, *CELL_FRAMES[1:])
        self.warm_key: str | None = f"{where} {self.precision} {self.shape.model_dump_json()}"
        self._ids = {s: i for i, s in enumerate(pack.text.symbols) if s}
        self._units: dict[tuple[str, Kind], Unit] = {}  # without durations, made once each
        text = pack.text
        self.symbols = frozenset(self._ids) - {text.pad, text.bos, text.eos, text.blank}
        try:
            self.encoder = Encoder(model.text_encoder)
            predictor = StochasticDurations if self.shape.use_sdp else Durations
            self.durations: StochasticDurations | Durations = predictor(model.duration_predictor)
            self.front = Front(self.encoder, self.durations)
            flow = Flow(model.flow).to(device)
            decoder = Decoder(model.waveform_decoder, decoder_dtype).to(device)
        except ValueError as e:
            raise PackRefused(f"{pack.folder}: this VITS has a layer we cannot run: {e}") from e
        buffers = [*flow.buffers(), *decoder.buffers()]
        front = [p for m in (model.text_encoder, model.duration_predictor) for p in m.parameters()]
        self.resident_bytes = sum(t.numel() * t.element_size() for t in (*buffers, *front))
        self.resident_bytes += self.encoder.extra_bytes
        self.speaker = speaker
        self.resident_bytes += 0 if speaker is None else speaker.resident_bytes
        pack_weights(flow, decoder)
        self.speech = Speech(flow, decoder)
        super().__init__(self.speech, where)

    def check(self) -> Measured:
        """See `AtOnce`."""
        begun = self.speech.noise(self.shape.hidden_channels, self._g(AS_MADE), self.where)
        return Measured(self.speech, begun, WHOLE_FRAMES, self.where)

    def plan(
        self, words: Sequence[phonemes.Word], seed: int, variability: Variability = AS_MADE
    ) -> Plan:
        """One sentence with the model's own durations: whole frames, rounded up, as VITS does.

        Raises:
            BadPlan: none of the words has a symbol this voice knows.
            EngineFailed: the model predicts a duration that is no duration.
        """
        whole, parts = self._parts(words, seed, variability)
        with torch.inference_mode():
            *_, found = parts
        return self._timed(whole, self._frames(found), found)

    def begin(
        self, words: Sequence[phonemes.Word], seed: int, variability: Variability = AS_MADE
    ) -> Plan:
        """The same, but of a long sentence no more is known than its first words.

        Raises as `plan`, and so does `said` of what it returns.
        """
        whole, parts = self._parts(words, seed, variability)
        with torch.inference_mode():
            first = next(parts)
        frames, sizes = self._frames(first), [len(w.units) for w in whole.words]
        missing = sum(sizes) - len(frames)
        guessed = [sum(frames) / len(frames)] * missing
        plan = self._timed(whole, [*frames, *guessed], first)
        if not missing:
            return plan

        @cache
        def said() -> Plan:
            with torch.inference_mode():
                (found,) = parts  # to its end, or it would keep all that it worked with
            return self._timed(whole, self._frames(found), found)

        n_known = bisect_right(list(accumulate(sizes)), len(frames))
        return replace(plan, hidden=Opening(plan.words[:n_known], plan.hidden), said=said)

    def _parts(
        self, words: Sequence[phonemes.Word], seed: int, variability: Variability
    ) -> tuple[Plan, Iterator[Timed]]:
        """A plan without durations, and what the model finds of it: see `Front.parts`."""
        laid, dropped = self._lay_out(words)
        units = [u for w in laid for u in w.units]
        if not any(u.kind == "phone" for u in units):
            raise BadPlan("no symbol this voice knows", valid=sorted(self.symbols))
        with torch.inference_mode():
            ids = torch.tensor([u.id for u in units], device=self.where)
            noise = torch.cat([word_noise(w, seed, "durations", (len(w.units), 2)) for w in laid])
            noise = noise.to(self.where) * (self.shape.noise_scale_dp * variability.timing)
        plan = Plan(
            model_sha256=self.pack.model_sha256,
            sample_rate_hz=self.sample_rate_hz,
            hop=self.hop,
            seed=seed,
            words=tuple(laid),
            dropped=dropped,
            variability=variability,
        )
        return plan, self.front.parts(ids, noise, self._g(variability))

    def _timed(self, plan: Plan, frames: Sequence[float], found: Timed) -> Plan:
        hidden = self._read(found, plan.variability)
        return replace(plan, words=lasting(plan.words, frames), hidden=hidden)

    def _g(self, variability: Variability) -> Tensor | None:
        """What a model of several speakers hears of whose voice it is, and in which style."""
        return None if self.speaker is None else self.speaker(variability.style)

    def _frames(self, found: Timed) -> list[float]:
        with torch.inference_mode():
            frames = (torch.exp(found.log_frames) * self.shape.length_scale).tolist()
        if not all(0 <= f <= _MAX_FRAMES_PER_UNIT for f in frames):
            raise EngineFailed(f"the model predicts a symbol of {max(frames)} frames")
        return frames

    def _lay_out(self, words: Sequence[phonemes.Word]) -> tuple[list[PlannedWord], tuple[str, ...]]:
        """Words as units without durations yet: [begin] [blank] (symbol [blank])* [end]."""
        text, nth = self.pack.text, Counter[str]()
        blank = self._filler(text.blank, text.add_blank)
        laid = [PlannedWord("", 0, 0, 0, (*self._filler(text.bos, text.use_bos_eos), *blank))]
        dropped: list[str] = []
        for word in words:
            units: list[Unit] = []
            roles: tuple[tuple[tuple[str, ...], Kind], ...] = (
                (word.phones, "phone"),
                (word.after, "pause"),
            )
            for symbols, kind in roles:
                for symbol in symbols:
                    if symbol not in self.symbols:
                        dropped.append(symbol)
                        continue
                    units += [self._unit(symbol, kind_of(symbol, kind)), *blank]
            key = word.text.casefold()
            if units:
                laid.append(PlannedWord(word.text, word.start, word.end, nth[key], tuple(units)))
                nth[key] += 1
        laid.append(PlannedWord("", 0, 0, 1, self._filler(text.eos, text.use_bos_eos)))
        return [w for w in laid if w.units], tuple(dropped)

    def _filler(self, symbol: str | None, used: bool) -> tuple[Unit, ...]:
        return (self._unit(symbol, "blank"),) if used and symbol is not None else ()

    def _unit(self, symbol: str, kind: Kind) -> Unit:
        unit = self._units.get((symbol, kind))
        if unit is None:
            unit = Unit(symbol, self._ids[symbol], kind, 0.0, 0)
            self._units[symbol, kind] = unit
        return unit

    def stream(self, line: Plan, cells: tuple[int, ...] | None = None) -> Sound:
        """The plan's samples, cell by cell; raises EngineFailed where one is no sound.

        By the schedule for what comes after so much of its line, unless `cells` says another.

        Raises:
            BadPlan: the plan is for other weights.
        """
        check_model(line, self.pack.model_sha256)
        opening = line.hidden if isinstance(line.hidden, Opening) else None
        with torch.inference_mode():
            if opening is not None:
                prior = Prior(line, opening.words, opening.hidden)
            else:
                prior = Prior(line, line.words, self._hidden(line))

        def frames(past: int) -> int:
            nonlocal opening
            if opening is not None and prior.frames <= past:
                opening = None
                whole = line if line.said is None else line.said()
                prior.know(whole.words, self._hidden(whole))
            return prior.frames

        g, style = self._g(line.variability), line.variability.style
        schedule = self._shaped_cells if line.shaped else CELL_FRAMES
        cells = cells or going_on(schedule, line.frames_before)
        return Sound(self.speech.stream(prior, frames, g, cells, lambda: prior.frames), style)

    def _hidden(self, line: Plan) -> Hidden:
        if isinstance(line.hidden, Hidden):
            return line.hidden
        with torch.inference_mode():
            ids = torch.tensor([u.id for u in line.units()], device=self.where)
            return self._read(self.encoder(ids), line.variability)

    def _read(self, found: Timed | Encoded, variability: Variability) -> Hidden:
        with torch.inference_mode():
            scale = self.shape.noise_scale * variability.sound
            # Contiguous, or the mean would keep the log scale, which it lies beside.
            return Hidden(found.mean.contiguous(), torch.exp(found.log_scale) * scale)

    def warm(self, clock: Callable[[], float] = time.perf_counter) -> Pace:
        """Run once through every shape of cell, so that no caller pays for a new one."""
        symbols = sorted(s for s in self.symbols if kind_of(s, "phone") == "phone")
        words = [
            phonemes.Word(str(i), 0, 1, (symbols[i % len(symbols)],) * 4, ()) for i in range(20)
        ]
        self.plan(words, seed=0)
        with torch.inference_mode():
            for n in rows_to_warm(_WARM_UNITS):
                ids = torch.zeros(n, dtype=torch.int64, device=self.where)
                noise = torch.zeros(n, 2, device=self.where)
                for _ in self.front.parts(ids, noise, self._g(AS_MADE)):
                    pass
        channels = self.shape.hidden_channels

        def silent(begin: int, end: int) -> Tensor:
            return torch.zeros(1, end - begin, channels, device=self.where)

        def known(n_frames: int) -> Callable[[int], int]:
            return lambda _: n_frames

        ahead = self.speech.ahead_frames
        first = CELL_FRAMES[0] + ahead
        whole = first + sum(CELL_FRAMES) + TAIL_FRAMES  # no cell of it is joined to the one before
        lines: list[tuple[int, tuple[int, ...]]] = [(whole, CELL_FRAMES)]
        longest = LONGEST_FIRST + ahead + TAIL_FRAMES
        lines += [(n, (n,)) for n in range(TAIL_FRAMES, longest + 1, TAIL_FRAMES)]
        schedules = (CELL_FRAMES, self._shaped_cells)
        firsts = {going_on(s, n)[0] for s in schedules for n in range(LONGEST_FIRST + 1)}
        firsts -= {CELL_FRAMES[0]}
        lines += [(n + ahead + 2 * TAIL_FRAMES, (n, TAIL_FRAMES)) for n in sorted(firsts)]
        for tail in range(TAIL_FRAMES, max(CELL_FRAMES) + TAIL_FRAMES + 1, TAIL_FRAMES):
            lines.append((first + tail, (CELL_FRAMES[0], tail)))
        for n_frames, cells in lines:
            for _ in self.speech.stream(silent, known(n_frames), self._g(AS_MADE), cells):
                pass
        return self._pace(words, clock)

    def _pace(self, words: Sequence[phonemes.Word], clock: Callable[[], float]) -> Pace:
        """Each chunk of a line takes so long, and lasts so long."""
        found: list[tuple[float, float]] = []
        began_s = clock()
        for pcm in self.stream(self.begin(words, seed=0)):
            now_s = clock()
            found.append((now_s - began_s, len(pcm) / self.sample_rate_hz))
            began_s = now_s
        return found

    def close(self) -> None:
        """Drop the weights; the device's cache is given back where it has one."""
        del self.encoder, self.durations, self.front, self.speech, self._network
        if self.where.type == "cuda":
            torch.cuda.empty_cache()


def read(pack: Pack) -> Weights:
    """The tensors of a verified pack, which are exactly those of its network.

    Raises:
        PackRefused: a tensor is missing, unknown or of another shape; the message names it.
    """
    wanted = tensors.expected(pack.vits_network)
    found = weights(pack, wanted, wanted)
    tensors.check(wanted, found.values, pack.weights_path)
    return found


def of_tensors(
    pack: Pack, values: Mapping[str, Tensor], where: torch.device, precision: str
) -> Vits:
    """The voice of tensors that have been read, which it uses where it can.

    Raises:
        PackRefused: the network has a layer that cannot be run.
    """
    model = tensors.network(pack.vits_network).eval().requires_grad_(False)
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    own = {name: value for name, value in values.items() if name != tensors.SPEAKER}
    model.load_state_dict(own, strict=True, assign=True)
    model.to(where)
    whose = speaker(pack, values.get(tensors.SPEAKER), where)
    return Vits(pack, model, where, pick_dtype(precision, where), whose)


def load(pack: Pack, device: str = "auto", precision: str = "auto") -> Vits:
    """Load a verified pack, strictly.

    Raises: as `read`, and EngineFailed where the device is not there.
    """
    where = pin(device)
    return of_tensors(pack, read(pack).values, where, precision)
