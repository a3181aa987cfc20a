"""XTTS v2: text -> audio tokens one after another -> latents -> HiFi-GAN, in cells.

Weights come from a pack and are loaded strictly. The GPT says how long a sentence is only by
saying it, so `plan` decodes all of it, and `begin` guesses; `stream` makes sound of what was
decoded, or decodes and vocodes at once. Where a word lies is not known, but estimated from its
letters. Knows nothing of text normalisation, HTTP or files but the pack's.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial

import torch
from torch import Tensor

from voicesvc import phonemes
from voicesvc.audio import Pcm
from voicesvc.engines import Pace, tensors
from voicesvc.engines import xtts_network as network
from voicesvc.engines.batch import Batch
from voicesvc.engines.cells import Decoder
from voicesvc.engines.convs import pack as pack_weights
from voicesvc.engines.device import device_class, gpt_in_int8, pick_dtype, pin
from voicesvc.engines.endguard import EndGuard
from voicesvc.engines.gpt import Bounds, Gpt, Said, Sampling, Saying
from voicesvc.engines.latents import Hidden, Kept, Latents, Sounds, there
from voicesvc.engines.read import style_files, weights
from voicesvc.engines.shared import Share, Weights, alone
from voicesvc.engines.spelt import Tokens, positions, text_of
from voicesvc.engines.together import AtOnce, Measured, Sound
from voicesvc.engines.vocoder import CELL_FRAMES, WHOLE_FRAMES, Hifigan, Vocoded, Vocoder
from voicesvc.errors import BadPlan, InvalidRequest, PackRefused
from voicesvc.packs import Pack
from voicesvc.plan import (
    AS_MADE,
    Kind,
    Plan,
    PlannedWord,
    Unit,
    Variability,
    check_model,
    derive_seed,
    kind_of,
)
from voicesvc.products import Int8Product, Product

# Audio tokens are 21.5 a second. Nobody speaks 60 letters a second, or 4 for a whole sentence.
_LEAST_TOKENS, _MOST_TOKENS = 0.35, 5.0  # for each letter
_USUAL_TOKENS = 1.5  # 14 letters a second
_MOST_BEGUN = 24  # for a sentence of no letters: 1.1 s
_STYLES_KEPT = 32  # mixtures that are worked out
_RESERVED = 3  # places that coqui keeps free behind the audio tokens

Styled = tuple[tuple[str, float], ...]  # how much of which style


class Xtts(AtOnce):
    """One loaded XTTS voice. Stateless between calls; every call carries its own state."""

    native: frozenset[str] = frozenset()

    def __init__(self, pack: Pack, gpt: Gpt, vocoder: Vocoder, conditioning: Tensor) -> None:
        self.pack, self.shape = pack, pack.xtts_network
        self.batch, self.vocoder, self.conditioning = Batch(gpt), vocoder, conditioning
        self.where = conditioning.device
        where = device_class(self.where)
        super().__init__(vocoder.network, where)
        gpt_in = gpt.blocks[0].attend.weight.dtype
        dtypes = dict.fromkeys((gpt_in, vocoder.network.decoder.dtype))
        self.precision = " ".join(str(d).partition(".")[2] for d in dtypes)  # GPT, then decoder
        kind = self.shape.model_dump_json(exclude={"vocabulary", "references_sha256", "f0_hz"})
        self.warm_key: str | None = f"{where} {self.precision} {kind}"
        self.sample_rate_hz, self.hop = pack.sample_rate_hz, self.shape.hop
        self.f0_hz = self.shape.f0_hz
        self.resident_bytes = pack.resident_bytes  # as declared, until all parts are there
        self._ids = {s: i for i, s in enumerate(pack.text.symbols) if s}
        self.symbols = frozenset(self._ids)
        self._tokens = Tokens(pack)
        self.styles: Mapping[str, Latents] = {}
        self._styled = lru_cache(_STYLES_KEPT)(self._style)

    def plan(
        self, words: Sequence[phonemes.Word], seed: int, variability: Variability = AS_MADE
    ) -> Plan:
        """One sentence as the model says it: all of it is decoded, its words' borders estimated.

        Raises:
            BadPlan: none of the words has a symbol this voice knows.
            InvalidRequest: another variability of timing, which this model has not by itself.
        """
        begun = self.begin(words, seed, variability)
        assert begun.said is not None
        return begun.said()

    def begin(
        self, words: Sequence[phonemes.Word], seed: int, variability: Variability = AS_MADE
    ) -> Plan:
        """The sentence to be decoded while it is streamed; how long it is, is a guess.

        Raises as `plan`.
        """
        if variability.timing != 1.0:
            raise InvalidRequest(
                "an XTTS voice draws timing and sound at once",
                where="variability.timing",
                valid="1.0, or another variability.sound",
            )
        laid, dropped = self._lay_out(words)
        if not any(u.kind == "phone" for w in laid for u in w.units):
            raise BadPlan("no symbol this voice knows", valid=sorted(self.symbols))
        parts = self._parts(laid, variability.language)
        decoding = self._decoding(parts, seed, variability)
        guess = Plan(
            model_sha256=self.pack.model_sha256,
            sample_rate_hz=self.sample_rate_hz,
            hop=self.hop,
            seed=seed,
            words=self._lasting(parts, [_usual_tokens(p) for p in parts], variability),
            dropped=dropped,
            variability=variability,
            hidden=Hidden(decoding),
        )

        @cache
        def said() -> Plan:
            found = [torch.stack(list(latents)) for latents in decoding]
            words = self._lasting(parts, [len(latents) for latents in found], variability)
            return replace(guess, words=words, hidden=Hidden(tuple(found)))

        return replace(guess, said=said)

    def _lasting(
        self,
        parts: Iterable[Sequence[PlannedWord]],
        tokens: Iterable[int],
        variability: Variability,
    ) -> tuple[PlannedWord, ...]:
        """All words, where each part is so many tokens long."""
        pairs = zip(parts, tokens, strict=True)
        last, language = self._tokens.lasting, variability.language
        return tuple(w for part, n in pairs for w in last(part, self.vocoder.frames(n), language))

    def _lay_out(self, words: Sequence[phonemes.Word]) -> tuple[list[PlannedWord], tuple[str, ...]]:
        """Words as units without durations yet; a unit is a letter."""
        nth = Counter[str]()
        laid: list[PlannedWord] = []
        dropped: list[str] = []
        for word in words:
            roles: list[tuple[str, Kind]] = [(s, "phone") for s in word.phones]
            roles += [(s, "pause") for s in word.after]
            dropped += [s for s, _ in roles if s not in self._ids]
            units = tuple(
                Unit(s, self._ids[s], kind_of(s, kind), 0.0, 0)
                for s, kind in roles
                if s in self._ids
            )
            key = word.text.casefold()
            if units:
                laid.append(PlannedWord(word.text, word.start, word.end, nth[key], units))
                nth[key] += 1
        return laid, tuple(dropped)

    def _parts(
        self, words: Sequence[PlannedWord], language: str = ""
    ) -> list[Sequence[PlannedWord]]:
        return self._tokens.parts(words, language)

    def _decoding(
        self, parts: Sequence[Sequence[PlannedWord]], seed: int, variability: Variability
    ) -> tuple["Kept", ...]:
        """The latents [C] of each part, to be decoded one part after another.

        A part goes on from the one before it: the model hears the text of both, and that it has
        said the first. So it keeps its tone, and the two are as one utterance.
        """
        most = self.shape.gpt_max_text_tokens
        for part in parts:
            if len(self._tokens(text_of(part), variability.language)) >= most:
                raise BadPlan(
                    f"{part[0].text[:40]!r} is one word of more than {most} tokens",
                    where="text",
                    valid=f"less than {most}",
                )
        sayings: list[Saying] = []
        found: list[Kept] = []

        def decoded(number: int) -> Iterator[Tensor]:
            for before in found[:number]:
                for _ in before:
                    pass
            two = parts[max(number - 1, 0) : number + 1]
            generator = torch.Generator().manual_seed(derive_seed(seed, "xtts", number))
            sayings.append(self._saying(two, sayings[-1:], generator, variability))
            yield from self.batch.latents(sayings[-1])

        def ready(number: int) -> int:
            return len(sayings[number].ready) if number < len(sayings) else 0

        found += (Kept(decoded(n), partial(ready, n)) for n in range(len(parts)))
        return tuple(found)

    def _saying(
        self,
        parts: Sequence[Sequence[PlannedWord]],
        said: Sequence[Saying],
        generator: torch.Generator,
        variability: Variability,
    ) -> Saying:
        """The last of one or two parts, after the one that was said."""
        shape, language = self.shape, variability.language
        text = text_of(parts[-1])
        wanted = math.ceil(_MOST_BEGUN + _MOST_TOKENS * len(text))
        tokens = self._tokens(text_of([w for part in parts for w in part]), language)
        stop = shape.gpt_stop_audio_token
        before = [t for saying in said for t in saying.tokens if t != stop]
        room = shape.gpt_max_audio_tokens - _RESERVED
        if len(tokens) >= shape.gpt_max_text_tokens or len(before) + wanted / 2 > room:
            tokens, before = self._tokens(text, language), []
        how = Sampling(
            temperature=shape.temperature * variability.sound,
            top_k=shape.top_k,
            top_p=shape.top_p,
            repetition_penalty=shape.repetition_penalty,
        )
        bounds = Bounds(math.floor(_LEAST_TOKENS * len(text)), min(wanted, room - len(before)))
        saying = Saying(tokens, how, generator, bounds, before)
        saying.voice, _ = self._styled(variability.style)
        if shape.end_guard_heads:
            ends = (parts[-1], parts[-1][-1:])
            mine, last = (len(self._tokens(text_of(w), language)) for w in ends)
            begin = len(tokens) - mine if before else 0
            saying.guard = EndGuard(len(tokens) + 1, len(tokens) - last, begin)
        return saying

    def _style(self, style: Styled) -> tuple[Said | None, Vocoder]:
        """The voice in a mixture of its styles: its part of the GPT, and what makes its sound.

        Latents are mixed as they are: what the weights lack to 1 is the voice as it is.
        """
        if not style:
            return None, self.vocoder
        rest = 1.0 - sum(weight for _, weight in style)
        conditioning, speaker = rest * self.conditioning, rest * self.vocoder.speaker[0, 0]
        for name, weight in style:
            conditioning = conditioning + weight * self.styles[name].conditioning
            speaker = speaker + weight * self.styles[name].speaker
        sounding = Vocoder(self.vocoder.network, speaker, self.vocoder.factors)
        return self.batch.gpt.heard(conditioning), sounding

    def stream(self, line: Plan, cells: tuple[int, ...] = CELL_FRAMES) -> Iterator[Pcm]:
        """The plan's samples, cell by cell; raises EngineFailed where one is no sound.

        Raises:
            BadPlan: the plan is for other weights.
        """
        check_model(line, self.pack.model_sha256)
        parts = self._parts(line.words, line.variability.language)
        if isinstance(line.hidden, Hidden):
            known = line.hidden.parts
        else:
            known = self._decoding(parts, line.seed, line.variability)
        style = line.variability.style
        _, vocoder = self._styled(style)
        return Sounds(
            Sound(vocoder.stream(latents, positions(part), cells, there(latents)), style)
            for part, latents in zip(parts, known, strict=True)
        )

    def check(self) -> Measured:
        """See `AtOnce`."""
        return Measured(self.vocoder.network, self._noise, WHOLE_FRAMES, self.where)

    def _noise(self, number: int, frames: int) -> Vocoded:
        drawn = torch.Generator().manual_seed(number)
        n = self.vocoder.ahead_frames + 2 * sum(CELL_FRAMES)
        latents = torch.randn(n, self.shape.gpt_n_model_channels, generator=drawn).to(self.where)
        return self.vocoder.stream(latents, cells=(CELL_FRAMES[0], frames), there=lambda: n)

    def warm(self) -> Pace:
        """Run once through every shape of cell, so that no caller pays for a new one."""
        letter = min(s for s in self.symbols if kind_of(s, "phone") == "phone")
        word = phonemes.Word("a", 0, 1, (letter,) * 4, ())
        next(iter(self._decoding([self._lay_out([word])[0]], 0, AS_MADE)[0]))
        silent = self.conditioning.new_zeros(self.shape.gpt_n_model_channels)
        n_frames = self.vocoder.ahead_frames + 2 * sum(CELL_FRAMES)
        for _ in self.vocoder.stream([silent] * (n_frames // 4)):
            pass
        return ()  # on a CPU two seconds of speech take longer than anybody wants to wait

    def close(self) -> None:
        """Drop the weights; the device's cache is given back where it has one."""
        del self.batch, self.vocoder, self.conditioning, self.styles, self._styled, self._network
        if self.where.type == "cuda":
            torch.cuda.empty_cache()


def _usual_tokens(part: Sequence[PlannedWord]) -> int:
    return round(_USUAL_TOKENS * len(text_of(part)))


def load(pack: Pack, device: str = "auto", precision: str = "auto") -> Xtts:
    """Load a verified pack, strictly.

    The GPT is float32 unless another precision is asked for by name: what the rounding does to its
    choices has not been listened to.

    Raises:
        PackRefused: a tensor is missing, unknown or of another shape; the message names it.
        EngineFailed: the device is not there.
    """
    where = pin(device)
    return of_tensors(pack, read(pack).values, where, precision)


def of_tensors(
    pack: Pack,
    values: Mapping[str, Tensor],
    where: torch.device,
    precision: str,
    share: Share = alone,
) -> Xtts:
    """The voice of tensors that have been read, those that speaking needs. Raises as `load`."""
    shape = pack.xtts_network
    int8 = gpt_in_int8(precision, where)
    exact = torch.float32 if precision in ("auto", "int8") else pick_dtype(precision, where)
    spoken = {
        n: share(n, (n,), partial(v.to, where, exact))
        for n, v in values.items()
        if n.startswith("gpt.")
    }
    decoder = share(
        "decoder",
        network.decoding(values),
        lambda: _decoder(pack, values, where, pick_dtype(precision, where)),
    )
    factors: tuple[float, ...] = (shape.gpt_code_stride_len / shape.output_hop_length,)
    if shape.output_sample_rate != shape.input_sample_rate:
        factors += (shape.output_sample_rate / shape.input_sample_rate,)
    vocoder = Vocoder(Hifigan(decoder), values[network.SPEAKER].to(where), factors)
    conditioning = values[network.CONDITIONING].to(where, exact)
    gpt = Gpt(shape, spoken, conditioning, share, Int8Product if int8 else Product)
    voice = Xtts(pack, gpt, vocoder, conditioning)
    voice.styles = {
        name: Latents(of[network.CONDITIONING].to(where, exact), of[network.SPEAKER].to(where))
        for name, of in style_files(pack).items()
    }
    if pack.base is None:  # what is shared with others is not this voice's own
        latents = [t for s in voice.styles.values() for t in (s.conditioning, s.speaker)]
        held = (*spoken.values(), conditioning, vocoder.speaker, *latents)
        rounded = gpt.rounded_bytes if int8 else 0
        voice.resident_bytes = sum(t.nbytes for t in held) - rounded + decoder.resident_bytes
    return voice


def _decoder(
    pack: Pack, values: Mapping[str, Tensor], where: torch.device, dtype: torch.dtype
) -> Decoder:
    generator = network.generator(network.coqui(pack.xtts_network), values)
    try:
        decoder = Decoder(generator, dtype).to(where)
    except ValueError as e:
        raise PackRefused(f"{pack.folder}: this decoder has a layer we cannot run: {e}") from e
    pack_weights(decoder)
    return decoder


def read(pack: Pack) -> Weights:
    """The tensors that speaking needs; of the others, that they are as they should be.

    Raises: as `load`.
    """
    wanted = network.expected(pack.xtts_network)
    needed = network.speaking(wanted)
    found = weights(pack, wanted, needed)
    tensors.check({n: wanted[n] for n in needed}, found.values, pack.weights_path)
    return found
