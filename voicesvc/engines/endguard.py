"""Where in its text a voice is, by what it attends to: so that it neither runs on nor stops short.

Some of a GPT's heads look at the letters that are being said, one after another. From their weights
on the text, token by token, follows how far it is: monotonic, as reading is, and only where the
weights say it clearly. Knows nothing of networks.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float32]  # on each place of the text, of one audio token
Verdict = Literal["on", "hold", "end"]

_NEAR = 2  # places each way that are one place of attention
_CLEAR = 0.5  # of the weight beyond an even spread, on one place, or it says nothing
_FURTHEST = 6  # places from one audio token to the next: 129 a second
# The last place is reached as its sound begins. With the longest such sound, 0.38 s, and the tail
# of 0.18 s that is natural, a voice has ended after 12 tokens of 46 ms; 0.6 s more is a run-on.
AFTER_END_TOKENS = 12


class EndGuard:
    """Told one audio token after another.

    Args:
        n_text: places of the text, its last symbol included.
        last_word: the place at which its last word begins.
        begin: the first place that has not been said yet.
    """

    def __init__(self, n_text: int, last_word: int, begin: int = 0) -> None:
        self._last, self._last_word = n_text - 1, min(last_word, n_text - 1)
        self._at = min(begin, n_text - 1)
        self._at_end = 0  # tokens since the last place was reached
        self._known = False

    def feed(self, weights: Weights) -> Verdict:
        """`end`: it has said all of it, and for long; `hold`: it may not end here; or neither.

        `weights` [n_text] are of the audio token that was said last, in any scale.
        """
        if self._at >= self._last:
            self._at_end += 1
            return "end" if self._at_end >= AFTER_END_TOKENS else "on"
        place = int(np.argmax(weights))
        near = weights[max(place - _NEAR, 0) : place + _NEAR + 1]
        even = len(near) / len(weights)
        clear = float(near.sum()) >= (even + _CLEAR * (1 - even)) * float(weights.sum()) > 0
        if clear and self._at <= place <= self._at + _FURTHEST:
            self._at, self._known = place, True
        return "hold" if self._known and self._at < self._last_word else "on"
