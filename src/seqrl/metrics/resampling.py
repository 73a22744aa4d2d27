"""How sure a score of a corpus is, by drawing its sentences again with replacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 12345
"""Both as sacreBLEU has them, whose seed the variable SACREBLEU_SEED changes."""
LOW, HIGH = 2.5, 97.5


def resampled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """[RESAMPLES], 100 * sum of a / sum of b over resamples of the sentences' (a, b) [N, 2].

    The resamples of corpora of one size are the same ones.
    """
    import numpy as np

    draws = np.random.default_rng(SEED).integers(len(sums), size=(RESAMPLES, len(sums)))
    drawn = np.array([sums[draw].sum(axis=0) for draw in draws])  # not all at once: [N, 2] each
    found: NDArray[np.float64] = 100 * drawn[:, 0] / drawn[:, 1]
    return found


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of resampled scores."""
    import numpy as np

    low, high = np.percentile(values, (LOW, HIGH)).tolist()
    return low, high
