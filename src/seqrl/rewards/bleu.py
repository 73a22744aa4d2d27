"""Sentence BLEU as a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from seqrl.metrics.bleu import next_bleu, prefix_bleu
from seqrl.metrics.reference_set import ReferenceSet
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.rewards.metric import MetricReward
from seqrl.types import Batch, Trajectories


class BleuReward(MetricReward):
    """Smoothed sentence BLEU in [0, 1], see `seqrl.metrics.bleu`; 0 for the empty sentence.

    order      longest n-grams
    smooth     added to matches and totals of every order
    match_unk  whether unknown words match each other, as in the training reward of ERAC; if
               not, a reference's count in its length only

    ERAC's reward for tokens (Dai et al. 2018) is the increments at scale `reference_length`.
    """

    def __init__(
        self,
        *,
        scale: str = "none",
        order: int = 4,
        smooth: float = 1.0,
        match_unk: bool = True,
    ) -> None:
        super().__init__(scale=scale, match_unk=match_unk)
        require(order >= 1, f"order must be at least 1, not {order}")
        require(smooth >= 0, f"smooth must not be negative, not {smooth}")
        self.order = order
        self.smooth = smooth

    def prefixes(
        self,
        hypothesis: Tensor,
        hypothesis_mask: Tensor,
        references: Tensor,
        reference_mask: Tensor,
    ) -> Tensor:
        return prefix_bleu(
            hypothesis,
            hypothesis_mask,
            references,
            reference_mask,
            order=self.order,
            smooth=self.smooth,
        )

    def following(
        self, prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        return next_bleu(
            prefix, references, reference_mask, first=first, order=self.order, smooth=self.smooth
        )


class CorpusBleuReward(Reward):
    """Smoothed sentence BLEU in [0, 1] against all first references of the training split.

    They are one set, whatever the source: for data without sources, where a sentence's own
    reference is none. It is the reward of the PG-BLEU of Yu et al. (2017), section 5.1, for whole
    sequences alone.

    training  gives the split's first references, each ending in EOS
    order     longest n-grams
    smooth    added to matches and totals of every order
    """

    def __init__(
        self,
        *,
        training: Callable[[], Sequence[Sequence[int]]],
        scale: str = "none",
        order: int = 4,
        smooth: float = 1.0,
    ) -> None:
        super().__init__(scale=scale)
        require(order >= 1, f"order must be at least 1, not {order}")
        require(smooth >= 0, f"smooth must not be negative, not {smooth}")
        self.training = training
        self.order = order
        self.smooth = smooth

    @cached_property
    def references(self) -> ReferenceSet:
        """All of them, counted when they are first asked for."""
        return ReferenceSet([row[:-1] for row in self.training()], order=self.order)

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        tokens = trajectories.targets
        mask = trajectories.mask & (tokens != batch.specials.eos)
        found = self.references.to(tokens.device).bleu(tokens, mask, smooth=self.smooth)
        factor = self.factor(batch, trajectories.group)
        return (found * factor).to(torch.get_default_dtype())
