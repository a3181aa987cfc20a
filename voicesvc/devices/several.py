"""Several devices put together: their programs, and the voices that are spread over them."""

from collections.abc import Callable
from functools import partial

from voicesvc.config import Settings
from voicesvc.devices.device import Device
from voicesvc.devices.spread import Spread
from voicesvc.devices.wire import PrepareEngine, Ready
from voicesvc.engines import Engine
from voicesvc.voices import Prepared, Voices

Prepare = Callable[[PrepareEngine, str, str], Prepared[Engine]]


class Several(Spread[Engine]):
    """The voices on all devices of the settings, once they were started.

    Args:
        settings: of the service; each program gets them with its own device.
        engines: what a program prepares a pack's voice with.
        prepare: brings an actor's version into host memory by means of its first argument.
        say: is told what goes on.
    """

    def __init__(
        self,
        settings: Settings,
        engines: PrepareEngine,
        prepare: Prepare,
        say: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self.devices = tuple(Device(name, engines, settings, say) for name in settings.devices)
        super().__init__(
            {
                d.name: Voices[Engine](partial(prepare, d.prepare), 0, name=d.name)
                for d in self.devices
            }
        )
        for device in self.devices:
            device.changed = partial(self._changed_to, device.name)

    def start(self) -> None:
        """Begin all programs."""
        for device in self.devices:
            device.start()

    def close(self) -> None:
        """Drop every voice, and end the programs for good."""
        super().close()
        for device in self.devices:
            device.close()

    def _changed_to(self, name: str, ready: Ready | None) -> None:
        if ready is None:
            self.went_down(name)
            return
        device_bytes, host_bytes = ready.device_bytes, ready.host_bytes
        together = len(self.devices)  # each found free what all of them have
        if self._settings.device_budget_mb is None and name.startswith("cpu"):
            device_bytes = device_bytes and device_bytes // together
        if self._settings.host_budget_mb is None:
            host_bytes //= together
        self.came_up(name, device_bytes, host_bytes)
