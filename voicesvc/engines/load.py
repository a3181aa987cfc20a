"""Which engine a pack is for, imported when the first voice is loaded."""

from collections.abc import Callable

from voicesvc.config import Settings
from voicesvc.engines import Engine
from voicesvc.packs import Pack


def load(pack: Pack, settings: Settings, say: Callable[[str], None]) -> Engine:
    """Import the pack's weights if they are not yet, verify them, load them on the device.

    Raises:
        EngineFailed: the device is not there.
        PackRefused: the weights are not what the pack says, or not what the engine needs.
    """
    from voicesvc.engines import convert, vits, xtts

    imported = convert.ensure(pack, settings.cache_path / "packs", say)
    load_weights = xtts.load if pack.engine == "xtts" else vits.load
    return load_weights(imported, settings.device, settings.precision)
