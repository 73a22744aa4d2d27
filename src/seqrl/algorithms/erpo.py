"""Entropy regularised policy optimisation: a family with three coordinates (Tan, Hu et al. 2018).

    L(q, theta) = E_q[R(y, y*)] - alpha KL(q || p_theta) + beta H(q)

is ascended in q and theta in turn: the best q is proportional to exp((alpha log p + R) / (alpha +
beta)), where L is (alpha + beta) log sum_y exp((alpha log p(y) + R(y)) / (alpha + beta)); theta
then maximises E_q[log p_theta].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import (
    Scored,
    WeightedLikelihood,
    log_probs_of,
    of_choices,
    self_normalised,
)
from seqrl.algorithms.diagnostics import mean, weighted_nll_per_token
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.proposals.candidates import Candidates
from seqrl.ranges import is_number, require
from seqrl.rewards.base import Reward
from seqrl.schedules import along
from seqrl.types import Batch, Clock, Trajectories

LENGTHS = ("steps", "share")
"""What a point of a path may say of its way to the next one: updates, or its share of the stage."""

Point = Mapping[str, float]

ROUNDING = 1e-9
"""How far shares that are to add up to one may be above it."""


class ERPO(WeightedLikelihood):
    """Any point (scale R, alpha, beta) of the family, or a path through it,

        L = -(1/B) sum_b sum_k w_bk log p(y_bk | x_b),
        w = softmax over the K candidates of (alpha log p + scale R) / (alpha + beta) - log b.

    At alpha = 0, where the policy has no part in q, candidates are perturbed references, whose
    log b counts as zero; elsewhere they are samples of the policy, log b = log p, and the
    reference, if it is among them, is treated likewise. The log p of the weights is the sampler's,
    under its dropout. An EOS that a limit on the length put was not drawn from b and has no part
    in log p. (0, tau) is reward augmented maximum
    likelihood; (1, 0) the softmax policy gradient at sequence level; (0, 1) with a reward of
    minus infinity for all but the reference maximum likelihood.

    perturbation  the proposal at alpha = 0, uniform over its support
    sampling      the proposal elsewhere
    alpha, beta   where to stay throughout the stage, in the unit of the reward; none: the path
    path          points, each a mapping of `alpha`, `beta` and, but for the last, of `steps`
                  (updates) or `share` (of the stage) on the straight way to the next; after
                  the last one stays there. 0 is a jump
    scale         what the reward is multiplied by
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        perturbation: Proposal,
        sampling: Candidates,
        reward: Reward,
        alpha: float | None = None,
        beta: float | None = None,
        path: Sequence[Point] | None = None,
        scale: float = 1.0,
    ) -> None:
        require(
            (alpha is None) == (beta is None), "alpha and beta must be given together, or neither"
        )
        require(scale > 0, f"scale must be positive, not {scale}")
        super().__init__(policy=policy, proposal=perturbation, reward=reward)
        self.perturbation = perturbation
        self.sampling = sampling
        self.scale = scale
        if alpha is not None and beta is not None:
            path = [{"alpha": alpha, "beta": beta}]
        self.path = Path(path or [])
        self.alpha, self.beta = self.path.points[0]
        self._objective: dict[str, Tensor] = {}

    def indivisible(self) -> str | None:
        return None

    def scored(self, batch: Batch, clock: Clock) -> Scored:
        self.alpha, self.beta = self.path(clock)
        self.proposal = self.sampling if self.alpha > 0 else self.perturbation
        return super().scored(batch, clock)

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        rewards = self.rewards(trajectories, batch).to(log_probs.dtype) * self.scale
        sampled = self.alpha > 0
        if sampled and self.beta > 0 and self.proposes_without_dropout():
            log_probs = log_probs_of(trajectories, self.policy, batch)
        log_p = torch.where(trajectories.mask & ~trajectories.forced, log_probs, 0.0).sum(1)
        logits = log_ratio(rewards, log_p, alpha=self.alpha, beta=self.beta, sampled=sampled)
        self._objective = {}
        if sampled:
            found = (self.alpha + self.beta) * log_normaliser(logits, trajectories)
            self._objective = {"objective": found}
        return of_choices(self_normalised(logits, trajectories), trajectories)

    def diagnostics(
        self, trajectories: Trajectories, log_probs: Tensor, weights: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """`objective` is L at the best q, which samples can tell and perturbations cannot."""
        return self._objective | {
            "alpha": torch.tensor(self.alpha),
            "beta": torch.tensor(self.beta),
            "nll_per_token": weighted_nll_per_token(log_probs, weights, trajectories.mask),
        }


class Path:
    """Where (alpha, beta) stand at a moment: see `ERPO`."""

    def __init__(self, points: Sequence[Point]) -> None:
        require(len(points) > 0, "path must have a point, or alpha and beta must be given")
        for number, point in enumerate(points):
            here, known = f"point {number} of the path", {"alpha", "beta", *LENGTHS}
            require(
                {"alpha", "beta"} <= set(point) <= known,
                f"{here} must have alpha, beta and {' or '.join(LENGTHS)}, not {', '.join(point)}",
            )
            require(
                all(is_number(value) for value in point.values()),
                f"{here} must hold numbers, not {dict(point)}",
            )
            alpha, beta = point["alpha"], point["beta"]
            require(alpha >= 0 and beta >= 0, f"alpha and beta must not be negative at {here}")
            require(alpha + beta > 0, f"alpha + beta must be positive at {here}")
        ways = [(key, point[key]) for point in points[:-1] for key in LENGTHS if key in point]
        keys = {key for key, _ in ways}
        require(
            len(ways) == len(points) - 1 and len(keys) <= 1,
            f"all points of the path but the last must have {' or all '.join(LENGTHS)}",
        )
        self.points = [(float(point["alpha"]), float(point["beta"])) for point in points]
        self.lengths = [float(length) for _, length in ways]
        require(min(self.lengths, default=0) >= 0, "lengths of the path must not be negative")
        self.by_share = keys == {"share"}
        require(
            not self.by_share or sum(self.lengths) <= 1 + ROUNDING,
            f"shares of the path add up to {sum(self.lengths):g}: its end would not be reached",
        )

    def __call__(self, clock: Clock) -> tuple[float, float]:
        """(alpha, beta)."""
        x = clock.fraction if self.by_share else clock.update
        alpha, beta = along(self.points, self.lengths, x)
        return alpha, beta


def log_ratio(
    rewards: Tensor, log_p: Tensor, *, alpha: float, beta: float, sampled: bool
) -> Tensor:
    """(alpha log p + R) / (alpha + beta) - log b [N], from R and log p of candidates from b.

    sampled  whether b is p, which leaves (R - beta log p) / (alpha + beta); else log b is 0
    """
    share = -beta if sampled else alpha
    tilted = rewards + share * log_p if share else rewards
    return tilted / (alpha + beta)


def log_normaliser(logits: Tensor, trajectories: Trajectories) -> Tensor:
    """log E_b[exp(logits)], the mean over sentences, from samples of b; references are none."""
    drawn = trajectories.mask.any(1) & ~trajectories.given.any(1)
    grouped = logits.masked_fill(~drawn, float("-inf")).view(-1, trajectories.group)
    count = drawn.view(-1, trajectories.group).sum(1)
    return mean(grouped.logsumexp(1) - count.to(logits.dtype).log(), count > 0)
