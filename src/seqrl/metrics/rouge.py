"""Sentence ROUGE on token ids, of all prefixes of all hypotheses at once.

    F = 2 m / (h + r)  of precision m / h and recall m / r; 0 where m = 0
    ROUGE-n            m n-grams in common, each counted at most as often as in the reference;
                       h and r those of the prefix and of the reference
    ROUGE-L            m tokens of the longest common subsequence; h and r tokens

Of several references the best one counts, for each measure by itself. Lin 2004; equal to the
package rouge-score on the same tokens without stemming (`score_multi`).

Ids and masks are as in `seqrl.metrics.ngrams`. `weights` gives for `rouge1`, `rouge2`, any
other `rougeN`, or `rougeL` by how much its F is multiplied; the results are the sums. They
are float64, so that differences of neighbouring prefixes keep float32 accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.metrics.ngrams import completed, matching

LONGEST = "rougeL"


def prefix_rouge(
    hypothesis: Tensor,
    hypothesis_mask: Tensor,
    references: Tensor,
    reference_mask: Tensor,
    *,
    weights: Mapping[str, float],
) -> Tensor:
    """[N, T], ROUGE of y_1..t; steps after the end repeat the last value."""
    lengths = hypothesis_mask.cumsum(1).unsqueeze(2)  # [N, T, 1]
    reference_lengths = reference_mask.sum(2).unsqueeze(1)  # [N, 1, M]
    result = torch.zeros(hypothesis.shape, dtype=torch.float64, device=hypothesis.device)
    order = _order(weights)
    if order:
        marks = matching(hypothesis, hypothesis_mask, references, reference_mask, order)
        for n, weight in _orders(weights):
            found = marks[..., n - 1].cumsum(1)
            result += weight * _f(found, lengths, reference_lengths, n).amax(2)
    if weights.get(LONGEST):
        rows = common_rows(hypothesis, hypothesis_mask, references, reference_mask)
        found = rows[:, 1:, :, -1]
        result += weights[LONGEST] * _f(found, lengths, reference_lengths, 1).amax(2)
    return result


def next_rouge(
    prefix: Tensor,
    references: Tensor,
    reference_mask: Tensor,
    *,
    first: int,
    weights: Mapping[str, float],
) -> tuple[Tensor, Tensor]:
    """By how much one more token changes the ROUGE of the first l tokens of `prefix` [N, t].

    For every l from `first` >= 0 to t, Q of them: the change [N, Q] that a token of no reference
    makes, and the changes [N, Q, M, T'] that the references' tokens make; the latter mean
    nothing outside `reference_mask`.
    """
    steps = prefix.shape[1]
    lengths = torch.arange(first, steps + 1, device=prefix.device).view(1, -1, 1)
    reference_lengths = reference_mask.sum(2).unsqueeze(1)
    size = (len(prefix), steps + 1 - first)
    other = torch.zeros(size, dtype=torch.float64, device=prefix.device)
    candidates = other.new_zeros(*size, references[0].numel())

    def add(n: int, weight: float, found: Tensor, new: Tensor) -> None:
        """found [N, Q, M] now, new [N, Q, M * T', M] with the token."""
        now = _f(found, lengths, reference_lengths, n).amax(2)
        same = _f(found, lengths + 1, reference_lengths, n).amax(2)
        more = _f(new, lengths.unsqueeze(3) + 1, reference_lengths.unsqueeze(2), n).amax(3)
        other.add_(same - now, alpha=weight)
        candidates.add_(more - now.unsqueeze(2), alpha=weight)

    everywhere = torch.ones_like(prefix, dtype=torch.bool)
    order = _order(weights)
    if order:
        marks = matching(prefix, everywhere, references, reference_mask, order)
        new = completed(prefix, references, reference_mask, first, order)
        for n, weight in _orders(weights):
            found = pad(marks[..., n - 1].cumsum(1), (0, 0, 1, 0))[:, first:]
            add(n, weight, found, found.unsqueeze(2) + new[..., n - 1])
    if weights.get(LONGEST):
        rows = common_rows(prefix, everywhere, references, reference_mask)[:, first:]
        add(1, weights[LONGEST], rows[..., -1], _longer(rows, references, reference_mask))
    return other, candidates.view(*size, *references.shape[1:])


def common_rows(
    hypothesis: Tensor, hypothesis_mask: Tensor, references: Tensor, reference_mask: Tensor
) -> Tensor:
    """[N, T + 1, M, T' + 1], tokens of the longest subsequence that two beginnings share.

    A new token of the hypothesis lengthens c_{j-1} where it is the reference's j-th; the
    cells of a row then are the running maximum of these and of the row before.
    """
    same = hypothesis[:, :, None, None] == references.unsqueeze(1)  # [N, T, M, T']
    same = same & hypothesis_mask[:, :, None, None] & reference_mask.unsqueeze(1)
    row = pad(torch.zeros_like(references, dtype=torch.int64), (1, 0))
    rows = [row]
    for equal in same.unbind(1):
        longer = torch.maximum(row[..., 1:], row[..., :-1] + equal)
        row = pad(longer, (1, 0)).cummax(-1).values
        rows.append(row)
    return torch.stack(rows, dim=1)


def _longer(rows: Tensor, references: Tensor, reference_mask: Tensor) -> Tensor:
    """[N, Q, M * T', M], the common tokens with each reference after one of the tokens more.

    The token pays most at its last place in the reference: c before that place, plus one.
    """
    words = references.flatten(1)
    same = (references.unsqueeze(3) == words[:, None, None]) & reference_mask.unsqueeze(3)
    places = torch.arange(1, references.shape[2] + 1, device=references.device)
    last = (same * places.view(1, 1, -1, 1)).amax(2)  # [N, M, M * T'], 0 where there is none
    before = (last - 1).clamp(min=0).unsqueeze(1).expand(-1, rows.shape[1], -1, -1)
    with_token = rows.gather(3, before) + (last > 0).unsqueeze(1)
    return torch.maximum(with_token, rows[..., -1:]).transpose(2, 3)


def _f(found: Tensor, length: Tensor, reference_length: Tensor, n: int) -> Tensor:
    """F of n-grams found among those of two texts of these lengths in tokens, [...]."""
    grams = length + reference_length - 2 * (n - 1)  # too few only where none is found
    return 2 * found.double() / grams.clamp(min=1)


def _orders(weights: Mapping[str, float]) -> Iterator[tuple[int, float]]:
    """N and weight of every `rougeN` that counts."""
    for name, weight in weights.items():
        if weight and name != LONGEST:
            yield int(name.removeprefix("rouge")), weight


def _order(weights: Mapping[str, float]) -> int:
    return max((n for n, _ in _orders(weights)), default=0)
