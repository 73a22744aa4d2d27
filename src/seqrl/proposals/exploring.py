"""Trajectories of a policy that tries something else now and then."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.decoding.rollout import sampler
from seqrl.models.base import Policy, dropout
from seqrl.models.projection import BARRED
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import is_number, require
from seqrl.rewards.base import Reward
from seqrl.schedules import Constant, Schedule
from seqrl.types import Batch, Clock, Specials, Trajectories

EXPLORATIONS = ("greedy", "boltzmann")
NOISES = ("uniform", "prior")


class Exploring(Sampling):
    """One trajectory per source, every token of it drawn from

        b(w) = (1 - epsilon) pi(w) + epsilon u(w).

    exploration  pi: `greedy`, the most probable token alone, or `boltzmann`, softmax of the
                 policy's logits
    epsilon      probability of noise, a number or a schedule
    noise        u: `uniform` over the tokens that are actions, or `prior`, what that policy says
    prior        a frozen policy, without dropout
    extra_length, max_length  see `Sampling`
    """

    def __init__(
        self,
        *,
        prior: Policy[Any, Any],
        exploration: str = "boltzmann",
        epsilon: Schedule | float = 0.1,
        noise: str = "prior",
        extra_length: int = 10,
        max_length: int = 50,
    ) -> None:
        super().__init__(samples=1, extra_length=extra_length, max_length=max_length)
        require(
            exploration in EXPLORATIONS,
            f"exploration must be one of {', '.join(EXPLORATIONS)}, not {exploration!r}",
        )
        require(noise in NOISES, f"noise must be one of {', '.join(NOISES)}, not {noise!r}")
        require(max_length >= 2, f"max_length must be at least 2, not {max_length}")
        if not isinstance(epsilon, Schedule):
            share = is_number(epsilon) and 0 <= epsilon <= 1
            require(share, f"epsilon must lie in [0, 1] or be a schedule, not {epsilon}")
            epsilon = Constant(value=epsilon if share else 0.0)
        self.prior = prior.requires_grad_(False).eval()
        self.exploration = exploration
        self.epsilon = epsilon
        self.noise = noise

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        longest = self.longest(batch)
        draw = sampler(clock.uniform("sampling", longest, batch))
        epsilon = self.epsilon(clock)
        require(0 <= epsilon <= 1, f"epsilon must lie in [0, 1], not {epsilon}")
        beside = Beside(self.prior, batch) if epsilon and self.noise == "prior" else None

        def choose(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
            found = logits.float()
            if self.exploration == "greedy":
                found = only(found.argmax(-1), found)
            if epsilon:
                other = (
                    torch.where(actions(logits, policy.specials), 0.0, -torch.inf)
                    if beside is None
                    else beside(prefix, rows).float()
                )
                own, noise = (torch.softmax(z, dim=-1) for z in (found, other))
                found = ((1 - epsilon) * own + epsilon * noise).log()
            return draw(t, found, prefix, rows)

        return self.written(policy, memory, batch, longest, choose)


class Beside:
    """Another policy that reads what a rollout writes, to be asked once at every step."""

    def __init__(self, policy: Policy[Any, Any], batch: Batch) -> None:
        with dropout(policy, False):
            self.memory = policy.encode(batch.source, batch.source_mask)
        self.policy = policy
        self.state = policy.start(self.memory)
        self.rows = torch.arange(len(batch), device=batch.source.device)

    def __call__(self, prefix: Tensor, rows: Tensor) -> Tensor:
        """Its logits [A, V] after prefixes [A, t] of the rows [A] that are still computed."""
        if len(rows) < len(self.rows):
            keep = torch.searchsorted(self.rows, rows)
            self.memory, self.state = self.memory.select(keep), self.state.select(keep)
            self.rows = rows
        first = torch.full_like(rows, self.policy.specials.bos)
        previous = prefix[:, -1] if prefix.shape[1] else first
        logits: Tensor
        logits, self.state = self.policy.step(self.memory, self.state, previous)
        return logits


def actions(logits: Tensor, specials: Specials) -> Tensor:
    """Where logits [..., V] are of tokens that can be written."""
    found = logits > BARRED / 2
    found[..., list(specials.no_actions)] = False
    return found


def only(tokens: Tensor, logits: Tensor) -> Tensor:
    """Logits [A, V] of distributions that have all their mass at tokens [A]."""
    return torch.full_like(logits, -torch.inf).scatter_(-1, tokens.unsqueeze(-1), 0.0)
