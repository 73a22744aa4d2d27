"""What melodies are like: the statistics of Jaques et al. (2017), table 1, and their reward.

Texts are words of `seqrl.melody`. A word that is none of these counts as a step at which nothing
happens, and in no share.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seqrl.melody import HOLD, NUMBERS
from seqrl.metrics.music import (
    LAGS,
    TONIC,
    autocorrelation,
    excessive,
    in_motif,
    in_repeated_motif,
    leaps,
    out_of_key,
    theory,
    unique,
)
from seqrl.metrics.outputs import Outputs, Score

AT_ONCE = 1000
"""Melodies looked at together."""
SIGNATURE = "key:C|tonic:C4|rules:magenta"

Counts = tuple[Tensor, Tensor]
"""What is counted, and of how many; two numbers."""


@dataclass(frozen=True)
class Melodies:
    """notes [N, T], symbols; there [N, T], where they are a melody's."""

    notes: Tensor
    there: Tensor


def excess_repeats(melodies: Melodies) -> Counts:
    return _share(excessive(melodies.notes), melodies.there)


def not_in_key(melodies: Melodies) -> Counts:
    return _share(out_of_key(melodies.notes), melodies.there)


def starts_tonic(melodies: Melodies) -> Counts:
    return _share(melodies.notes[:, 0] == TONIC, melodies.there[:, 0])


def leaps_resolved(melodies: Melodies) -> Counts:
    """Of those that were resolved or doubled, as released: what stays open does not count."""
    resolved, doubled = leaps(melodies.notes)
    return _share(resolved, (resolved | doubled) & melodies.there)


def unique_max(melodies: Melodies) -> Counts:
    return _share(unique(melodies.notes, True)[:, -1], melodies.there.any(1))


def unique_min(melodies: Melodies) -> Counts:
    return _share(unique(melodies.notes, False)[:, -1], melodies.there.any(1))


def share_in_motif(melodies: Melodies) -> Counts:
    return _share(in_motif(melodies.notes), melodies.there)


def share_in_repeated_motif(melodies: Melodies) -> Counts:
    return _share(in_repeated_motif(melodies.notes), melodies.there)


def mean_autocorrelation(lag: int) -> Callable[[Melodies], Counts]:
    """Of whole melodies; those of one symbol alone have none, and are left out."""

    def of(melodies: Melodies) -> Counts:
        last = (melodies.there.sum(1, keepdim=True) - 1).clamp(min=0)
        found = autocorrelation(melodies.notes, lag).gather(1, last).squeeze(1)
        return found.nan_to_num().sum(), found.isfinite().sum()

    return of


STATISTICS: dict[str, tuple[float, Callable[[Melodies], Counts]]] = {
    "excess_repeats": (100, excess_repeats),
    "out_of_key": (100, not_in_key),
    "starts_tonic": (100, starts_tonic),
    "leaps_resolved": (100, leaps_resolved),
    "unique_max": (100, unique_max),
    "unique_min": (100, unique_min),
    "in_motif": (100, share_in_motif),
    "in_repeated_motif": (100, share_in_repeated_motif),
    **{f"autocorrelation{lag}": (1, mean_autocorrelation(lag)) for lag in LAGS},
}
"""What is counted for each score, and what it is multiplied by: 100 where it is in percent."""


def melody_statistic(name: str) -> Callable[[Outputs], Score]:
    """The score of that name; shares are of symbols, holds and rests among them, as published.

    0 where there is nothing of which to take a share.
    """
    factor, count = STATISTICS[name]

    def score(outputs: Outputs) -> Score:
        pairs = [count(melodies) for melodies in _melodies(outputs)]
        total, of = (torch.stack(part).double().sum() for part in zip(*pairs, strict=True))
        return Score(name, float(factor * total / of.clamp(min=1)), SIGNATURE)

    return score


def melody_reward(outputs: Outputs) -> Score:
    """The music-theory reward of a melody, all terms with their constants as released, the mean."""
    totals = [(theory(m.notes) * m.there).sum(1) for m in _melodies(outputs)]
    return Score("melody_reward", float(torch.cat(totals).mean()), SIGNATURE)


def _share(found: Tensor, there: Tensor) -> Counts:
    return (found & there).sum(), there.sum()


def _melodies(outputs: Outputs) -> Iterator[Melodies]:
    """The hypotheses. ValueError where the references are no melodies."""
    if not all(word in NUMBERS for texts in outputs.references for word in texts[0].split()):
        raise ValueError("scores of melodies need a task of melodies, such as task=melody")
    rows = [[NUMBERS.get(word, -1) for word in text.split()] for text in outputs.hypotheses]
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        width = max(1, *map(len, part))
        numbers = torch.tensor([row + [-1] * (width - len(row)) for row in part])
        yield Melodies(numbers.masked_fill(numbers < 0, HOLD), numbers >= 0)
