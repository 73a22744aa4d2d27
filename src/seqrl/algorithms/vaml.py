"""Value augmented maximum likelihood (Dai, Xie & Hovy 2018, section 4.1): RAML token by token.

The payoff distribution exp(R / tau) / Z of RAML is the optimal policy softmax(Q / tau) of an
entropy-regularised problem whose rewards are the increments r_t of R (proposition 1 and
corollary 1),

    Q(y_<t, w; y*) = r(y_<t, w) + V(y_<t w),     V(s) = tau log sum_w exp(Q(s, w) / tau),

without V after EOS. First a critic that reads the reference learns Q by soft Q-learning (eq. 16);
then softmax(Q / tau) is the target of some of the tokens of RAML's trajectories.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.algorithms.base import Algorithm, Places, Scored
from seqrl.algorithms.critics import (
    action_features,
    action_values,
    chosen,
    delayed,
    follow,
)
from seqrl.algorithms.diagnostics import trajectory_metrics
from seqrl.algorithms.raml import RAML
from seqrl.algorithms.token_targets import mixed_terms
from seqrl.losses import at_least_single, entropies_of, tempered, token_log_probs
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import Reward, incremental
from seqrl.types import Batch, Clock, Trajectories, shift_right


class SoftQLearning(Algorithm):
    """A critic of perturbed references, by the soft Bellman residual (eq. 16),

        L = (1/N) sum_n sum_t [Q(y_<t, y_t) - (r_t + V(y_<=t))]^2,     V = 0 after EOS,

    whose gradient goes through both Q and V (Baird 1995). Neither a policy nor the source has a
    part in it.

    proposal            perturbs references; there is no policy to sample from
    tau                 temperature of V
    terminal_bootstrap  the released code's V after EOS: not zero but that of the state after it,
                        which nothing trains, wherever the batch has room for one; the loss then
                        depends on how wide the trajectories are padded
    beta                speed of a target network, of which V then comes, without gradient; none:
                        eq. 16, without one
    lambda_var          weight of the spread sum_w (Q - mean_w Q)^2 over the words that are actions
    """

    def __init__(
        self,
        *,
        critic: Policy[Any, Any],
        reward: Reward,
        proposal: Proposal,
        tau: float = 0.4,
        terminal_bootstrap: bool = False,
        beta: float | None = None,
        lambda_var: float = 0.0,
    ) -> None:
        require(tau > 0, f"tau must be positive, not {tau}")
        require(beta is None or 0 < beta <= 1, f"beta must lie in (0, 1] or be null, not {beta}")
        require(lambda_var >= 0, f"lambda_var must not be negative, not {lambda_var}")
        self.critic = critic
        self.reward = incremental(reward, "soft Q-learning")
        self.proposal = proposal
        self.tau = tau
        self.terminal_bootstrap = terminal_bootstrap
        self.beta = beta
        self.lambda_var = lambda_var
        self.target = None if beta is None else delayed(critic)
        self._metrics: dict[str, Tensor] = {}

    def learners(self) -> dict[str, nn.Module]:
        return {"critic": self.critic}

    def indivisible(self) -> str | None:
        if not self.terminal_bootstrap:
            return None
        return "the loss depends on how wide a share is padded: set terminal_bootstrap=false"

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        trajectories = self.proposed(batch, clock)
        values, errors = self.judge(batch, trajectories)
        terms = errors.square()
        if self.lambda_var:
            spread = actions(values, batch).var(-1, correction=0) * (values.shape[-1] - 2)
            terms = terms + self.lambda_var * spread
        self._metrics = self.diagnostics(batch, trajectories, values.detach(), errors.detach())
        return {"critic": terms.sum() / (batch.total * trajectories.group)}

    @torch.no_grad()
    def proposed(self, batch: Batch, clock: Clock) -> Trajectories:
        return self.proposal(self.critic, None, batch, self.reward, clock)

    def judge(self, batch: Batch, trajectories: Trajectories) -> tuple[Tensor, Tensor]:
        """Q [P, V] of the tokens, and their soft Bellman residuals [P]."""
        reached = self.reached(trajectories)
        values = at_least_single(action_values(self.critic, batch, reached))
        ahead = values
        if self.target is not None:
            with torch.no_grad():
                ahead = at_least_single(action_values(self.target, batch, reached))
        targets = self.reward.increments(trajectories, batch) + self.following(ahead, reached)
        if reached is not trajectories:
            values = values[reached.flat(trajectories.mask)]
        return values, chosen(values, trajectories) - trajectories.flat(targets)

    def reached(self, trajectories: Trajectories) -> Trajectories:
        """The trajectories with all the states in their mask of which there is a value."""
        if not self.terminal_bootstrap:
            return trajectories
        mask = trajectories.mask
        return replace(trajectories, mask=mask | shift_right(mask, 0))

    def following(self, values: Tensor, reached: Trajectories) -> Tensor:
        """V(y_<=t) [N, T], of the state that y_t leads to, from values [P, V]."""
        states = reached.padded(self.tau * torch.logsumexp(values / self.tau, dim=-1))  # V(y_<t)
        return torch.cat([states[:, 1:], torch.zeros_like(states[:, :1])], dim=1)

    @torch.no_grad()
    def diagnostics(
        self, batch: Batch, trajectories: Trajectories, values: Tensor, errors: Tensor
    ) -> dict[str, Tensor]:
        """What tells how the critic is doing; Q is the first thing to go wrong."""
        least, most = chosen(values, trajectories).aminmax()
        allowed = actions(values, batch)
        distances = torch.linalg.vector_norm(allowed - allowed.mean(-1, keepdim=True), dim=-1)
        return trajectory_metrics(
            trajectories,
            batch,
            entropies=trajectories.padded(entropies_of(values / self.tau)),
            rewards=self.reward.score(trajectories, batch),
        ) | {
            "td_error": errors.abs().mean(),
            "q_min": least,
            "q_max": most,
            "q_spread": (distances.square().mean() / allowed.shape[-1]).sqrt(),
        }

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        """The mean absolute residual, and -log softmax(Q / tau) of the references' tokens."""
        trajectories = self.proposed(batch, clock)
        errors = self.judge(batch, trajectories)[1]
        references = batch.reference_trajectories()
        values = action_values(self.critic, batch, references)
        log_probs = token_log_probs(values / self.tau, references.flat(references.targets))
        return {
            "td_error": (errors.abs().sum(), trajectories.mask.sum()),
            "nll": (-log_probs.sum(), references.mask.sum()),
        }

    def after_update(self, clock: Clock) -> None:
        if self.target is not None and self.beta is not None:
            follow(self.target, self.critic, self.beta)

    def metrics(self) -> dict[str, Tensor]:
        return self._metrics

    def state_dict(self) -> dict[str, Any]:
        return {} if self.target is None else {"target": self.target.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.target is None:
            return super().load_state_dict(state)
        self.target.load_state_dict(state["target"])
        return None


class VAML(RAML):
    """RAML some of whose tokens have the target softmax(Q / tau) (appendix B.2): of a token

        J = -z sum_w softmax(Q(y_<t, .) / value_tau)(w) log p(w | y_<t) - (1 - z) log p(y_t | y_<t),

    z ~ Bernoulli(kappa) for each token, and L = (1/B) sum_b sum_k w_bk sum_t J with RAML's weights
    w. kappa = 0 is RAML, bit for bit. With the exact Q, kappa = 1 and w proportional to
    exp(R / tau) over all sequences it is RAML too: softmax(Q / tau) is a conditional of the
    payoff distribution.

    critic     Q; frozen, without dropout
    kappa      share of the tokens with softmax(Q / tau) as their target
    value_tau  temperature that Q was learned with
    tau        temperature of the weights; their rewards may have another scale than Q's
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        critic: Policy[Any, Any],
        proposal: Proposal,
        reward: Reward,
        kappa: float = 0.2,
        value_tau: float = 0.4,
        tau: float = 0.4,
        weighting: str = "reward",
    ) -> None:
        require(0 <= kappa <= 1, f"kappa must lie in [0, 1], not {kappa}")
        require(value_tau > 0, f"value_tau must be positive, not {value_tau}")
        super().__init__(
            policy=policy, proposal=proposal, reward=reward, tau=tau, weighting=weighting
        )
        self.critic = critic.requires_grad_(False).eval()
        self.kappa = kappa
        self.value_tau = value_tau

    def terms(self, scored: Scored, batch: Batch) -> Tensor:
        trajectories = scored.trajectories
        steps = trajectories.targets.shape[1]
        noise = scored.clock.uniform("targets", steps, batch, trajectories.group).T
        share = (noise < self.kappa).to(scored.log_probs.dtype)

        @torch.no_grad()
        def targets(places: Places) -> Tensor:
            features = action_features(self.critic, batch, trajectories)
            return tempered(self.critic.project(features[places]), self.value_tau)

        return mixed_terms(scored, share, targets)


def actions(values: Tensor, batch: Batch) -> Tensor:
    """Values [P, V - 2] of the words that are actions: all but padding and BOS."""
    specials = batch.specials.no_actions
    words = torch.arange(values.shape[-1] - len(specials), device=values.device)
    for barred in specials:
        words = words + (words >= barred)
    return values.index_select(-1, words)
