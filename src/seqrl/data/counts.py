"""What is counted in the training split's references, for proposals that imitate it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


class TokenCounts:
    """Counts of the tokens and of the pairs of neighbours in sequences that end in EOS.

    BOS, which stands before every sequence, counts as a neighbour and not as a token.

    size         V
    tokens       [V], how often each token occurs, EOS included
    contexts     [V], how often each token (BOS too) stands before another: its count, but for
                 EOS, after which there is nothing
    following    [V], N1+(w, .), the distinct tokens that follow w
    preceding    [V], N1+(., w), the distinct tokens before w
    """

    def __init__(self, sequences: Iterable[Sequence[int]], *, size: int, bos: int) -> None:
        firsts: list[int] = []
        seconds: list[int] = []
        for sequence in sequences:
            firsts += [bos, *sequence[:-1]]
            seconds += sequence
        first = torch.tensor(firsts, dtype=torch.long, device="cpu")
        second = torch.tensor(seconds, dtype=torch.long, device="cpu")
        pairs = torch.unique(first * size + second)
        self.size = size
        self.tokens = _counted(second, size)
        self.contexts = _counted(first, size)
        self.following = _counted(pairs // size, size)
        self.preceding = _counted(pairs % size, size)


def _counted(tokens: Tensor, size: int) -> Tensor:
    """[V] in double precision."""
    return torch.bincount(tokens, minlength=size).double()
