"""Edit and Hamming distance on token ids, of all prefixes of all hypotheses at once.

The edit distance (Levenshtein 1966) is the smallest number of tokens to insert, delete or
substitute; the Hamming distance counts the positions that differ, plus the difference of
the lengths. The distance to several references is that to the nearest.

All functions take ids as hypothesis [N, T] and references [N, M, T'], with masks that are
true on the tokens that count: the leading ones of a row, EOS excluded. Distances are int64.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.metrics.references import present


def prefix_edit_distance(
    hypothesis: Tensor, hypothesis_mask: Tensor, references: Tensor, reference_mask: Tensor
) -> Tensor:
    """[N, T], from y_1..t to the whole reference; steps after the end repeat the last value."""
    row = _first_row(references)
    distances = []
    for t in range(hypothesis.shape[1]):
        moved = _next_row(row, references != hypothesis[:, t, None, None])
        row = torch.where(hypothesis_mask[:, t, None, None], moved, row)
        distances.append(row)
    rows = torch.stack(distances, dim=2)  # [N, M, T, T' + 1]
    return _nearest(_cell(rows, reference_mask.sum(2)[..., None, None]), reference_mask)


def prefix_hamming(
    hypothesis: Tensor, hypothesis_mask: Tensor, references: Tensor, reference_mask: Tensor
) -> Tensor:
    """[N, T], from y_1..t to the whole reference; steps after the end repeat the last value."""
    distances = _hamming(hypothesis, hypothesis_mask, references, reference_mask)
    return _nearest(distances, reference_mask)


def next_edit_distance(
    prefix: Tensor, references: Tensor, reference_mask: Tensor, *, first: int
) -> tuple[Tensor, Tensor]:
    """By how much one more token changes the distance of the first l tokens of `prefix` [N, t].

    For every l from `first` >= 0 to t, Q of them: the change [N, Q] that a token of no reference
    makes, and upper bounds [N, Q, M, T'] of the changes that the references' tokens make: a
    token's change is the least of those where it stands. They mean nothing outside
    `reference_mask`.
    """
    row = _first_row(references)
    found = [row]
    for t in range(prefix.shape[1]):
        row = _next_row(row, references != prefix[:, t, None, None])
        found.append(row)
    rows = torch.stack(found[first:], dim=2)  # [N, M, Q, T' + 1]
    length = reference_mask.sum(2)[..., None, None]
    now = _nearest(_cell(rows, length), reference_mask)
    unmatched = _next_row(rows, torch.ones_like(rows[..., 1:], dtype=torch.bool))
    other = _nearest(_cell(unmatched, length), reference_mask)
    # The token matched at one place, and the rest of the reference inserted after it.
    rest = length - _columns(references)[1:]
    matched = torch.minimum((rows[..., :-1] + rest).transpose(1, 2), other[..., None, None])
    return other - now, matched - now[..., None, None]


def next_hamming(
    prefix: Tensor, references: Tensor, reference_mask: Tensor, *, first: int
) -> tuple[Tensor, Tensor]:
    """As `next_edit_distance`, for the Hamming distance."""
    # One column before the prefix, which is no token, so that the empty one has its distance.
    ids, shifted = pad(prefix, (1, 0)), pad(references, (1, 0))
    masks = pad(torch.ones_like(prefix, dtype=torch.bool), (1, 0)), pad(reference_mask, (1, 0))
    distances = _hamming(ids, masks[0], shifted, masks[1])[..., first:]  # [N, M, Q]
    steps = torch.arange(first, prefix.shape[1] + 1, device=prefix.device)
    now = _nearest(distances, reference_mask)
    beyond = reference_mask.sum(2, keepdim=True) <= steps
    other = _nearest(distances + beyond, reference_mask)
    here = _columns(references)[:-1] == steps.unsqueeze(1)  # [Q, T']
    right = torch.minimum(distances - 1, other.unsqueeze(1)).transpose(1, 2)
    matched = torch.where(here.unsqueeze(1), right.unsqueeze(3), other[..., None, None])
    return other - now, matched - now[..., None, None]


def _hamming(
    hypothesis: Tensor, hypothesis_mask: Tensor, references: Tensor, reference_mask: Tensor
) -> Tensor:
    """[N, M, T], each prefix's distance to each reference."""
    steps = hypothesis.shape[1]
    width = min(steps, references.shape[2])
    both = hypothesis_mask[:, None, :width] & reference_mask[..., :width]
    wrong = (hypothesis[:, None, :width] != references[..., :width]) & both
    length = hypothesis_mask.cumsum(1).unsqueeze(1)
    missing = (reference_mask.sum(2, keepdim=True) - length).abs()
    return pad(wrong, (0, steps - width)).cumsum(2) + missing


def _first_row(references: Tensor) -> Tensor:
    """[N, M, T' + 1], from the empty prefix to the beginnings of the references."""
    rows, size, _ = references.shape
    return _columns(references).expand(rows, size, -1)


def _next_row(row: Tensor, differs: Tensor) -> Tensor:
    """[..., T' + 1], the row of a prefix from that of the prefix one token shorter.

    `differs` [..., T'] is true where the new token is not the reference's. Insertions make
    each cell depend on its left neighbour, D_j = min(c_j, D_{j-1} + 1), which is the
    running minimum of c_j - j, plus j.
    """
    delete = row + 1
    substitute = row[..., :-1] + differs
    best = torch.cat([delete[..., :1], torch.minimum(delete[..., 1:], substitute)], dim=-1)
    columns = _columns(differs)
    return (best - columns).cummin(-1).values + columns


def _columns(references: Tensor) -> Tensor:
    """[T' + 1], 0 to the references' width."""
    return torch.arange(references.shape[-1] + 1, device=references.device)


def _cell(rows: Tensor, length: Tensor) -> Tensor:
    """[N, M, Q], the distances to the first `length` [N, M, 1, 1] tokens of the references."""
    return rows.gather(3, length.expand(-1, -1, rows.shape[2], -1)).squeeze(3)


def _nearest(distances: Tensor, reference_mask: Tensor) -> Tensor:
    """The least over the references, of distances [N, M, ...]."""
    absent = ~present(reference_mask)
    absent = absent.view(absent.shape + (1,) * (distances.dim() - 2))
    return distances.masked_fill(absent, torch.iinfo(distances.dtype).max).amin(1)
