"""Sequence Tutor: values of tokens that keep a policy near a trained one (Jaques et al. 2017).

p(a | s), the prior, is a frozen copy of the policy as maximum likelihood left it; r_t are the
increments of the reward; Q-, Psi- and G- come from a target network. The values of the tokens
that were played are drawn to

    q:    log p(a | s) + r / c + gamma max_a' Q-(s', a'),            policy: the greatest Q
    psi:  log p(a | s) + r / c + gamma log sum_a' exp Psi-(s', a'),  policy: softmax(Psi)
    g:    r / c + gamma log sum_a' p(a' | s') exp G-(s', a'),        policy: prop. to p exp(G)

by the squared error. With gamma = 1 the last two lead to p(y) exp(R(y) / c) / Z, the greatest of
E_q[R / c] - KL(q || p).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.algorithms.base import Algorithm
from seqrl.algorithms.critics import delayed, follow
from seqrl.algorithms.diagnostics import trajectory_metrics
from seqrl.algorithms.replay import Plays, Replay
from seqrl.losses import at_least_single, entropy, kl, reduce
from seqrl.models.base import Policy, dropout
from seqrl.proposals.exploring import Exploring, actions
from seqrl.ranges import require
from seqrl.rewards.base import Reward, incremental
from seqrl.types import Batch, Clock, Trajectories

TARGETS = ("q", "psi", "g")

AT_ONCE = 1000
"""Tokens whose distributions are looked at together."""


class SequenceTutor(Algorithm):
    """The learning described at the head of this file, from a memory of what was played.

    At an update the policy plays one sequence for each source of the batch, all of them together
    where the paper plays one note at a time; what is kept is the token that was played. Then as
    many sequences are drawn from the memory as it was before, and learned:

        L = (1/B) sum_b sum_t [L(s_t, a_t) - target_t]^2,      L one of Q, Psi, G.

    The network starts as the prior's, so that its logits z are log p and a number log Z(s), which
    no policy depends on. `centred`, the values are z - log Z(s): Psi = log p at first, and with
    r = 0 there is nothing to learn. G is z - log Z(s) - log p, which makes p exp(G) softmax(z):
    g is then psi, in other words. With a `models.tilted.Tilted` policy, whose logits are log p + G,
    G is a network of its own, as in the paper.

    An EOS that a limit on the length put is no action; the one before has the value of what would
    have followed. Nor is an EOS where nothing else can stand: the sequence ends with the word
    before, which is given its reward. Played and learned is without dropout.

    prior         frozen, without dropout
    proposal      plays
    target        q | psi | g
    c             what rewards are divided by; infinity: the prior
    gamma         discount
    eta           speed of the target network; 1 is none
    memory        sequences that are kept
    play_every    updates between plays
    prior_weight  of log p in the targets of q and psi; 0: the reward alone
    terminal      whether the last action of a sequence leads to nothing. In the released code it
                  leads to a first state: here to that of the same sentence
    centred       false: the values are z, as released
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        prior: Policy[Any, Any],
        proposal: Exploring,
        reward: Reward,
        target: str = "psi",
        c: float = 0.5,
        gamma: float = 0.5,
        eta: float = 0.01,
        memory: int = 10000,
        play_every: int = 1,
        prior_weight: float = 1.0,
        terminal: bool = True,
        centred: bool = True,
    ) -> None:
        require(target in TARGETS, f"target must be one of {', '.join(TARGETS)}, not {target!r}")
        require(c > 0, f"c must be positive, not {c}")
        require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not {gamma}")
        require(0 < eta <= 1, f"eta must lie in (0, 1], not {eta}")
        require(play_every >= 1, f"play_every must be at least 1, not {play_every}")
        require(prior_weight >= 0, f"prior_weight must not be negative, not {prior_weight}")
        require(
            target != "g" or prior_weight == 1,
            f"prior_weight must be 1 with target g, which has log p in its policy, "
            f"not {prior_weight}",
        )
        self.policy = policy
        self.prior = prior.requires_grad_(False).eval()
        self.proposal = proposal
        self.reward = incremental(reward, "Sequence Tutor")
        self.target = target
        self.c = c
        self.gamma = gamma
        self.eta = eta
        self.play_every = play_every
        self.prior_weight = prior_weight
        self.terminal = terminal
        self.centred = centred
        self.slow = delayed(policy)
        self.memory = Replay(memory)
        self._new: list[Plays] = []  # of this update, by part of the batch
        self._metrics: dict[str, Tensor] = {}

    def learners(self) -> dict[str, nn.Module]:
        return {"policy": self.policy}

    def indivisible(self) -> str | None:
        return "the memory holds what all sentences of a batch were played to"

    def losses(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if clock.update % self.play_every == 0:
            trajectories = self.play(batch, clock)
            plays, said = self.recorded(trajectories, batch)
            self._new.append(plays)
            found = self.diagnostics(trajectories, plays, said, batch)
            found["epsilon"] = torch.tensor(self.proposal.epsilon(clock))
        if len(self.memory):
            plays = self.memory.draw(clock.uniform("replay", 1, batch)[0])
        values = self.values(plays)
        errors = values - self.targets(plays, self.state_values(plays))
        with torch.no_grad():
            taken = values[plays.actions]
            found["td_error"] = errors[plays.actions].abs().mean()
            found["q_min"], found["q_max"] = taken.aminmax()
        self._metrics = found
        return {"policy": reduce(errors.square(), plays.actions, batch.total)}

    @torch.no_grad()
    def play(self, batch: Batch, clock: Clock) -> Trajectories:
        """One trajectory for each source."""
        with dropout(self.policy, False):
            memory = self.policy.encode(batch.source, batch.source_mask)
            return self.proposal(self.policy, memory, batch, self.reward, clock)

    @torch.no_grad()
    def recorded(self, trajectories: Trajectories, batch: Batch) -> tuple[Plays, Said]:
        """What is kept of the trajectories, and what policy and prior say along them."""
        said = self.said(trajectories, batch)
        mask, eos = trajectories.mask, batch.specials.eos
        certain = mask & ~said.choice & (trajectories.targets == eos)
        chosen = trajectories.drawn & ~certain
        gains = self.reward.increments(trajectories, batch).to(said.log_prior.dtype)
        at_the_end = torch.where(certain, gains, 0.0)
        following = torch.cat([at_the_end[:, 1:], torch.zeros_like(gains[:, :1])], dim=1)
        cut = trajectories.cut if trajectories.cut is not None else torch.zeros_like(mask[:, 0])
        plays = Plays(
            source=torch.where(batch.source_mask, batch.source, 0),
            source_mask=batch.source_mask,
            tokens=torch.where(mask, trajectories.targets, 0),
            states=mask,
            actions=chosen,
            rewards=torch.where(chosen, gains + following, 0.0),
            log_prior=torch.where(chosen, said.log_prior, 0.0),
            normaliser=said.normaliser,
            ended=~cut | certain.any(1),
        )
        return plays, said

    def said(self, trajectories: Trajectories, batch: Batch) -> Said:
        """What policy and prior say at every token, without dropout."""
        with dropout(self.policy, False):
            features = [
                network.features(
                    network.encode(batch.source, batch.source_mask),
                    trajectories.inputs,
                    trajectories.mask,
                )
                for network in (self.policy, self.prior)
            ]
        words = trajectories.flat(trajectories.targets).unsqueeze(1)
        parts = (torch.split(rows, AT_ONCE) for rows in (*features, words))
        found: list[tuple[Tensor, ...]] = []
        for now, before, taken in zip(*parts, strict=True):
            logits = at_least_single(self.prior.project(before))
            log_p = torch.log_softmax(logits, dim=-1)
            log_q = torch.log_softmax(at_least_single(self.policy.project(now)), dim=-1)
            choice = actions(logits, batch.specials).sum(-1) > 1
            normaliser = torch.logsumexp(logits, dim=-1)
            own = log_p.gather(1, taken).squeeze(1)
            found.append((own, normaliser, choice, entropy(log_q), kl(log_q, log_p)))
        columns = (torch.cat(column) for column in zip(*found, strict=True))
        return Said(*(trajectories.padded(column) for column in columns))

    def values(self, plays: Plays) -> Tensor:
        """Q, Psi or G of the actions [N, T], with gradient; zero elsewhere."""
        trajectories = replace(plays.trajectories(self.policy.specials.bos), mask=plays.actions)
        with dropout(self.policy, False):
            memory = self.policy.encode(plays.source, plays.source_mask)
            features = self.policy.features(memory, trajectories.inputs, trajectories.mask)
            words = trajectories.flat(trajectories.targets)
            found = at_least_single(self.policy.chosen(features, words))
        offset = torch.where(plays.actions, self.offset(plays), 0.0)
        if self.target == "g":
            offset = offset + plays.log_prior
        return trajectories.padded(found) - offset

    @torch.no_grad()
    def state_values(self, plays: Plays) -> Tensor:
        """The target network's max Q- or log sum exp of Psi- and of log p + G-, of s_t [N, T]."""
        trajectories = plays.trajectories(self.slow.specials.bos)
        memory = self.slow.encode(plays.source, plays.source_mask)
        features = self.slow.features(memory, trajectories.inputs, trajectories.mask)
        found = []
        for part in torch.split(features, AT_ONCE):
            logits = at_least_single(self.slow.project(part))
            soft = self.target != "q"
            found.append(torch.logsumexp(logits, dim=-1) if soft else logits.amax(-1))
        return trajectories.padded(torch.cat(found)) - self.offset(plays)

    def offset(self, plays: Plays) -> Tensor:
        """log Z(s_t) [N, T] of the prior, which is taken off the logits."""
        return plays.normaliser if self.centred else torch.zeros_like(plays.normaliser)

    def targets(self, plays: Plays, states: Tensor) -> Tensor:
        """What the values of the actions are drawn to [N, T], given those of the states [N, T]."""
        nothing = torch.zeros_like(states[:, :1])
        following = torch.cat([states[:, 1:], nothing], dim=1)
        goes_on = torch.cat([plays.actions[:, 1:], torch.zeros_like(plays.actions[:, :1])], dim=1)
        ends = plays.actions & ~goes_on & plays.ended.unsqueeze(1)
        following = torch.where(ends, nothing if self.terminal else states[:, :1], following)
        found = plays.rewards / self.c + self.gamma * following
        return found if self.target == "g" else found + self.prior_weight * plays.log_prior

    def diagnostics(
        self, trajectories: Trajectories, plays: Plays, said: Said, batch: Batch
    ) -> dict[str, Tensor]:
        """What tells how the plays are doing; `kl` is from the prior, of a token, see `Said`."""
        found = trajectory_metrics(
            trajectories, batch, entropies=said.entropies, rewards=plays.rewards.sum(1)
        )
        distance = said.kl.sum()
        found["kl"] = distance / trajectories.mask.sum()
        found["kl_sentence"] = distance / len(trajectories)
        return found

    def after_update(self, clock: Clock) -> None:
        for plays in self._new:
            self.memory.add(plays)
        self._new = []
        follow(self.slow, self.policy, self.eta)

    def forget(self) -> None:
        self._new = []

    @torch.no_grad()
    def evaluate(self, batch: Batch, clock: Clock) -> dict[str, tuple[Tensor, Tensor]]:
        """The mean absolute error along plays on dev."""
        plays, _ = self.recorded(self.play(batch, clock), batch)
        errors = self.values(plays) - self.targets(plays, self.state_values(plays))
        return {"td_error": (errors[plays.actions].abs().sum(), plays.actions.sum())}

    @torch.no_grad()
    def explain(self, trajectories: Trajectories, batch: Batch) -> dict[str, Tensor]:
        plays, _ = self.recorded(trajectories, batch)
        return {"reward": plays.rewards, "value": self.values(plays)}

    def metrics(self) -> dict[str, Tensor]:
        return self._metrics

    def state_dict(self) -> dict[str, Any]:
        return {"slow": self.slow.state_dict(), "memory": self.memory.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.slow.load_state_dict(state["slow"])
        self.memory.load_state_dict(state["memory"])


@dataclass(frozen=True)
class Said:
    """What prior and policy say at every token [N, T]; zero at padding.

    log_prior   log p of the tokens
    normaliser  log sum_w exp of the prior's logits
    choice      whether several tokens can stand there
    entropies   of the policy, nats
    kl          KL(policy || prior), nats
    """

    log_prior: Tensor
    normaliser: Tensor
    choice: Tensor
    entropies: Tensor
    kl: Tensor
