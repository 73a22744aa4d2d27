"""Sequence generative adversarial nets (Yu et al. 2017).

A discriminator D(y | x) learns to tell references from the policy's samples, and the policy learns
by policy gradient to be taken for real. What a token is worth is how its sequence is judged once
it is finished, on average over N completions by the policy (eqs. 2 and 4):

    Q(y_<t, y_t) = (1/N) sum_n D(y_1..t, completed),     Q(y_<T, y_T) = D(y) at the last token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from seqrl.algorithms.base import Algorithm, Scored, WeightedLikelihood, of_choices
from seqrl.algorithms.critics import delayed, follow
from seqrl.decoding.completion import completions
from seqrl.losses import at_least_single
from seqrl.models.base import Policy, dropout, repeat
from seqrl.models.discriminator import CNNDiscriminator
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.types import Batch, Clock, Trajectories

JUDGED_AT_ONCE = {"cpu": 512, "cuda": 1 << 16}
"""Sequences that the discriminator reads at once where it does not learn."""


class DiscriminatorTraining(Algorithm):
    """Learns to tell references from samples of a policy that does not change (eq. 5):

        L = -(1/2B) sum_b [log D(y*_b | x_b) + (1/K) sum_k log(1 - D(y_bk | x_b))] + (l2/2) |u|^2

    u being the weights of the last layer. Samples are drawn anew for every update; the released
    code draws as many as there are references and uses them for three epochs.

    proposal  K samples per source
    l2        0.1: the published 0.2 is for each class's unit of a softmax of two, of which the
              one unit here is the difference
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        discriminator: CNNDiscriminator,
        proposal: Sampling,
        l2: float = 0.1,
    ) -> None:
        require(l2 >= 0, f"l2 must not be negative, not {l2}")
        self.policy = policy.requires_grad_(False)
        self.discriminator = discriminator
        self.proposal = proposal
        self.l2 = l2
        self._metrics: dict[str, Tensor] = {}

    def learners(self) -> dict[str, nn.Module]:
        return {"discriminator": self.discriminator}

    def indivisible(self) -> str | None:
        return None

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        errors, right = self.errors(batch, clock)
        loss = errors.sum() / (2 * batch.total)
        if self.l2:
            size = self.discriminator.output.weight.square().sum()
            loss = loss + len(batch) / batch.total * self.l2 / 2 * size
        self._metrics = {"accuracy": right.sum() / (2 * len(batch))}
        return {"discriminator": loss}

    def errors(self, batch: Batch, clock: Clock) -> tuple[Tensor, Tensor]:
        """-log D of references and -log(1 - D) / K of samples, [B + BK], and who was right.

        Who was right is 1 for a reference, 1/K for a sample, or 0.
        """
        with torch.no_grad(), dropout(self.policy, self.proposal.dropout):
            memory = self.policy.encode(batch.source, batch.source_mask)
            samples = self.proposal(self.policy, memory, batch, None, clock)
        sources = self.discriminator.read(batch)
        real = self.discriminator(batch.target, batch.target_mask, sources)
        if sources is not None:
            sources = sources.repeat_interleave(samples.group, dim=0)
        fake = self.discriminator(samples.targets, samples.mask, sources)
        errors = torch.cat([softplus(-real), softplus(fake) / samples.group])
        right = torch.cat([(real > 0).double(), (fake <= 0).double() / samples.group])
        return errors, right

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        """The mean of -log D(y*) and -log(1 - D(y)), and the share of wrong decisions."""
        with dropout(self.discriminator, False):
            errors, right = self.errors(batch, clock)
        count = torch.tensor(2 * len(batch))
        return {
            "discriminator_loss": (errors.sum(), count),
            "discriminator_error": (count.to(right.device) - right.sum(), count),
        }

    def metrics(self) -> dict[str, Tensor]:
        return self._metrics


class Adversarial(WeightedLikelihood):
    """The policy and the discriminator in turn (algorithm 1).

    `policy_steps` updates of the policy, then `discriminator_steps` of the discriminator:

        L_policy = -(1/B) (1/K) sum_k sum_t (Q(y_<t, y_t) - b) log p(y_kt | y_k<t, x_b)

    without a gradient through Q; L_discriminator is `DiscriminatorTraining`'s. An EOS that a limit
    on the length put was no choice of the policy and has no weight.

    proposal             K samples per source
    completions          N, of every prefix
    baseline             b, which the paper does not have
    completion_speed     of the policy that completes, which follows the one that learns after each
                         of its updates; 1: they are the same, as in effect in the released code
    lambda_mle           weight of the references' likelihood
    l2                   see `DiscriminatorTraining`
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        discriminator: CNNDiscriminator,
        proposal: Sampling,
        completions: int = 16,
        policy_steps: int = 1,
        discriminator_steps: int = 30,
        baseline: float = 0.0,
        completion_speed: float = 1.0,
        lambda_mle: float = 0.0,
        l2: float = 0.1,
    ) -> None:
        require(completions >= 1, f"completions must be at least 1, not {completions}")
        require(policy_steps >= 1, f"policy_steps must be at least 1, not {policy_steps}")
        require(
            discriminator_steps >= 0,
            f"discriminator_steps must not be negative, not {discriminator_steps}",
        )
        require(
            0 < completion_speed <= 1,
            f"completion_speed must lie in (0, 1], not {completion_speed}",
        )
        super().__init__(policy=policy, proposal=proposal, lambda_mle=lambda_mle)
        learning = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.discriminating = DiscriminatorTraining(
            policy=policy, discriminator=discriminator, proposal=proposal, l2=l2
        )
        for parameter in learning:
            parameter.requires_grad_(True)
        self.dropout = proposal.dropout
        self.completions = completions
        self.policy_steps = policy_steps
        self.discriminator_steps = discriminator_steps
        self.baseline = baseline
        self.completion_speed = completion_speed
        self.completing = policy if completion_speed == 1 else delayed(policy)
        self._values: Tensor | None = None

    def learners(self) -> dict[str, nn.Module]:
        return super().learners() | self.discriminating.learners()

    def indivisible(self) -> str | None:
        return None

    def is_the_policys(self, clock: Clock) -> bool:
        """Whether the update is one of the policy."""
        return clock.update % (self.policy_steps + self.discriminator_steps) < self.policy_steps

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        if self.is_the_policys(clock):
            return super().losses(batch, clock)
        losses = self.discriminating.losses(batch, clock)
        self._metrics = self.discriminating.metrics()
        return losses

    def scored(self, batch: Batch, clock: Clock) -> Scored:
        with dropout(self.policy, self.dropout):
            scored = super().scored(batch, clock)
        self._values = self.values(scored.trajectories, batch, clock)
        last = scored.trajectories.length - 1
        self._rewards = self._values.gather(1, last.unsqueeze(1)).squeeze(1)
        return scored

    def weights(self, trajectories: Trajectories, log_probs: Tensor, batch: Batch) -> Tensor:
        assert self._values is not None
        return of_choices((self._values - self.baseline) / trajectories.group, trajectories)

    @torch.no_grad()
    def values(self, trajectories: Trajectories, batch: Batch, clock: Clock) -> Tensor:
        """Q(y_<t, y_t) [N, T], zero at padding."""
        sources = self.discriminating.discriminator.read(batch)
        if sources is not None:
            sources = sources.repeat_interleave(trajectories.group, dim=0)
        whole = self.judged(trajectories.targets, trajectories.mask, sources)
        values = whole.new_zeros(trajectories.mask.shape)
        values.scatter_(1, trajectories.length.unsqueeze(1) - 1, whole.unsqueeze(1))
        limit = self._limit(batch)
        size = trajectories.group * self.completions
        noise = clock.uniform("completions", limit * limit, batch, size)
        with dropout(self.completing, False):
            memory = self.completing.encode(batch.source, batch.source_mask)
            found = completions(
                self.completing,
                repeat(memory, len(batch), trajectories.group),
                trajectories.targets,
                trajectories.mask,
                noise.view(limit, limit, -1, self.completions),
            )
        rows = found.rows.repeat_interleave(self.completions)
        judged = self.judged(found.tokens, found.mask, None if sources is None else sources[rows])
        values[found.rows, found.lengths - 1] = judged.view(-1, self.completions).mean(1)
        return values

    def _limit(self, batch: Batch) -> int:
        assert isinstance(self.proposal, Sampling)
        return self.proposal.longest(batch)

    def judged(self, tokens: Tensor, mask: Tensor, sources: Tensor | None) -> Tensor:
        """D [N], without dropout."""
        discriminator = self.discriminating.discriminator
        with dropout(discriminator, False):
            size = JUDGED_AT_ONCE.get(tokens.device.type, 512)
            logits = [
                discriminator(tokens[part], mask[part], None if sources is None else sources[part])
                for first in range(0, max(1, len(tokens)), size)
                for part in [slice(first, first + size)]
            ]
        return torch.sigmoid(at_least_single(torch.cat(logits)))

    def after_update(self, clock: Clock) -> None:
        if self.completion_speed < 1 and self.is_the_policys(clock):
            follow(self.completing, self.policy, self.completion_speed)

    def explain(self, trajectories: Trajectories, batch: Batch) -> dict[str, Tensor]:
        return {"Q": self.values(trajectories, batch, Clock())}

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        return super().evaluate(batch, clock) | self.discriminating.evaluate(batch, clock)

    def state_dict(self) -> dict[str, Any]:
        if self.completion_speed == 1:
            return {}
        return {"completing": self.completing.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.completion_speed < 1:
            self.completing.load_state_dict(state["completing"])
