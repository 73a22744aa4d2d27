"""Dropout whose noise costs a CPU little."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STEPS = 1 << 16
"""Of the probability: sixteen random bits decide about one number."""


class Dropout(nn.Dropout):
    """Each number is 0 with probability p, else divided by 1 - p; p in steps of 1 / 65,536.

    On a CPU the library draws one number at a time from its generator, which takes as long as a
    layer of the network; here one draw decides about four.
    """

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.p == 0 or values.device.type != "cpu":
            return super().forward(values)
        dropped = min(round(self.p * STEPS), STEPS - 1)
        draws = torch.empty(-(-values.numel() // 4), dtype=torch.long).random_(-(2**63), None)
        bits = draws.view(torch.int16)[: values.numel()].view(values.shape)
        kept = (bits >= dropped - STEPS // 2).to(values.dtype)
        return values * kept.mul_(STEPS / (STEPS - dropped))
