"""Which engine a pack is for: its weights into host memory, and from there onto the device.

Imported when the first voice is loaded.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from voicesvc.config import Settings
from voicesvc.engines import Engine, convert, vits, xtts
from voicesvc.engines.device import pin
from voicesvc.engines.shared import Parts, Weights
from voicesvc.packs import Pack

OfTensors = Callable[[Pack, Mapping[str, Tensor], torch.device, str], Engine]
_PARTS = Parts()  # what voices on one base have in common: of this process, as its memory is


class Prepared:
    """A voice's tensors in host memory, verified and checked; any number of engines can be made.

    On a CPU an engine may use these very tensors: nothing in them is ever written to.
    """

    def __init__(
        self,
        pack: Pack,
        read: Weights,
        of_tensors: OfTensors,
        where: torch.device,
        precision: str,
    ) -> None:
        self._pack, self._values, self._of_tensors = pack, read.values, of_tensors
        self._where, self._precision = where, precision
        self.host_bytes = read.own_bytes

    def place(self) -> Engine:
        """An engine on the device.

        Raises:
            PackRefused: the network has a layer that cannot be run.
        """
        with _beside(self._where):
            return self._of_tensors(self._pack, self._values, self._where, self._precision)

    def close(self) -> None:
        """Let go of the tensors."""
        self._values = {}


def prepare(pack: Pack, settings: Settings, say: Callable[[str], None]) -> Prepared:
    """Import the pack's weights if they are not yet, verify and read them.

    In page-locked memory where they stay there for a GPU: from it they are copied twice as fast.

    Raises:
        EngineFailed: the device is not there.
        PackRefused: the weights are not what the pack says, or not what the engine needs.
    """
    imported = convert.ensure(pack, settings.cache_path / "packs", say)
    where = pin(settings.device)
    of_tensors: OfTensors = vits.of_tensors
    if pack.engine == "xtts":
        found, of_tensors = xtts.read(imported), xtts.of_tensors
        if found.base is not None:
            laid_out = f"{found.base} {where} {settings.precision}"
            of_tensors = partial(xtts.of_tensors, share=_PARTS.of(laid_out, found.own))
    else:
        found = vits.read(imported)
    if where.type == "cuda" and settings.host_budget_mb:
        own = {
            n: v.pin_memory() for n, v in found.values.items() if not found.base or n in found.own
        }
        found = replace(found, values={**found.values, **own})
    return Prepared(imported, found, of_tensors, where, settings.precision)


@contextmanager
def _beside(where: torch.device) -> Iterator[None]:
    """On a GPU, work that does not stand in line behind what is being computed there."""
    if where.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(where)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()
