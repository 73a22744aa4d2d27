"""Likelihood whose target at every token is a distribution over the vocabulary.

Along trajectories y the weighted term of a token is

    (1 - c) log p(y_t | y_<t, x) + c sum_v D_t(v) log p(v | y_<t, x),

a mixture of its likelihood and of the negative cross-entropy to D_t, which has no gradient;
c is the share of the distribution, and the gradient that of the cross-entropy to
(1 - c) 1(v = y_t) + c D_t(v). c = 0 is weighted likelihood, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqrl.algorithms.base import Places, Scored
from seqrl.algorithms.likelihood import MLE
from seqrl.data.counts import TokenCounts
from seqrl.losses import tempered
from seqrl.models.base import Policy, repeat
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.types import Batch

Distribution = Callable[[Places], Tensor]
"""D at these places: [..., V], or one [1, V] for all."""

PRIORS = ("uniform", "unigram")


def mixed_terms(scored: Scored, share: Tensor | float, distribution: Distribution) -> Tensor:
    """The terms at the head of this file, [N, T].

    share  c, of all tokens or of each [N, T]; D is asked for only where it is not zero. D must be
           zero where no policy has probability
    """
    trajectories, policy = scored.trajectories, scored.policy
    if isinstance(share, Tensor):
        places: Places = trajectories.flat(share) > 0
    elif share:
        places = ...
    else:
        return scored.log_probs
    log_probs = trajectories.flat(scored.log_probs)
    features, words = scored.features[places], trajectories.flat(trajectories.targets)[places]
    # log p(v) = z_v - z_y + log p(y), of logits z: no log p(v) of all words is made
    taken = policy.chosen(features, words) - log_probs[places]
    expected = torch.zeros_like(log_probs)
    expected[places] = policy.expected(features, distribution(places).detach().log()) - taken
    return (1 - share) * scored.log_probs + share * trajectories.padded(expected)


class LabelSmoothing(MLE):
    """Maximum likelihood with smoothed targets (Szegedy et al. 2016, section 7),

        L = -(1/B) sum_b sum_t [(1 - epsilon) log p(y*_t) + epsilon sum_w u(w) log p(w)],

    at every position of the reference, EOS's too. It is what MLE would expect of targets that were
    drawn at each position, independently, from (1 - epsilon) 1(w = y*_t) + epsilon u(w), where the
    policy still reads the reference: RAML's cross-entropy to the product q of these laws, but that
    RAML's policy reads what was drawn. For one that heeds no prefix both are the same.

    epsilon  share of u
    prior    u: `uniform` over the words that a policy may emit (all but padding and BOS), or
             `unigram`, the frequencies of the training targets' tokens
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        counts: TokenCounts,
        epsilon: float = 0.1,
        prior: str = "uniform",
    ) -> None:
        require(0 <= epsilon <= 1, f"epsilon must lie in [0, 1], not {epsilon}")
        require(prior in PRIORS, f"prior must be one of {', '.join(PRIORS)}, not {prior!r}")
        super().__init__(policy=policy)
        self.epsilon = epsilon
        masses = counts.tokens.clone() if prior == "unigram" else torch.ones_like(counts.tokens)
        masses[list(policy.specials.no_actions)] = 0.0
        self.prior = (masses / masses.sum()).to(next(policy.parameters()).device)

    def terms(self, scored: Scored, batch: Batch) -> Tensor:
        prior = self.prior.to(scored.log_probs.dtype)
        return mixed_terms(scored, self.epsilon, lambda places: prior.unsqueeze(0))


class Distillation(MLE):
    """Knowledge distillation by words (Kim & Rush 2016, section 3.1): of every token

        (1 - kappa) log p(y_t | y_<t) + kappa sum_w q(w | y_<t) log p(w | y_<t),

    q = softmax(teacher's logits / temperature), along the reference, or along a proposal's
    trajectories. With kappa = 1 its gradient is that of sum_t KL(q || p).

    teacher      frozen, without dropout
    kappa        share of the teacher; 0: maximum likelihood
    temperature  of the teacher alone
    """

    def __init__(
        self,
        *,
        policy: Policy[Any, Any],
        teacher: Policy[Any, Any],
        proposal: Proposal | None = None,
        kappa: float = 0.5,
        temperature: float = 1.0,
    ) -> None:
        require(0 <= kappa <= 1, f"kappa must lie in [0, 1], not {kappa}")
        require(temperature > 0, f"temperature must be positive, not {temperature}")
        super().__init__(policy=policy, proposal=proposal)
        self.teacher = teacher.requires_grad_(False).eval()
        self.kappa = kappa
        self.temperature = temperature

    def terms(self, scored: Scored, batch: Batch) -> Tensor:
        trajectories = scored.trajectories

        @torch.no_grad()
        def targets(places: Places) -> Tensor:
            memory = self.teacher.encode(batch.source, batch.source_mask)
            repeated = repeat(memory, len(batch), trajectories.group)
            features = self.teacher.features(repeated, trajectories.inputs, trajectories.mask)
            return tempered(self.teacher.project(features[places]), self.temperature)

        return mixed_terms(scored, self.kappa, targets)
