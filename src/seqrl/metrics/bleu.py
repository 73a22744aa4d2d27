"""Smoothed sentence BLEU on token ids, of all prefixes of all hypotheses at once.

    match_n      n-grams of the prefix that occur in a reference, each n-gram counted at most
                 as often as in the reference that holds it most often
    precision_n  (match_n + smooth) / (max(l - n + 1, 0) + smooth), l the prefix's length
    BP           exp(min(0, 1 - r / l)), r the reference length closest to l, of two the shorter
    BLEU         BP * exp(mean over n <= order of log precision_n), 0 where l = 0

Papineni et al. 2002 (BLEU), Lin and Och 2004 (adding one); unlike theirs, `smooth` is added
to unigrams too, which is the training reward of Bahdanau et al. 2016 and Dai et al. 2018.

All functions take ids as hypothesis [N, T] and references [N, M, T'], with masks that are
true on the tokens that count: the leading ones of a row, EOS excluded. An id that only
references use, such as -1, matches nothing and still counts in their length. Results are
float64, so that differences of neighbouring prefixes keep float32 accuracy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

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
    matches = _clipped(hypothesis, hypothesis_mask, references, reference_mask, order).cumsum(1)
    length = hypothesis_mask.cumsum(1)
    return _bleu(matches, length, closest_length(length, reference_mask), smooth)


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
    marks = _clipped(prefix, everywhere, references, reference_mask, order)
    matches = pad(marks.cumsum(1), (0, 0, 1, 0))[:, first:]  # [N, Q, order]
    length = torch.arange(first, prefix.shape[1] + 1, device=prefix.device).expand(len(prefix), -1)
    now = _bleu(matches, length, closest_length(length, reference_mask), smooth)
    longer = length + 1
    closest = closest_length(longer, reference_mask)
    other = _bleu(matches, longer, closest, smooth)
    new = _completed(prefix, references, reference_mask, first, order)  # [N, Q, M * T', order]
    candidates = _bleu(
        matches.unsqueeze(2) + new, longer.unsqueeze(2), closest.unsqueeze(2), smooth
    )
    changes = candidates - now.unsqueeze(2)
    return other - now, changes.view(*length.shape, *references.shape[1:])


def closest_length(length: Tensor, reference_mask: Tensor) -> Tensor:
    """[N, L], for each of the lengths [N, L] that of the closest reference; of two, the shorter."""
    lengths = reference_mask.sum(2).unsqueeze(1)  # [N, 1, M]
    gap = lengths - length.unsqueeze(2)  # [N, L, M]
    rank = 2 * gap.abs() + (gap > 0)  # equal for references of equal length only
    absent = ~present(reference_mask).unsqueeze(1)
    nearest = rank.masked_fill(absent, torch.iinfo(rank.dtype).max).argmin(2, keepdim=True)
    return lengths.expand_as(gap).gather(2, nearest).squeeze(2)


def _bleu(matches: Tensor, length: Tensor, closest: Tensor, smooth: float) -> Tensor:
    """[...], from clipped matches [..., order], lengths and closest reference lengths [...]."""
    orders = torch.arange(matches.shape[-1], device=matches.device)
    total = (length.unsqueeze(-1) - orders).clamp(min=0).double() + smooth
    matched = matches.double() + smooth
    precision = torch.where(total > 0, matched / total, 0.0)
    tokens = length.clamp(min=1).double()
    brevity = (1 - closest.double() / tokens).clamp(max=0)
    return torch.where(length > 0, torch.exp(brevity + precision.log().mean(-1)), 0.0)


def _clipped(
    hypothesis: Tensor,
    hypothesis_mask: Tensor,
    references: Tensor,
    reference_mask: Tensor,
    order: int,
) -> Tensor:
    """[N, T, order], true where the n-gram that ends at t is a match that clipping leaves.

    An occurrence counts as long as fewer occurrences precede it than a reference has.
    """
    steps = hypothesis.shape[1]
    repeated = hypothesis.unsqueeze(2) == hypothesis.unsqueeze(1)  # [N, T, T]
    repeated = repeated.tril(-1)  # the second position lies before the first
    found = hypothesis[:, :, None, None] == references.unsqueeze(1)  # [N, T, M, T']
    found = found & hypothesis_mask[:, :, None, None] & reference_mask.unsqueeze(1)
    repeats, hits, marks = repeated, found, []
    for n in range(order):
        if n:  # n + 1 tokens agree where n tokens and the next one do
            repeats = repeats[:, :-1, :-1] & repeated[:, n:, n:]
            hits = hits[:, :-1, :, :-1] & found[:, n:, :, n:]
        allowed = hits.sum(3).amax(2)
        marks.append(pad(repeats.sum(2) < allowed, (n, 0))[:, :steps])
    return torch.stack(marks, dim=2)


def _completed(
    prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int, order: int
) -> Tensor:
    """[N, Q, M * T', order], true where a reference's token after l tokens is one more match.

    That is where the n-gram that it ends occurs among the l tokens less often than in a
    reference. Occurrences are counted as products of two matrices: of the places where the
    n - 1 tokens before are those before l, and of the places where the token stands.
    """
    steps = prefix.shape[1]
    words = references.flatten(1)
    stands = prefix.unsqueeze(2) == words.unsqueeze(1)  # [N, t, M * T'], in the prefix
    equal = prefix.unsqueeze(2) == prefix.unsqueeze(1)  # [N, t, t]
    found = stands.view(len(prefix), steps, *references.shape[1:]) & reference_mask.unsqueeze(1)
    same = (references.unsqueeze(3) == words[:, None, None]) & reference_mask.unsqueeze(3)
    lengths = torch.arange(first, steps + 1, device=prefix.device)
    earlier = torch.arange(steps, device=prefix.device) < lengths.unsqueeze(1)  # [Q, t]
    # places in the prefix and in the references that the n - 1 tokens before l precede
    again = earlier.expand(len(prefix), -1, -1)
    follows = reference_mask.unsqueeze(1).expand(-1, len(lengths), -1, -1)
    marks: list[Tensor] = []
    for n in range(order):
        if n > steps:
            marks.append(torch.zeros_like(marks[0]))
            continue
        if n:  # the token n before l stands n before the place, too
            exists = (lengths >= n).view(1, -1, 1)
            last = (lengths - n).clamp(min=0)
            again = again & exists & _later(equal.index_select(1, last), n)
            follows = follows & exists.unsqueeze(3) & _later(found.index_select(1, last), n)
        # in double precision, which no autocast makes half, where counts are exact to 256 only
        used = again.double() @ stands.double()  # [N, Q, M * T']
        allowed = torch.einsum("nqmj,nmjc->nqmc", follows.double(), same.double()).amax(2)
        marks.append(used < allowed)
    return torch.stack(marks, dim=3)


def _later(where: Tensor, steps: int) -> Tensor:
    """`where` moved to the right in its last dimension."""
    return pad(where, (steps, 0))[..., : where.shape[-1]]
