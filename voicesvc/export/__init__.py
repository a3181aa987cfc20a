"""Takes into a zip of Broadcast Waves with a manifest, made while it is sent.

`zipped` is all there is to call. Knows nothing about how takes are kept: an `ExportItem` brings its
facts and opens its own samples.
"""

from voicesvc.export.archive import zipped
from voicesvc.export.items import DEFAULT_TEMPLATE, ExportItem, Options
from voicesvc.export.manifest import COLUMNS
from voicesvc.export.names import FIELDS, Template

__all__ = (
    "COLUMNS",
    "DEFAULT_TEMPLATE",
    "FIELDS",
    "ExportItem",
    "Options",
    "Template",
    "zipped",
)
