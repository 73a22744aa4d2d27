"""Sentence ROUGE as a reward."""

from __future__ import annotations

from torch import Tensor

from seqrl.metrics.rouge import next_rouge, prefix_rouge
from seqrl.ranges import require
from seqrl.rewards.metric import MetricReward


class RougeReward(MetricReward):
    """A weighted sum of ROUGE-1, ROUGE-2 and ROUGE-L F, see `seqrl.metrics.rouge`.

    rouge1, rouge2, rougeL  weights; all one is the reward of Tan et al. 2018, in [0, 3]
    match_unk               whether unknown words match each other

    Only pairs of words lead from one to the next: without ROUGE-2 any word of the reference that
    is still missing pays as much as the right one (ROUGE-1), or more (ROUGE-L, until later).
    """

    def __init__(
        self,
        *,
        scale: str = "none",
        rouge1: float = 1.0,
        rouge2: float = 1.0,
        rougeL: float = 1.0,  # noqa: N803  the measure's name
        match_unk: bool = True,
    ) -> None:
        super().__init__(scale=scale, match_unk=match_unk)
        self.weights = {"rouge1": rouge1, "rouge2": rouge2, "rougeL": rougeL}
        for name, weight in self.weights.items():
            require(weight >= 0, f"{name} must not be negative, not {weight}")
        require(any(self.weights.values()), "one of rouge1, rouge2 and rougeL must be positive")
        self.leads = rouge2 > 0

    def prefixes(
        self,
        hypothesis: Tensor,
        hypothesis_mask: Tensor,
        references: Tensor,
        reference_mask: Tensor,
    ) -> Tensor:
        return prefix_rouge(
            hypothesis, hypothesis_mask, references, reference_mask, weights=self.weights
        )

    def following(
        self, prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        return next_rouge(prefix, references, reference_mask, first=first, weights=self.weights)
