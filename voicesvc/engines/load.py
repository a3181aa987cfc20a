"""Which engine a pack is for: its weights into host memory, and from there onto the device.

Imported when the first voice is loaded.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from voicesvc.config import Settings
from voicesvc.engines import Engine, convert, vits, xtts
from voicesvc.packs import Pack

OfTensors = Callable[[Pack, dict[str, Tensor], torch.device, str], Engine]


class Prepared:
    """A voice's tensors in host memory, verified and checked; any number of engines can be made.

    On a CPU an engine may use these very tensors: nothing in them is ever written to.
    """

    def __init__(
        self,
        pack: Pack,
        values: dict[str, Tensor],
        of_tensors: OfTensors,
        where: torch.device,
        precision: str,
    ) -> None:
        self._pack, self._values, self._of_tensors = pack, values, of_tensors
        self._where, self._precision = where, precision
        self.host_bytes = sum(v.nbytes for v in values.values())

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
    engine = xtts if pack.engine == "xtts" else vits
    where = vits.pin(settings.device)
    values = engine.read(imported)
    if where.type == "cuda" and settings.host_budget_mb:
        values = {name: value.pin_memory() for name, value in values.items()}
    return Prepared(imported, values, engine.of_tensors, where, settings.precision)


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
