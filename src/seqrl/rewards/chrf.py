"""Sentence chrF as a reward."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Trajectories


class ChrfReward(Reward):
    """Sentence chrF in [0, 1] by sacreBLEU on the CPU: F of n-grams of characters without blanks.

    Whole sequences alone have it, so that it goes with algorithms that ask for no more.
    Popovic 2015.

    text   of ids up to EOS
    order  longest n-grams
    beta   weight of recall against precision
    """

    def __init__(
        self,
        *,
        text: Callable[[Sequence[int]], str],
        scale: str = "none",
        order: int = 6,
        beta: int = 2,
    ) -> None:
        super().__init__(scale=scale)
        require(order >= 1, f"order must be at least 1, not {order}")
        require(beta >= 1, f"beta must be at least 1, not {beta}")
        from sacrebleu.metrics.chrf import CHRF

        self.text = text
        self.metric = CHRF(char_order=order, beta=beta)

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        tokens = trajectories.targets.masked_fill(~trajectories.mask, batch.specials.eos)
        references = [
            [text for text in map(self.text, of_one) if text] or [""]
            for of_one in batch.references.tolist()
        ]
        scores = [
            self.metric.sentence_score(self.text(row), references[n // trajectories.group]).score
            for n, row in enumerate(tokens.tolist())
        ]
        found = torch.tensor(scores, device=tokens.device, dtype=torch.get_default_dtype())
        return self.factor(batch, trajectories.group) * found / 100
