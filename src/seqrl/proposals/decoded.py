"""Trajectories that another policy decodes."""

from __future__ import annotations

from typing import Any

import torch

from seqrl.decoding.decoder import Decoder
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Trajectories, shift_right


class Decoded(Proposal):
    """A frozen teacher's output for the source, K = 1: what sequence-level distillation learns.

    The mode of the teacher stands for its distribution (Kim & Rush 2016, section 3.2). Outputs
    that a limit on the length cut end with EOS in place of their last token.

    teacher  without dropout
    decoder  of its outputs: beam search, in the paper with 5 hypotheses
    """

    def __init__(self, *, teacher: Policy[Any, Any], decoder: Decoder) -> None:
        self.teacher = teacher.requires_grad_(False).eval()
        self.decoder = decoder

    @torch.no_grad()
    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        specials = batch.specials
        tokens = self.decoder(self.teacher, batch)
        mask = tokens != specials.pad
        cut = ~(tokens == specials.eos).any(1)
        last = mask.sum(1, keepdim=True) - 1
        ends = torch.zeros_like(mask).scatter(1, last, cut.unsqueeze(1))
        tokens = torch.where(ends, specials.eos, tokens)
        return Trajectories(
            shift_right(tokens, specials.bos), tokens, mask, torch.zeros_like(mask), cut=cut
        )
