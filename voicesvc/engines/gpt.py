"""XTTS's GPT, one audio token after another, of several texts at once.

The blocks are GPT-2's (Radford et al. 2019) as coqui-tts's XTTS v2 has them. Tensors are
[time, channels], or [streams, channels] where each is at a step of its own. A stream's state is its
`Saying`; the weights are shared and never written to. Knows nothing of threads, text, sound or
seeds other than a generator's.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from voicesvc.engines.endguard import EndGuard
from voicesvc.engines.shared import Share, alone
from voicesvc.errors import EngineFailed
from voicesvc.packs import Xtts
from voicesvc.products import Int8Product, Product, in_huge_pages

_EPS = 1e-5  # of GPT-2's and torch's layer norms
# coqui's loop fills the places of prompt and text with this token, and so has always held it
# against the voice as a repetition; what it learned to say is heard with that.
_PROMPT_TOKEN = 1
ROWS = 8  # streams in one step at most: the weights are read from memory once for all of them
_ROOM_STEPS = 128


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a token is drawn. `top_k` 0 is all of them; temperature 0 takes the likeliest."""

    temperature: float
    top_k: int
    top_p: float
    repetition_penalty: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many tokens a text takes at least, before it may end, and at most."""

    least: int
    most: int


class _Norm:
    def __init__(self, values: Mapping[str, Tensor], name: str) -> None:
        self.weight, self.bias = values[f"{name}.weight"], values[f"{name}.bias"]

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, _EPS)


class _Block:
    def __init__(
        self, values: Mapping[str, Tensor], name: str, share: Share, kind: type[Product]
    ) -> None:
        def product(part: str) -> Product:  # GPT-2 keeps its matrices the other way round
            weight, bias = (f"{name}.{part}.{half}" for half in ("weight", "bias"))

            def made() -> Product:
                laid = kind(values[weight].t(), values[bias])
                in_huge_pages(laid)
                return laid

            return share(f"{name}.{part}", (weight, bias), made)

        self.before, self.between = (_Norm(values, f"{name}.ln_{i}") for i in (1, 2))
        self.attend, self.attended = product("attn.c_attn"), product("attn.c_proj")
        self.wide, self.narrow = product("mlp.c_fc"), product("mlp.c_proj")


class Said:
    """Keys and values of all that one stream has heard and said. One thread at a time."""

    def __init__(self, keys: Tensor, values: Tensor, steps: int = 0) -> None:
        """Room for them, [layers, heads, room, channels / heads], of which `steps` are there."""
        self.keys, self.values, self.steps = keys, values, steps

    def copy(self) -> "Said":
        """The same, to go on from there another way."""
        return Said(self.keys.clone(), self.values.clone(), self.steps)

    def make_room(self, n: int) -> None:
        """Room for `n` more steps at least."""
        needed, room = self.steps + n, self.keys.shape[2]
        if needed > room:
            more = 0, 0, 0, max(needed + _ROOM_STEPS, room + room // 2) - room
            self.keys, self.values = F.pad(self.keys, more), F.pad(self.values, more)


class Saying:
    """One text on its way: what is to be said, and what has been so far. One thread at a time.

    Args:
        text: its tokens.
        how: how audio tokens are drawn.
        generator: of the CPU; draws every token.
        bounds: how many audio tokens there are to be.
        before: audio tokens that the text's beginning was said by; it goes on from there.
    """

    def __init__(
        self,
        text: Sequence[int],
        how: Sampling,
        generator: torch.Generator,
        bounds: Bounds,
        before: Sequence[int] = (),
    ) -> None:
        self.text, self.how, self.generator, self.bounds = text, how, generator, bounds
        self.before, self.tokens = before, list[int]()
        self.voice: Said | None = None  # what it is said after; None: the voice's own part
        self.guard: EndGuard | None = None
        self.watched: list[Tensor] = []  # of this step: what each watched head has on the text
        self.text_at = slice(0)  # where it lies in `said`
        self.ready = deque[Tensor]()  # latents that nobody took yet, where others are said beside
        self.ended = False

    def begin(self, said: Said, heard: Tensor) -> None:
        """After the voice's own part; `heard` [tokens] are those held against it as repeated."""
        self.said, self.heard = said, heard

    def hear(self, odds: Tensor, stop: int) -> None:
        """Draw the next token by its log odds [tokens].

        Raises:
            EngineFailed: they are no odds.
        """
        if math.isnan(float(odds.sum())):
            raise EngineFailed("the GPT's odds are not numbers")
        verdict = "on"
        if self.guard is not None and self.watched:
            verdict = self.guard.feed(torch.stack(self.watched).mean(0).float().cpu().numpy())
        with torch.inference_mode():
            if len(self.tokens) < self.bounds.least or verdict == "hold":
                odds[stop] = -math.inf
            token = draw(odds, self.heard, self.how, self.generator)
            if verdict == "end":
                token = stop
        self.tokens.append(token)
        self.heard[token] = True
        self.ended = token == stop or len(self.tokens) == self.bounds.most


class Gpt:
    """The network without state of its own; any number of streams may use it at once.

    What a stream says does not depend on which others are in its steps: rows are computed in such
    numbers only (`widths`) as give each row the same sums to the bit, and each attends alone.
    """

    def __init__(
        self,
        shape: Xtts,
        values: Mapping[str, Tensor],
        conditioning: Tensor,
        share: Share = alone,
        product: type[Product] = Product,
    ) -> None:
        """`values` are coqui's tensors, those of the GPT and its tables, on their device.

        `conditioning` [32, C] is the voice; `product` is how the blocks' matrices multiply.
        """
        self.shape = shape
        self.watch: dict[int, list[int]] = {}  # heads that look where it reads, by their layer
        for layer, head in shape.end_guard_heads:
            self.watch.setdefault(layer, []).append(head)
        names = [f"gpt.gpt.h.{i}" for i in range(shape.gpt_layers)]
        self.blocks = [_Block(values, name, share, product) for name in names]
        self.norm, self.last_norm = _Norm(values, "gpt.gpt.ln_f"), _Norm(values, "gpt.final_norm")
        weight, bias = "gpt.mel_head.weight", "gpt.mel_head.bias"
        self.head = share(
            "gpt.mel_head", (weight, bias), lambda: Product(values[weight], values[bias])
        )
        self.audio, self.audio_at, self.text, self.text_at = (
            values[f"gpt.{name}.weight"]
            for name in (
                "mel_embedding",
                "mel_pos_embedding.emb",
                "text_embedding",
                "text_pos_embedding.emb",
            )
        )
        self.channels = conditioning.shape[1]
        with torch.inference_mode():
            self.widths = self._widths()
        self.voice = self.heard(conditioning)

    @property
    def rounded_bytes(self) -> int:
        """By how much less its blocks' matrices take since they are of int8."""
        matrices = (p for b in self.blocks for p in (b.attend, b.attended, b.wide, b.narrow))
        rounded = (p for p in matrices if isinstance(p, Int8Product))
        return sum(3 * p.weight.nbytes - p.scale.nbytes for p in rounded)

    def heard(self, conditioning: Tensor) -> Said:
        """A voice's own part [32, C], as what is said before any text."""
        shape = self.shape
        size = shape.gpt_layers, shape.gpt_n_heads, 0, self.channels // shape.gpt_n_heads
        with torch.inference_mode():
            said = Said(conditioning.new_empty(size), conditioning.new_empty(size))
            self._hear(conditioning, said)
        return said

    def _widths(self) -> tuple[int, ...]:
        """Numbers of rows at which every row's products are what they are among `ROWS`."""
        block = self.blocks[0]
        noise = torch.randn(ROWS, self.channels, generator=torch.Generator().manual_seed(0))
        x = noise.to(self.audio)
        wide = block.wide(x)

        def alike(product: Callable[[Tensor], Tensor], x: Tensor, n: int) -> bool:
            whole = product(x)
            parts = (slice(i, i + n) for i in range(ROWS + 1 - n))
            return all(torch.equal(product(x[part]), whole[part]) for part in parts)

        def all_alike(n: int) -> bool:
            return (
                all(alike(product, x, n) for product in (block.attend, block.wide, self.head))
                and alike(lambda x: block.attended.plus(x, x), x, n)
                and alike(lambda h: block.narrow.plus(h, h[:, : self.channels]), wide, n)
            )

        return (*(n for n in range(1, ROWS) if all_alike(n)), ROWS)

    def begin(self, saying: Saying) -> Tensor:
        """The text is heard, and the first token said: its latent [C], float32."""
        shape = self.shape
        ids = [shape.gpt_start_text_token, *saying.text, shape.gpt_stop_text_token]
        begun = [shape.gpt_start_audio_token, *saying.before]
        heard = torch.zeros(shape.gpt_num_audio_tokens, dtype=torch.bool)
        heard[[min(_PROMPT_TOKEN, len(heard) - 1), *begun]] = True
        with torch.inference_mode():
            words, sounds = (torch.tensor(i, device=self.text.device) for i in (ids, begun))
            text = self.text[words] + self.text_at[: len(ids)]
            x = torch.cat([text, self.audio[sounds] + self.audio_at[: len(begun)]])
            saying.begin((saying.voice or self.voice).copy(), heard)
            saying.text_at = slice(saying.said.steps + 1, saying.said.steps + len(ids))
            latent = self._hear(x, saying.said)[-1:]
            odds = self._odds(latent)[0]
            saying.hear(odds, shape.gpt_stop_audio_token)
            return latent[0].float()

    def step(self, sayings: Sequence[Saying]) -> tuple[Tensor, Tensor]:
        """What each says next: latents [n, C] and log odds [n, tokens] on the CPU, in float32.

        Each is to `hear` its odds before its next step. A step that fails can be taken again.
        """
        n = len(sayings)
        width = next(w for w in self.widths if w >= n)
        with torch.inference_mode():
            x = self.audio.new_zeros(width, self.channels)
            for row, saying in enumerate(sayings):
                saying.said.make_room(1)
                saying.watched.clear()
                at = len(saying.before) + len(saying.tokens)
                torch.add(self.audio[saying.tokens[-1]], self.audio_at[at], out=x[row])

            def attention(i: int, heads: Tensor) -> Tensor:
                out = heads.new_zeros(width, *heads.shape[2:])
                for row, saying in enumerate(sayings):
                    out[row] = _attended(i, heads[row, :, :, None], saying.said)[:, 0]
                    if saying.guard is not None and i in self.watch:
                        saying.watched += self._watched(i, heads[row, 0], saying)
                return out.flatten(1)

            latents = self._through(x, attention)
            odds = self._odds(latents)[:n]
            for saying in sayings:
                saying.said.steps += 1
            return latents[:n].float(), odds

    def _watched(self, layer: int, query: Tensor, saying: Saying) -> list[Tensor]:
        """How much of its attention to the text each watched head has on each place of it."""
        heads = list(self.watch[layer])
        keys = saying.said.keys[layer, heads, saying.text_at]
        scores = keys @ query[heads, :, None] / math.sqrt(query.shape[-1])
        return list(scores[..., 0].softmax(-1))

    def _hear(self, x: Tensor, said: Said) -> Tensor:
        """What follows `said` and is heard now, [t, C] -> its latents, [t, C]."""
        t = len(x)
        said.make_room(t)

        def attention(i: int, heads: Tensor) -> Tensor:
            return _attended(i, heads.permute(1, 2, 0, 3), said).transpose(0, 1).flatten(1)

        x = self._through(x, attention)
        said.steps += t
        return x

    def _through(self, x: Tensor, attention: Callable[[int, Tensor], Tensor]) -> Tensor:
        """All blocks; `attention` is given a block's number and its [rows, 3, heads, C / heads]."""
        n_heads = self.shape.gpt_n_heads
        for i, block in enumerate(self.blocks):
            heads = block.attend(block.before(x)).view(len(x), 3, n_heads, -1)
            x = block.attended.plus(attention(i, heads), x)
            wide = F.gelu(block.wide(block.between(x)), approximate="tanh")
            x = block.narrow.plus(wide, x)
        return self.last_norm(self.norm(x))

    def _odds(self, latents: Tensor) -> Tensor:
        return self.head(latents).float().cpu()


def _attended(layer: int, heads: Tensor, said: Said) -> Tensor:
    """Query, key and value of new steps, [3, heads, t, D], after all before -> [heads, t, D]."""
    query, key, value = heads
    begin, t = said.steps, query.shape[1]
    end = begin + t
    keys, values = said.keys[layer, :, :end], said.values[layer, :, :end]
    keys[:, begin:], values[:, begin:] = key, value
    mask = None
    if t > 1:
        mask = torch.ones(t, end, dtype=torch.bool, device=query.device).tril(begin)
    return F.scaled_dot_product_attention(query[None], keys[None], values[None], attn_mask=mask)[0]


def draw(odds: Tensor, heard: Tensor, how: Sampling, generator: torch.Generator) -> int:
    """One token by its log odds [tokens]; `heard` are those that were said before."""
    if how.temperature == 0:
        return int(_penalised(odds, heard, how).argmax())
    share, tokens = shares(odds, heard, how)
    upto = share.cumsum(0)
    at = torch.rand((), generator=generator, dtype=torch.float64) * upto[-1]
    return int(tokens[min(int(torch.searchsorted(upto, at, right=True)), len(tokens) - 1)])


def shares(odds: Tensor, heard: Tensor, how: Sampling) -> tuple[Tensor, Tensor]:
    """How often each token is drawn, and the tokens; likeliest first, out of the shares' sum.

    Repetition penalty (Keskar et al. 2019, arXiv:1909.05858, section 4.1), temperature, top k, then
    the nucleus (Holtzman et al. 2020, arXiv:1904.09751), in the order of the transformers library.
    """
    k = min(how.top_k, len(odds)) if how.top_k else len(odds)
    best, tokens = (_penalised(odds, heard, how) / how.temperature).topk(k)
    share = torch.softmax(best, 0)
    before = share.cumsum(0) - share
    inside = before < how.top_p
    return share[inside], tokens[inside]


def _penalised(odds: Tensor, heard: Tensor, how: Sampling) -> Tensor:
    less = torch.where(odds < 0, odds * how.repetition_penalty, odds / how.repetition_penalty)
    return torch.where(heard, less, odds).double()
