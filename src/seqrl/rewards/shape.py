"""Rewards for what a sequence is like, whatever its words mean: its length, its repetitions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqrl.metrics.ngrams import repeated
from seqrl.metrics.references import present
from seqrl.ranges import require
from seqrl.rewards.base import Changes, PrefixReward
from seqrl.rewards.metric import MetricReward
from seqrl.types import Batch, Trajectories


class LengthReward(MetricReward):
    """R(y, y*) = -| |y| - r | / r, r the tokens of the reference that makes it greatest."""

    def __init__(self, *, scale: str = "none") -> None:
        super().__init__(scale=scale)
        self.leads = False

    def prefixes(
        self,
        hypothesis: Tensor,
        hypothesis_mask: Tensor,
        references: Tensor,
        reference_mask: Tensor,
    ) -> Tensor:
        return _closeness(hypothesis_mask.cumsum(1), reference_mask)

    def following(
        self, prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        lengths = torch.arange(first, prefix.shape[1] + 2, device=prefix.device)
        change = _closeness(lengths.expand(len(prefix), -1), reference_mask).diff(dim=1)
        return change, change[..., None, None].expand(*change.shape, *references.shape[1:])


def _closeness(length: Tensor, reference_mask: Tensor) -> Tensor:
    """[N, L], of lengths [N, L]."""
    lengths = reference_mask.sum(2).unsqueeze(1)  # [N, 1, M]
    gap = (length.unsqueeze(2) - lengths).abs().double() / lengths.clamp(min=1)
    return -gap.masked_fill(~present(reference_mask).unsqueeze(1), float("inf")).amin(2)


class RepetitionReward(PrefixReward):
    """R(y, y*) = -(number of n-grams of y that it held before) / r, r tokens in the reference.

    At scale `reference_length` every repetition costs one.

    order  n
    """

    leads = False

    def __init__(self, *, scale: str = "none", order: int = 2) -> None:
        super().__init__(scale=scale)
        require(order >= 1, f"order must be at least 1, not {order}")
        self.order = order

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.increments(trajectories, batch).sum(1)

    def increments(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        words = trajectories.mask & (trajectories.targets != batch.specials.eos)
        again = repeated(trajectories.targets, self.order) & words
        return -(again * self._cost(batch, trajectories.group).unsqueeze(1))

    def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
        steps = prefix.shape[1]
        places = self._places(pad(prefix, (0, 1)))[:, steps, :steps]
        cost = -(places * self._cost(batch, group).unsqueeze(1))
        return cost.new_zeros(len(prefix), vocabulary).scatter_reduce(1, prefix, cost, "amin")

    def changes(self, trajectories: Trajectories, batch: Batch, vocabulary: int) -> Changes:
        steps = trajectories.targets.shape[1]
        places = trajectories.flat(self._places(trajectories.targets))  # [P, T]
        rows = trajectories.places // steps
        eos = batch.specials.eos
        words = trajectories.targets[rows].masked_fill(~places, eos)
        gains = -(places * self._cost(batch, trajectories.group)[rows].unsqueeze(1))
        return Changes(torch.zeros_like(gains[:, 0]), words, gains)

    def _cost(self, batch: Batch, group: int) -> Tensor:
        """[N], of one repetition."""
        length = batch.target_length.clamp(min=1).repeat_interleave(group)
        return self.factor(batch, group) / length

    def _places(self, tokens: Tensor) -> Tensor:
        """[N, T, T], true at (t, s) where the word of s < t would end at t what ends at s."""
        steps = tokens.shape[1]
        equal = tokens.unsqueeze(2) == tokens.unsqueeze(1)
        found = torch.ones_like(equal).tril(-1)
        for n in range(1, self.order):  # the tokens n before t and s, which there must be
            found = found & pad(equal, (n, 0, n, 0))[:, :steps, :steps]
        return found
