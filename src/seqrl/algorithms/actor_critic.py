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
from seqrl.algorithms.critics import action_features, delayed, follow
from seqrl.algorithms.diagnostics import trajectory_metrics
from seqrl.losses import at_least_single
from seqrl.models.base import Policy, dropout, repeat
from seqrl.models.recorded import Recorded, Said
from seqrl.proposals.sampling import Sampling
from seqrl.ranges import require
from seqrl.rewards.base import Changes, Reward, incremental
from seqrl.types import Batch, Clock, Trajectories

FORMS = ("paper", "released")


@dataclass(frozen=True)
class Judgement:
    """Samples, and what a critic makes of them.

    said              what the policy says of all words at every token
    rewards   [N, T]  r_t
    known             the increments of all words, where the critic is given them
    features  [P, H]  the critic's, of which it makes its values of all words
    taken     [N, T]  Q(y_<t, y_t), zero at padding
    error     [N, T]  Q(y_<t, y_t) - Qhat_t, zero at padding
    spread    scalar  the mean variance over words of what the network says
    loss              the critic's, with gradient; all others are without
    """

    trajectories: Trajectories
    said: Said
    rewards: Tensor
    known: Changes | None
    features: Tensor
    taken: Tensor
    error: Tensor
    spread: Tensor
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
        said: Said,
        known: Changes | None = None,
    ) -> Tensor:
        """Qhat [N, T] (eq. 19), from what the policy says at every token.

        known  the increments of all words, where the critic is given them
        """
        with torch.no_grad():
            target = self.target_critic()
            features = action_features(target, batch, trajectories)
            state_values = target.expected(features, said.log_pi)  # [P]
            if known is not None:  # sum_w pi(w) [r(w) + F(w)], F(EOS) = 0
                eos = batch.specials.eos
                ended = target.chosen(features, torch.full_like(trajectories.places, eos))
                state_values = state_values - said.log_pi[:, eos].exp() * ended
                state_values = state_values + known.expected(said.log_pi)
            if self.tau:
                state_values = state_values + self.tau * said.entropies
            state_values = trajectories.padded(state_values)
            next_values = torch.cat(
                [state_values[:, 1:], torch.zeros_like(state_values[:, :1])], dim=1
            )
            return rewards + next_values

    def loss(self, error: Tensor, spread: Tensor, sentences: int) -> Tensor:
        """The critic's loss.

        error [P], Q(y_<t, y_t) - Qhat_t, and spread [P], sum_w (Q - mean_w Q)^2, at the places
        that count; `sentences` counts N's, K for each source.
        """
        if self.form == "released":
            terms = 0.5 * error.square()
            spread = spread / (self.critic.target_size - 1)
        else:
            terms = error.square()
        if self.lambda_var:
            terms = terms + self.lambda_var * spread
        return terms.sum() / sentences

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

    def indivisible(self) -> str | None:
        if self.evaluation.mask_padding:
            return None
        return "the critic's loss counts padding, of which shares have less: set mask_padding=true"

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        judged = self.judge(batch, *self.samples(batch, clock))
        self._metrics = diagnostics(judged, batch)
        return {"critic": judged.loss}

    @torch.no_grad()
    def samples(self, batch: Batch, clock: Clock) -> tuple[Trajectories, Said]:
        """Samples, and what the policy says at their tokens, which it usually said as it wrote."""
        recorded = Recorded(self.policy)
        trajectories, memory = propose(recorded, self.proposal, batch, clock)
        said = recorded.said(trajectories)
        if said is None:
            features = features_along(trajectories, self.policy, self.proposal, memory)
            said = Said.of(self.policy.project(features))
        return trajectories, said

    def judge(self, batch: Batch, trajectories: Trajectories, said: Said) -> Judgement:
        """What the critic makes of samples."""
        rewards = self.reward.increments(trajectories, batch)
        critic, known = self.evaluation.critic, None
        if self.evaluation.known_rewards:
            known = self.reward.lookaheads(trajectories, batch, critic.target_size)
        counted = self.evaluation.counted(trajectories)
        features = action_features(critic, batch, counted)
        taken = self.taken(features, counted, rewards, batch)
        targets = self.evaluation.targets(batch, trajectories, rewards, said, known)
        error, spread = taken - counted.flat(targets), critic.spread(features)
        loss = self.evaluation.loss(error, spread, batch.total * trajectories.group)
        features, error, taken = features.detach(), error.detach(), taken.detach()
        spread = spread.detach().mean() / critic.target_size
        if counted is not trajectories:
            features = features[counted.flat(trajectories.mask)]
        return Judgement(
            trajectories,
            said,
            rewards,
            known,
            features,
            torch.where(trajectories.mask, counted.padded(taken), 0.0),
            torch.where(trajectories.mask, counted.padded(error), 0.0),
            spread,
            loss,
        )

    def taken(
        self, features: Tensor, trajectories: Trajectories, rewards: Tensor, batch: Batch
    ) -> Tensor:
        """Q(y_<t, y_t) [P] of the tokens, from the critic's features [P, H] of them."""
        tokens = trajectories.flat(trajectories.targets)
        learned = self.evaluation.critic.chosen(features, tokens)
        if not self.evaluation.known_rewards:
            return learned
        future = torch.where(tokens == batch.specials.eos, 0.0, learned)
        return future + trajectories.flat(rewards)

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        """The mean absolute TD error; and how far Q is from what the samples came to.

        `return_bias` is the mean of Q(y_<t, y_t) - G_t, `return_error` that of its absolute
        value, G_t = sum_{k>=t} r_k + tau sum_{k>t} H_k being the return of the sample: a small
        TD error with a large bias is a critic whose target network has not caught up.
        """
        judged = self.judge(batch, *self.samples(batch, clock))
        mask = judged.trajectories.mask
        tokens = mask.sum()
        later = judged.trajectories.padded(judged.said.entropies) * self.evaluation.tau
        later = torch.cat([later[:, 1:], torch.zeros_like(later[:, :1])], dim=1)
        returns = (judged.rewards + later).flip(1).cumsum(1).flip(1)
        gap = judged.trajectories.flat(judged.taken - returns)
        return {
            "td_error": (judged.error.abs().sum(), tokens),
            "return_bias": (gap.sum(), tokens),
            "return_error": (gap.abs().sum(), tokens),
        }

    @torch.no_grad()
    def explain(self, trajectories: Trajectories, batch: Batch) -> dict[str, Tensor]:
        rewards = self.reward.increments(trajectories, batch)
        features = action_features(self.evaluation.critic, batch, trajectories)
        taken = self.taken(features, trajectories, rewards, batch)
        return {"reward": rewards, "Q": trajectories.padded(taken)}

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
        trajectories, memory = propose(self.policy, self.proposal, batch, clock)
        features = features_along(trajectories, self.policy, self.proposal, memory)
        with torch.no_grad():
            said = Said.of(self.policy.project(features))
        judged = self.judge(batch, trajectories, said)
        signal = self.signal(self.values(judged, batch), said.log_pi)
        sentences = batch.total * trajectories.group
        expected = self.policy.expected_signal(features, said.log_pi, signal)
        actor_loss = -expected.sum() / sentences
        if self.lambda_mle:
            actor_loss = actor_loss + self.lambda_mle * likelihood(self.policy, batch)
        self._metrics = diagnostics(judged, batch)
        return {"policy": actor_loss, "critic": judged.loss}

    @torch.no_grad()
    def values(self, judged: Judgement, batch: Batch) -> Tensor:
        """Q(y_<t, w) [P, V] of all words at every token."""
        learned = at_least_single(self.evaluation.critic.project(judged.features))
        return learned if judged.known is None else with_rewards(learned, judged.known, batch)

    def signal(self, values: Tensor, log_pi: Tensor) -> Tensor:
        """Q - tau log pi [P, V], what each action is worth, in the place of Q."""
        if not self.tau:
            return values
        if self.normalize_entropy:
            log_pi = log_pi / (1e-8 + log_pi.norm(dim=-1, keepdim=True))
        return values.sub_(log_pi, alpha=self.tau)

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        return super().evaluate(batch, clock) | {"nll": reference_nll(self.policy, batch)}


@torch.no_grad()
def diagnostics(judged: Judgement, batch: Batch) -> dict[str, Tensor]:
    """What tells how samples and critic are doing; Q is the first thing to go wrong."""
    taken = judged.trajectories.flat(judged.taken)
    return trajectory_metrics(
        judged.trajectories,
        batch,
        entropies=judged.trajectories.padded(judged.said.entropies),
        rewards=judged.rewards.sum(1),
    ) | {
        "td_error": judged.error.abs().sum() / judged.trajectories.mask.sum(),
        "q_min": taken.min(),
        "q_max": taken.max(),
        "q_spread": judged.spread.sqrt(),
    }


def propose(
    policy: Policy[Any, Any], proposal: Sampling, batch: Batch, clock: Clock
) -> tuple[Trajectories, Any]:
    """Samples, and the policy's memory of the sources, under the proposal's dropout."""
    with dropout(policy, proposal.dropout):
        memory = policy.encode(batch.source, batch.source_mask)
        return proposal(policy, memory, batch, None, clock), memory


def features_along(
    trajectories: Trajectories, policy: Policy[Any, Any], proposal: Sampling, memory: Any
) -> Tensor:
    """The policy's features [P, H] of the tokens, under the proposal's dropout."""
    sources = len(trajectories) // trajectories.group
    with dropout(policy, proposal.dropout):
        repeated = repeat(memory, sources, trajectories.group)
        return policy.features(repeated, trajectories.inputs, trajectories.mask)


def with_rewards(future: Tensor, known: Changes, batch: Batch) -> Tensor:
    """Q = r + F [P, V], in the place of F; after EOS there is no future."""
    future[:, batch.specials.eos] = 0.0
    return known.add_to(future)
