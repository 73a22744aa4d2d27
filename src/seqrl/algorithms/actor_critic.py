"""Actor-critic and entropy-regularised actor-critic.

The critic Q(y_<t, w; y*) reads the reference and evaluates the policy by temporal
differences (Dai et al. 2018, eqs. 18 and 19, algorithm 3):

    Qhat_t = r_t + sum_w pi(w | y_<=t) Qbar(y_<=t, w) + tau H(pi(. | y_<=t)),
    Qhat_T = r_T at the last step,
    L_critic = (1/B) sum_t [Q(y_<t, y_t) - Qhat_t]^2 + lambda_var sum_t sum_w (Q - mean_w Q)^2,

with a target critic Qbar that follows Q by  phibar <- beta phi + (1 - beta) phibar.  The actor
ascends (eq. 20)

    sum_t sum_w pi(w | y_<t) Q(y_<t, w) + tau H(pi(. | y_<t)) + lambda_mle log p(y*).

tau = 0 is the actor-critic of Bahdanau et al. (2016) without its delayed actor.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.algorithms.base import Algorithm, likelihood, reference_nll
from seqrl.algorithms.critics import action_values, chosen, delayed, follow
from seqrl.algorithms.diagnostics import trajectory_metrics
from seqrl.losses import entropy, expectation, expected_signal
from seqrl.models.base import Policy, dropout, repeat
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import Reward, incremental
from seqrl.types import Batch, Clock, Trajectories

FORMS = ("paper", "released")


@dataclass(frozen=True)
class Judgement:
    """Samples, and what a critic makes of them.

    log_pi   [P, V]  log pi(. | y_<t) at every token, detached
    rewards  [N, T]  r_t
    values   [P, V]  Q(y_<t, .) at every token, with gradient
    error    [N, T]  Q(y_<t, y_t) - Qhat_t, detached, zero at padding
    loss             the critic's
    """

    trajectories: Trajectories
    log_pi: Tensor
    rewards: Tensor
    values: Tensor
    error: Tensor
    loss: Tensor


class PolicyEvaluation:
    """The critic, its target network and its loss.

    tau         temperature of the entropy in the critic's targets
    beta        speed of the target network: 1 is no target network
    lambda_var  weight of the penalty on the spread of Q over the vocabulary
    form        `paper`: the loss at the head of this file. `released`: half the squared error
                and the unbiased variance over w instead of the sum; the constant 0.001 was
                tuned with this one
    mask_padding  whether the loss stops at EOS. In the released code the penalty does not, and
                in its joint phase the squared error does not either, so that the values after
                EOS are pulled to zero; the loss then depends on how wide the samples are
                padded, and the parts of a split batch do not add up to the whole
    known_rewards whether Q(y_<t, w) = r(y_<t, w) + F(y_<t, w), where the increment r of every
                word is computed and the network learns the future F alone, F(EOS) = 0 being
                known too; no paper's form. The penalty is then on the spread of F
    """

    def __init__(
        self,
        *,
        critic: Policy[Any, Any],
        tau: float,
        beta: float,
        lambda_var: float,
        form: str,
        mask_padding: bool,
        known_rewards: bool,
    ) -> None:
        require(tau >= 0, f"tau must not be negative, not {tau}")
        require(0 < beta <= 1, f"beta must lie in (0, 1], not {beta}")
        require(lambda_var >= 0, f"lambda_var must not be negative, not {lambda_var}")
        require(form in FORMS, f"form must be one of {', '.join(FORMS)}, not {form!r}")
        self.critic = critic
        self.tau = tau
        self.beta = beta
        self.lambda_var = lambda_var
        self.form = form
        self.mask_padding = mask_padding
        self.known_rewards = known_rewards
        self.target: Policy[Any, Any] | None = None

    def target_critic(self) -> Policy[Any, Any]:
        """The target network without dropout, a copy of the critic when it is first asked for."""
        if self.target is None:
            self.target = delayed(self.critic)
        return self.target

    def counted(self, trajectories: Trajectories) -> Trajectories:
        """The trajectories with all the places in their mask that the loss counts."""
        if self.mask_padding:
            return trajectories
        return replace(trajectories, mask=torch.ones_like(trajectories.mask))

    def targets(
        self,
        batch: Batch,
        trajectories: Trajectories,
        rewards: Tensor,
        log_pi: Tensor,
        known: Tensor | None = None,
    ) -> Tensor:
        """Qhat [N, T] (eq. 19), from the policy's log pi(. | y_<t) [P, V] at every token.

        known  [P, V], the increments of all words, where the critic is given them
        """
        with torch.no_grad():
            values = action_values(self.target_critic(), batch, trajectories)
            if known is not None:
                values = with_rewards(values, known, batch)
            state_values = expectation(log_pi.exp(), values)  # [P]
            if self.tau:
                state_values = state_values + self.tau * entropy(log_pi)
            state_values = trajectories.padded(state_values)
            next_values = torch.cat(
                [state_values[:, 1:], torch.zeros_like(state_values[:, :1])], dim=1
            )
            return rewards + next_values

    def loss(
        self,
        values: Tensor,
        targets: Tensor,
        counted: Trajectories,
        sentences: int,
        learned: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The critic's loss, and its temporal differences [N, T] where they count.

        values [P, V] at the counted places, targets [N, T]; `sentences` counts N's, K for each
        source; learned [P, V] is what the penalty is on, if not the values.
        """
        error = chosen(values, counted) - counted.flat(targets)
        released = self.form == "released"
        terms = error.square() * (0.5 if released else 1.0)
        if self.lambda_var:
            spread = (values if learned is None else learned).var(-1)
            if not released:
                spread = spread * (values.shape[-1] - 1)
            terms = terms + self.lambda_var * spread
        return terms.sum() / sentences, counted.padded(error.detach())

    def follow(self) -> None:
        """phibar <- beta phi + (1 - beta) phibar."""
        follow(self.target_critic(), self.critic, self.beta)


class CriticTraining(Algorithm):
    """Evaluates a policy that does not change (algorithm 3 with the actor fixed).

    sampling    the proposal; K samples per source
    Other arguments: see `PolicyEvaluation`.
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        critic: Policy[Any, Any],
        reward: Reward,
        proposal: Sampling,
        tau: float = 0.0,
        beta: float = 0.001,
        lambda_var: float = 0.001,
        form: str = "released",
        mask_padding: bool = True,
        known_rewards: bool = False,
    ) -> None:
        self.policy = policy.requires_grad_(False)
        self.reward = incremental(reward, "an actor-critic")
        self.proposal = proposal
        self.evaluation = PolicyEvaluation(
            critic=critic,
            tau=tau,
            beta=beta,
            lambda_var=lambda_var,
            form=form,
            mask_padding=mask_padding,
            known_rewards=known_rewards,
        )
        self._metrics: dict[str, Tensor] = {}

    def learners(self) -> dict[str, nn.Module]:
        return {"critic": self.evaluation.critic}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        with torch.no_grad():
            trajectories, logits = propose(self.policy, self.proposal, batch, clock)
        judged = self.judge(batch, trajectories, logits)
        self._metrics = diagnostics(judged, batch)
        return {"critic": judged.loss}

    def judge(self, batch: Batch, trajectories: Trajectories, logits: Tensor) -> Judgement:
        """What the critic makes of samples, from the policy's logits [P, V] of their tokens."""
        rewards = self.reward.increments(trajectories, batch)
        log_pi = torch.log_softmax(logits.detach(), dim=-1)
        counted = self.evaluation.counted(trajectories)
        learned, known, values = self.values(batch, trajectories, counted)
        targets = self.evaluation.targets(batch, trajectories, rewards, log_pi, known)
        sentences = batch.total * trajectories.group
        loss, error = self.evaluation.loss(values, targets, counted, sentences, learned)
        if counted is not trajectories:
            values = values[counted.flat(trajectories.mask)]
            error = torch.where(trajectories.mask, error, 0.0)
        return Judgement(trajectories, log_pi, rewards, values, error, loss)

    def values(
        self, batch: Batch, trajectories: Trajectories, counted: Trajectories
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """What the network says, the known increments if it is given them, and Q.

        All are [P, V]: the first and the last at the counted places, the increments at tokens.
        """
        learned = action_values(self.evaluation.critic, batch, counted)
        if not self.evaluation.known_rewards:
            return learned, None, learned
        known = self.reward.lookaheads(trajectories, batch, learned.shape[-1])
        everywhere = known
        if counted is not trajectories:
            everywhere = counted.flat(trajectories.padded(known))
        return learned, known, with_rewards(learned, everywhere, batch)

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        """The mean absolute TD error; and how far Q is from what the samples came to.

        `return_bias` is the mean of Q(y_<t, y_t) - G_t, `return_error` that of its absolute
        value, G_t = sum_{k>=t} r_k + tau sum_{k>t} H_k being the return of the sample: a small
        TD error with a large bias is a critic whose target network has not caught up.
        """
        judged = self.judge(batch, *propose(self.policy, self.proposal, batch, clock))
        mask = judged.trajectories.mask
        tokens = mask.sum()
        later = judged.trajectories.padded(entropy(judged.log_pi)) * self.evaluation.tau
        later = torch.cat([later[:, 1:], torch.zeros_like(later[:, :1])], dim=1)
        returns = (judged.rewards + later).flip(1).cumsum(1).flip(1)
        taken = chosen(judged.values, judged.trajectories)
        gap = taken - judged.trajectories.flat(returns)
        return {
            "td_error": (judged.error.abs().sum(), tokens),
            "return_bias": (gap.sum(), tokens),
            "return_error": (gap.abs().sum(), tokens),
        }

    @torch.no_grad()
    def explain(self, trajectories: Trajectories, batch: Batch) -> dict[str, Tensor]:
        rewards = self.reward.increments(trajectories, batch)
        values = self.values(batch, trajectories, trajectories)[-1]
        return {"reward": rewards, "Q": trajectories.padded(chosen(values, trajectories))}

    def after_update(self, clock: Clock) -> None:
        self.evaluation.follow()

    def metrics(self) -> dict[str, Tensor]:
        return self._metrics

    def state_dict(self) -> dict[str, Any]:
        return {"target": self.evaluation.target_critic().state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.evaluation.target_critic().load_state_dict(state["target"])


class ActorCritic(CriticTraining):
    """Actor and critic together, both updated on the same samples.

    lambda_mle         weight of the likelihood of the references, which keeps the actor near
                       the language
    normalize_entropy  the released code divides the actor's own entropy signal by the norm
                       of log pi over the vocabulary, which all but removes it; no paper's form
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        critic: Policy[Any, Any],
        reward: Reward,
        proposal: Sampling,
        tau: float = 0.0,
        beta: float = 0.001,
        lambda_var: float = 0.001,
        lambda_mle: float = 0.1,
        form: str = "released",
        mask_padding: bool = True,
        known_rewards: bool = False,
        normalize_entropy: bool = False,
        future_entropy: bool = True,
    ) -> None:
        require(tau >= 0, f"tau must not be negative, not {tau}")
        require(lambda_mle >= 0, f"lambda_mle must not be negative, not {lambda_mle}")
        super().__init__(
            policy=policy,
            critic=critic,
            reward=reward,
            proposal=proposal,
            tau=tau if future_entropy else 0.0,
            beta=beta,
            lambda_var=lambda_var,
            form=form,
            mask_padding=mask_padding,
            known_rewards=known_rewards,
        )
        self.policy = policy.requires_grad_(True)
        self.tau = tau
        self.lambda_mle = lambda_mle
        self.normalize_entropy = normalize_entropy

    def learners(self) -> dict[str, nn.Module]:
        return {"policy": self.policy, "critic": self.evaluation.critic}

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        trajectories, logits = propose(self.policy, self.proposal, batch, clock)
        judged = self.judge(batch, trajectories, logits)
        signal = self.signal(judged.values.detach(), judged.log_pi)
        sentences = batch.total * trajectories.group
        actor_loss = -expected_signal(logits, signal).sum() / sentences
        if self.lambda_mle:
            actor_loss = actor_loss + self.lambda_mle * likelihood(self.policy, batch)
        self._metrics = diagnostics(judged, batch)
        return {"policy": actor_loss, "critic": judged.loss}

    def signal(self, values: Tensor, log_pi: Tensor) -> Tensor:
        """Q - tau log pi [P, V], what each action is worth."""
        if not self.tau:
            return values
        if self.normalize_entropy:
            log_pi = log_pi / (1e-8 + log_pi.norm(dim=-1, keepdim=True))
        return values - self.tau * log_pi

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        return super().evaluate(batch, clock) | {"nll": reference_nll(self.policy, batch)}


@torch.no_grad()
def diagnostics(judged: Judgement, batch: Batch) -> dict[str, Tensor]:
    """What tells how samples and critic are doing; Q's range is the first thing to go wrong."""
    return trajectory_metrics(
        judged.trajectories,
        batch,
        entropies=judged.trajectories.padded(entropy(judged.log_pi)),
        rewards=judged.rewards.sum(1),
    ) | {
        "td_error": judged.error.abs().sum() / judged.trajectories.mask.sum(),
        "q_min": judged.values.min(),
        "q_max": judged.values.max(),
    }


def propose(
    policy: Policy[Any, Any], proposal: Sampling, batch: Batch, clock: Clock
) -> tuple[Trajectories, Tensor]:
    """Samples, and the policy's logits [P, V] of their tokens, under the proposal's dropout."""
    with dropout(policy, proposal.dropout):
        memory = policy.encode(batch.source, batch.source_mask)
        trajectories = proposal(policy, memory, batch, None, clock)
        repeated = repeat(memory, len(batch), trajectories.group)
        logits = policy.logits(repeated, trajectories.inputs, trajectories.mask)
    return trajectories, logits


def with_rewards(future: Tensor, known: Tensor, batch: Batch) -> Tensor:
    """Q = r + F [P, V]; after EOS there is no future."""
    eos = torch.tensor([batch.specials.eos], device=future.device)
    return future.index_fill(-1, eos, 0.0) + known
