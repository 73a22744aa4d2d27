"""N-grams that token ids have in common with references, of all prefixes at once.

All functions take ids as hypothesis [N, T] and references [N, M, T'], with masks that are
true on the tokens that count: the leading ones of a row, EOS excluded. An id that only
references use, such as -1, matches nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def matching(
    hypothesis: Tensor,
    hypothesis_mask: Tensor,
    references: Tensor,
    reference_mask: Tensor,
    order: int,
) -> Tensor:
    """[N, T, M, order], true where the n-gram that ends at t is one more match with a reference.

    An occurrence counts as long as fewer occurrences precede it than the reference has: the
    number of marks up to t is that of the prefix's matches, clipped.
    """
    steps = hypothesis.shape[1]
    earlier = _earlier(hypothesis)
    found = hypothesis[:, :, None, None] == references.unsqueeze(1)  # [N, T, M, T']
    found = found & hypothesis_mask[:, :, None, None] & reference_mask.unsqueeze(1)
    repeats, hits, marks = earlier, found, []
    for n in range(order):
        if n:  # n + 1 tokens agree where n tokens and the next one do
            repeats = repeats[:, :-1, :-1] & earlier[:, n:, n:]
            hits = hits[:, :-1, :, :-1] & found[:, n:, :, n:]
        more = repeats.sum(2).unsqueeze(2) < hits.sum(3)
        marks.append(pad(more, (0, 0, n, 0))[:, :steps])
    return torch.stack(marks, dim=3)


def repeated(tokens: Tensor, order: int) -> Tensor:
    """[N, T], true where the n-gram that ends at t, n = order, is in the row [N, T] before it."""
    earlier = _earlier(tokens)
    repeats = earlier
    for n in range(1, order):
        repeats = repeats[:, :-1, :-1] & earlier[:, n:, n:]
    return pad(repeats.any(2), (order - 1, 0))[:, : tokens.shape[1]]


def completed(
    prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int, order: int
) -> Tensor:
    """[N, Q, M * T', M, order], true where a reference's token brings one more match.

    It would come after the first l tokens of `prefix` [N, t], for every l from `first` >= 0 to
    t, Q of them. The match is with the fourth dimension's reference, which may be another than
    the token's own; what stands outside `reference_mask` means nothing.

    There is one where the n-gram that the token ends occurs among the l tokens less often than
    in the reference. Occurrences are counted as products of two matrices: of the places where
    the n - 1 tokens before are those before l, and of the places where the token stands.
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
        allowed = torch.einsum("nqmj,nmjc->nqcm", follows.double(), same.double())
        marks.append(used.unsqueeze(3) < allowed)
    return torch.stack(marks, dim=4)


def _earlier(tokens: Tensor) -> Tensor:
    """[N, T, T], true at (t, s) where the token of t stands at s < t."""
    return (tokens.unsqueeze(2) == tokens.unsqueeze(1)).tril(-1)


def _later(where: Tensor, steps: int) -> Tensor:
    """`where` moved to the right in its last dimension."""
    return pad(where, (steps, 0))[..., : where.shape[-1]]
