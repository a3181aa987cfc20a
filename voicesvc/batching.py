"""How many cells the voices of this process compute at once: measured once for each kind of voice.

Kernels are chosen by shapes, not by weights, so what holds for one voice of a kind on a device
holds for all. Imports no torch; what is measured is the engine's.
"""

from typing import Any

from voicesvc.engines import Batches, Batching, Engine


class Batchings:
    """What was found for each actor's voice that was loaded. From any thread.

    Two of a kind that are loaded at the same moment are both measured, and the last is kept.
    """

    def __init__(self, asked: str) -> None:
        self._asked = asked  # the setting
        self._of_kind: dict[str, Batching] = {}
        self._of_actor: dict[str, Batching] = {}

    def settle(self, actor: str, engine: Engine) -> Batching:
        """Have the engine compute as many cells at once as pays here, where it can."""
        found = Batching(reason="its engine computes each cell alone")
        if isinstance(engine, Batches):
            kind = engine.warm_key or actor
            if kind not in self._of_kind:
                self._of_kind[kind] = engine.measure(self._asked)
            found = engine.batching = self._of_kind[kind]
        self._of_actor[actor] = found
        return found

    def told(self, actor: str) -> dict[str, Any] | None:
        """As it is answered; None until the actor's voice was loaded."""
        found = self._of_actor.get(actor)
        return None if found is None else {"cells": found.most, "reason": found.reason}
