"""Whose voice a VITS of several speakers speaks with, and how much of which style's.

An embedding is a row of the model's table, or a d-vector, which coqui-tts scales to length 1.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from voicesvc.engines.read import style_files
from voicesvc.engines.tensors import SPEAKER
from voicesvc.packs import Pack


class Speaker:
    """What the network hears of the voice: [1, 1, G] for a mixture of its styles."""

    def __init__(self, own: Tensor, styles: Mapping[str, Tensor], *, d_vectors: bool) -> None:
        self.own, self.styles, self._d_vectors = own, styles, d_vectors
        self.resident_bytes = sum(t.nbytes for t in (own, *styles.values()))

    def __call__(self, style: tuple[tuple[str, float], ...]) -> Tensor:
        """Embeddings are mixed as they are: what the weights lack to 1 is the voice as it is."""
        g = (1.0 - sum(weight for _, weight in style)) * self.own
        for name, weight in style:
            g = g + weight * self.styles[name]
        if self._d_vectors:
            g = F.normalize(g, dim=0)
        return g.view(1, 1, -1)


def speaker(pack: Pack, own: Tensor | None, where: torch.device) -> Speaker | None:
    """The voice's own embedding [G] and its styles'; None for a model of one speaker.

    Raises:
        PackRefused: a style's file is missing, another one, or of another shape.
    """
    if own is None:
        return None
    styles = {name: found[SPEAKER].to(where) for name, found in style_files(pack).items()}
    d_vectors = pack.vits_network.d_vector_dim > 0
    return Speaker(own.to(where), styles, d_vectors=d_vectors)
