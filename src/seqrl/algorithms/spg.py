"""The softmax policy gradient (Ding & Soricut 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import WeightedLikelihood, of_choices, self_normalised
from seqrl.algorithms.diagnostics import weighted_nll_per_token
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import PrefixReward, Reward, incremental
from seqrl.types import Batch, Trajectories

LEVELS = ("token", "sequence")
SCALE, SCALE_OF_TOKENS = 20.0, 2.5


class SPG(WeightedLikelihood):
    """Ascends V = log E_p[exp(scale R(y, y*))], whose gradient is

        E_q[grad log p(y | x)],    q(y) proportional to p(y | x) exp(scale R(y, y*)),

    estimated on K trajectories, L = -(1/B) sum_b sum_k w_bk log p(y_bk | x_b). An EOS that a limit
    on the length put was no choice of the policy and has no part in log p.

    level       `token`: trajectories of `guided`, sampled from q token by token, or from what
                comes near it: w = 1/K. `sequence`: those of `candidates`, samples of p:
                w = softmax over the K of scale R. None: of tokens, where the reward's increments
                lead to the reference (`PrefixReward.leads`), else of sequences
    guided      the proposal at the level of tokens; its weights of the reward, in place of
                `scale`, are the paper's
    candidates  the proposal at the level of sequences
    scale       what the reward is multiplied by at the level of sequences. None: 2.5 of a reward
                in tokens (`Reward.in_tokens`), the inverse of what RAML's temperature mostly is,
                else 20, where a sample must be nearly right to count beside the reference
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        guided: Proposal,
        candidates: Proposal,
        reward: Reward,
        level: str | None = None,
        scale: float | None = None,
    ) -> None:
        if level is None:
            leads = isinstance(reward, PrefixReward) and reward.leads
            level = "token" if leads else "sequence"
        require(level in LEVELS, f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        if level == "token":
            incremental(reward, "the softmax policy gradient at the level of tokens")
        if scale is None:
            scale = SCALE_OF_TOKENS if reward.in_tokens else SCALE
        require(scale > 0, f"scale must be positive, not {scale}")
        super().__init__(
            policy=policy, proposal=guided if level == "token" else candidates, reward=reward
        )
        self.level = level
        self.scale = scale

    def indivisible(self) -> str | None:
        return None

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        rewards = self.rewards(trajectories, batch).to(log_probs.dtype)
        if self.level == "token":
            weights = torch.full_like(log_probs[:, :1], 1 / trajectories.group)
        else:
            weights = self_normalised(rewards * self.scale, trajectories)
        return of_choices(weights, trajectories)

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        return {"nll_per_token": weighted_nll_per_token(log_probs, weights, trajectories.mask)}
