"""Smoothed sentence BLEU on token ids, of all prefixes of all hypotheses at once.

    match_n      n-grams of the prefix that occur in a reference, each n-gram counted at most
                 as often as in the reference that holds it most often
    precision_n  (match_n + smooth) / (max(l - n + 1, 0) + smooth), l the prefix's length
    BP           exp(min(0, 1 - r / l)), r the reference length closest to l, of two the shorter
    BLEU         BP * exp(mean over n <= order of log precision_n), 0 where l = 0

Papineni et al. 2002 (BLEU), Lin and Och 2004 (adding one); unlike theirs, `smooth` is added
to unigrams too, which is the training reward of Bahdanau et al. 2016 and Dai et al. 2018.

Ids and masks are as in `seqrl.metrics.ngrams`. Results are float64, so that differences of
neighbouring prefixes keep float32 accuracy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.metrics.ngrams import completed, matching
from seqrl.metrics.references import present


def prefix_bleu(
    hypothesis: Tensor,
    hypothesis_mask: Tensor,
    references: Tensor,
    reference_mask: Tensor,
    *,
    order: int = 4,
    smooth: float = 1.0,
) -> Tensor:
    """[N, T], BLEU of y_1..t; steps after the end repeat the last value."""
    marks = matching(hypothesis, hypothesis_mask, references, reference_mask, order).any(2)
    matches, length = marks.cumsum(1), hypothesis_mask.cumsum(1)
    return bleu_of(matches, length, closest_length(length, reference_mask), smooth)


def next_bleu(
    prefix: Tensor,
    references: Tensor,
    reference_mask: Tensor,
    *,
    first: int,
    order: int = 4,
    smooth: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """By how much one more token changes the BLEU of the first l tokens of `prefix` [N, t].

    For every l from `first` >= 0 to t, Q of them: the change [N, Q] that a token of no reference
    makes, and the changes [N, Q, M, T'] that the references' tokens make; the latter mean
    nothing outside `reference_mask`.
    """
    everywhere = torch.ones_like(prefix, dtype=torch.bool)
    marks = matching(prefix, everywhere, references, reference_mask, order).any(2)
    matches = pad(marks.cumsum(1), (0, 0, 1, 0))[:, first:]  # [N, Q, order]
    length = torch.arange(first, prefix.shape[1] + 1, device=prefix.device).expand(len(prefix), -1)
    now = bleu_of(matches, length, closest_length(length, reference_mask), smooth)
    longer = length + 1
    closest = closest_length(longer, reference_mask)
    other = bleu_of(matches, longer, closest, smooth)
    new = completed(prefix, references, reference_mask, first, order).any(3)
    candidates = bleu_of(
        matches.unsqueeze(2) + new, longer.unsqueeze(2), closest.unsqueeze(2), smooth
    )
    changes = candidates - now.unsqueeze(2)
    return other - now, changes.view(*length.shape, *references.shape[1:])


def closest_length(length: Tensor, reference_mask: Tensor) -> Tensor:
    """[N, L], for each of the lengths [N, L] that of the closest reference; of two, the shorter."""
    return nearest(length, reference_mask.sum(2), present(reference_mask))


def nearest(length: Tensor, lengths: Tensor, there: Tensor) -> Tensor:
    """[N, L], for each of the lengths [N, L] the closest of `lengths` [N, M] where `there` is true.

    Of two that are as close the shorter.
    """
    gap = lengths.unsqueeze(1) - length.unsqueeze(2)  # [N, L, M]
    rank = 2 * gap.abs() + (gap > 0)  # equal for equal lengths only
    rank = rank.masked_fill(~there.unsqueeze(1), torch.iinfo(rank.dtype).max)
    return lengths.unsqueeze(1).expand_as(gap).gather(2, rank.argmin(2, keepdim=True)).squeeze(2)


def bleu_of(matches: Tensor, length: Tensor, closest: Tensor, smooth: float) -> Tensor:
    """[...], from clipped matches [..., order], lengths and closest reference lengths [...]."""
    orders = torch.arange(matches.shape[-1], device=matches.device)
    total = (length.unsqueeze(-1) - orders).clamp(min=0).double() + smooth
    matched = matches.double() + smooth
    precision = torch.where(total > 0, matched / total, 0.0)
    tokens = length.clamp(min=1).double()
    brevity = (1 - closest.double() / tokens).clamp(max=0)
    return torch.where(length > 0, torch.exp(brevity + precision.log().mean(-1)), 0.0)
