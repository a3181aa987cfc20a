"""What of a take asks for an editor's ear. Pure: figures in, names out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from voicesvc.qc.verdict import Verdict

if TYPE_CHECKING:  # the program that listens is there sooner without scipy
    from voicesvc.measure import Measured

Flag = Literal["words", "quality", "clipping", "silence"]
FLAGS: tuple[Flag, ...] = get_args(Flag)


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a take is flagged; what these catch is in docs/measurements.md."""

    max_wer: float = 0.1
    min_distillmos: float = 2.5
    max_true_peak_dbtp: float = 0.0
    max_clipped_run: int = 1  # samples: a wave that just touches full scale has one
    max_head_ms: float = 500.0
    max_tail_ms: float = 1000.0


def flags(
    measured: "Measured", verdict: Verdict | None = None, limits: Limits | None = None
) -> tuple[Flag, ...]:
    """Of one take, in the order of `FLAGS`. What was not measured raises no flag, but for silence.

    A take without any sound is flagged "silence".
    """
    limits = limits or Limits()
    verdict = verdict or Verdict()
    raised = {
        "words": _above(verdict.wer, limits.max_wer),
        "quality": _above(limits.min_distillmos, verdict.distillmos),
        "clipping": measured.clipped_longest > limits.max_clipped_run
        or _above(measured.true_peak_dbtp, limits.max_true_peak_dbtp),
        "silence": measured.head_ms is None
        or _above(measured.head_ms, limits.max_head_ms)
        or _above(measured.tail_ms, limits.max_tail_ms),
    }
    return tuple(name for name in FLAGS if raised[name])


def _above(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit
