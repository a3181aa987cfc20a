"""XTTS's GPT, one audio token after another: what was said before is kept, and never in the module.

The blocks are GPT-2's (Radford et al. 2019) as coqui-tts's XTTS v2 has them. Tensors are
[time, channels]. A stream's state is its `Said`; the weights are shared and never written to.
Knows nothing of text, sound or seeds other than its generator's.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from voicesvc.engines.products import Product
from voicesvc.packs import Xtts

_EPS = 1e-5  # of GPT-2's and torch's layer norms
# coqui's loop fills the places of prompt and text with this token, and so has always held it
# against the voice as a repetition; what it learned to say is heard with that.
_PROMPT_TOKEN = 1


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
    def __init__(self, values: Mapping[str, Tensor], name: str) -> None:
        def product(part: str) -> Product:  # GPT-2 keeps its matrices the other way round
            return Product(values[f"{name}.{part}.weight"].t(), values[f"{name}.{part}.bias"])

        self.before, self.between = (_Norm(values, f"{name}.ln_{i}") for i in (1, 2))
        self.attend, self.attended = product("attn.c_attn"), product("attn.c_proj")
        self.wide, self.narrow = product("mlp.c_fc"), product("mlp.c_proj")


class Said:
    """Keys and values of all that one stream has heard and said. One thread at a time."""

    def __init__(self, like: Tensor, layers: int, heads: int, most: int) -> None:
        """Room for `most` steps, on the device and in the precision of `like` [.., channels]."""
        shape = layers, heads, most, like.shape[-1] // heads
        self.keys, self.values = like.new_empty(shape), like.new_empty(shape)
        self.steps = 0


class Gpt:
    """The network without state of its own; any number of streams may use it at once."""

    def __init__(self, shape: Xtts, values: Mapping[str, Tensor]) -> None:
        """`values` are coqui's tensors, those of the GPT and its tables, on their device."""
        self.shape = shape
        self.blocks = [_Block(values, f"gpt.gpt.h.{i}") for i in range(shape.gpt_layers)]
        self.norm, self.last_norm = _Norm(values, "gpt.gpt.ln_f"), _Norm(values, "gpt.final_norm")
        self.head = Product(values["gpt.mel_head.weight"], values["gpt.mel_head.bias"])
        self.audio, self.audio_at, self.text, self.text_at = (
            values[f"gpt.{name}.weight"]
            for name in (
                "mel_embedding",
                "mel_pos_embedding.emb",
                "text_embedding",
                "text_pos_embedding.emb",
            )
        )

    def forward(self, x: Tensor, said: Said) -> Tensor:
        """What follows `said` and is heard now, [t, C] -> its last latent, [C]."""
        t, channels = x.shape
        begin, end = said.steps, said.steps + t
        for i, block in enumerate(self.blocks):
            heads = block.attend(block.before(x)).view(t, 3, -1, said.keys.shape[3])
            query, key, value = heads.permute(1, 2, 0, 3)  # each [heads, t, C / heads]
            said.keys[i, :, begin:end], said.values[i, :, begin:end] = key, value
            attended = F.scaled_dot_product_attention(
                query[None],
                said.keys[None, i, :, :end],
                said.values[None, i, :, :end],
                is_causal=t > 1,
            )
            x = x + block.attended(attended[0].transpose(0, 1).reshape(t, channels))
            x = x + block.narrow(F.gelu(block.wide(block.between(x)), approximate="tanh"))
        said.steps = end
        return self.last_norm(self.norm(x[-1]))

    def latents(
        self,
        conditioning: Tensor,
        text: list[int],
        sampling: Sampling,
        generator: torch.Generator,
        bounds: Bounds,
    ) -> Iterator[Tensor]:
        """The latent [C] of every audio token in float32, that of the stop token included.

        `conditioning` [32, C] is the voice, `generator` (of the CPU) draws every token.
        """
        shape = self.shape
        ids = [shape.gpt_start_text_token, *text, shape.gpt_stop_text_token]
        words = torch.tensor(ids, device=self.text.device)
        heard = torch.zeros(shape.gpt_num_audio_tokens, dtype=torch.bool)
        token = shape.gpt_start_audio_token
        heard[[min(_PROMPT_TOKEN, len(heard) - 1), token]] = True
        with torch.inference_mode():
            begun = self.audio[token] + self.audio_at[0]
            x = torch.cat([conditioning, self.text[words] + self.text_at[: len(ids)], begun[None]])
            said = Said(x, shape.gpt_layers, shape.gpt_n_heads, len(x) + bounds.most)
        for n in range(1, bounds.most + 1):
            with torch.inference_mode():
                latent = self.forward(x, said)
                odds = self.head(latent[None])[0].float().cpu()
                if n <= bounds.least:
                    odds[shape.gpt_stop_audio_token] = -math.inf
                token = draw(odds, heard, sampling, generator)
                x = (self.audio[token] + self.audio_at[n])[None]
                latent = latent.float()
            heard[token] = True
            yield latent
            if token == shape.gpt_stop_audio_token:
                return


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
