"""What outputs must not be, whatever the model says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seqrl.ranges import require
from seqrl.types import Specials


@dataclass(frozen=True)
class Constraints:
    """Bars tokens at every step; where all would be barred, none is.

    min_length       tokens that an output has at least, without EOS
    no_repeat_ngram  n: no n-gram stands in an output twice (Paulus et al. 2018, 2.5); 0: any may
    no_unk           the unknown word is never written
    """

    min_length: int = 0
    no_repeat_ngram: int = 0
    no_unk: bool = False

    def __post_init__(self) -> None:
        for name in ("min_length", "no_repeat_ngram"):
            value = getattr(self, name)
            require(value >= 0, f"{name} must not be negative, not {value}")

    def __call__(self, scores: Tensor, prefix: Tensor, specials: Specials) -> Tensor:
        """scores [N, V] of the tokens after `prefix` [N, t], -inf where they are barred."""
        if self == UNCONSTRAINED:
            return scores
        barred = torch.zeros_like(scores, dtype=torch.bool)
        if self.no_repeat_ngram:
            barred = barred | repeating(prefix, self.no_repeat_ngram, scores.shape[-1])
            barred[:, specials.eos] = False
        if self.no_unk:
            barred[:, specials.unk] = True
        if prefix.shape[1] < self.min_length:
            barred[:, specials.eos] = True
        possible = barred | (scores == float("-inf"))
        return scores.masked_fill(barred & ~possible.all(-1, keepdim=True), float("-inf"))


UNCONSTRAINED = Constraints()


def repeating(prefix: Tensor, order: int, vocabulary: int) -> Tensor:
    """[N, V], true for tokens that would end an n-gram, n = order, that `prefix` [N, t] holds."""
    found = torch.zeros(len(prefix), vocabulary, dtype=torch.bool, device=prefix.device)
    if prefix.shape[1] < order:
        return found
    grams = prefix.unfold(1, order, 1)  # [N, t - n + 1, n]
    last = prefix[:, prefix.shape[1] - order + 1 :].unsqueeze(1)  # [N, 1, n - 1]
    again = (grams[..., :-1] == last).all(-1)
    return found.scatter_reduce(1, grams[..., -1], again, "amax")
