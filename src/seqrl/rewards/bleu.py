"""Sentence BLEU as a reward."""

from __future__ import annotations

from torch import Tensor

from seqrl.metrics.bleu import next_bleu, prefix_bleu
from seqrl.ranges import require
from seqrl.rewards.metric import MetricReward


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
