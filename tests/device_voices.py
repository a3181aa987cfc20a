"""What devices' programs load in tests: tones, one whose device fails, and a real network."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from voicesvc import cast
from voicesvc.audio import Pcm
from voicesvc.config import Settings
from voicesvc.engines import Engine
from voicesvc.engines.tone import Tone
from voicesvc.packs import Pack
from voicesvc.phonemes import Word
from voicesvc.plan import AS_MADE, Plan, Variability


class Greedy(Tone):
    """Its device is out of memory whenever it is to sound."""

    def stream(self, plan: Plan) -> Iterator[Pcm]:
        import torch  # a program that only has tones is started without

        raise torch.OutOfMemoryError("CUDA out of memory")


class Guessing(Tone):
    """Says how long a sentence is only when asked, and keeps what it worked out, as XTTS does."""

    def begin(self, words: Sequence[Word], seed: int, variability: Variability = AS_MADE) -> Plan:
        plan = self.plan(words, seed, variability)
        kept = {"mine": plan}
        return dataclasses.replace(plan, words=plan.words[:1], hidden=kept, said=lambda: plan)

    def stream(self, plan: Plan) -> Iterator[Pcm]:
        return super().stream(plan.hidden["mine"])


def load(pack: Pack, settings: Settings, say: Callable[[str], None]) -> Engine:
    if pack.actor_id == "real":
        return cast.prepare_engine(pack, settings, say).place()
    kind = {"greedy": Greedy, "guessing": Guessing}.get(pack.actor_id, Tone)
    symbols = frozenset(s for s in pack.text.symbols if s)
    return kind(symbols, pack.model_sha256, pack.sample_rate_hz)
