"""References with noise that knows the training data, and nothing of the reward.

Data noising as regularisation (Xie et al. 2017) and as a relaxed delta reward (Tan et al. 2018).
EOS and padding are never replaced; of the special symbols the unknown word alone may be drawn.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seqrl.data.counts import TokenCounts
from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.proposals.perturbation import grouped, ordinary_words, perturbed
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Specials, Trajectories, shift_right

SCHEMES = ("blank", "unigram", "absolute_discounting", "kneser_ney")
PLACES = ("input", "both")


class Noising(Proposal):
    """The reference, K times, each token w replaced with probability gamma(w) by a draw from u.

    scheme              gamma(w)                     u(v) proportional to
    blank               gamma                        all mass on the unknown word
    unigram             gamma                        count(v)
    absolute_discounting  gamma N1+(w, .) / count(w)   count(v)
    kneser_ney          gamma N1+(w, .) / count(w)   N1+(., v)

    with counts of the training references; N1+(w, .) and N1+(., v) are the distinct words that
    follow w and that precede v (Xie et al. 2017, table 1 and section 3.3). The draw may be the
    word itself.

    noise  `input`: the decoder reads the noised words and predicts the clean ones (Xie et al.;
           under `kneser_ney` the predicted word is replaced too, where and by what being drawn
           independently of the input). `both`: one noised sequence is read and predicted; with
           `unigram` it is a sample of

               q(y | y*) = prod_t [(1 - gamma) 1(y_t = y*_t) + gamma u(y_t)],

           the exponentiated payoff of the unigram-relaxed delta reward (Tan et al. 2018)
    """

    def __init__(
        self,
        *,
        counts: TokenCounts,
        scheme: str = "unigram",
        noise: str = "input",
        gamma: float = 0.2,
        samples: int = 1,
    ) -> None:
        require(scheme in SCHEMES, f"scheme must be one of {', '.join(SCHEMES)}, not {scheme!r}")
        require(noise in PLACES, f"noise must be one of {', '.join(PLACES)}, not {noise!r}")
        require(0 <= gamma <= 1, f"gamma must lie in [0, 1], not {gamma}")
        require(samples >= 1, f"samples must be at least 1, not {samples}")
        self.counts = counts
        self.scheme = scheme
        self.noise = noise
        self.gamma = gamma
        self.samples = samples

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        target, mask = grouped(batch, self.samples)
        noised, changed = self._noised(target, mask, batch, clock, "noising")
        if self.noise == "both":
            return perturbed(noised, mask, changed, batch, self.samples)
        inputs = shift_right(noised, batch.specials.bos)
        given = mask
        if self.scheme == "kneser_ney":
            target, changed = self._noised(target, mask, batch, clock, "noising/targets")
            given = mask & ~changed
        return Trajectories(inputs, target, mask, given, self.samples)

    def _noised(
        self, target: Tensor, mask: Tensor, batch: Batch, clock: Clock, stream: str
    ) -> tuple[Tensor, Tensor]:
        """The targets [N, T] with noise, and where there is some."""
        steps = target.shape[1]
        noise = clock.uniform(stream, 2 * steps, batch, self.samples)
        coins, draws = noise[:steps].T, noise[steps:].T.contiguous()
        replaceable = mask & (target != batch.specials.eos)
        changed = replaceable & (self.probabilities().to(target.device)[target] > coins)
        cumulative = self.distribution(batch.specials).cumsum(0).to(target.device)
        # a number below one must always fall on a word
        words = torch.searchsorted(cumulative, draws.double() * cumulative[-1], right=True)
        return torch.where(changed, words, target), changed

    def probabilities(self) -> Tensor:
        """gamma(w) [V], that a token is replaced."""
        if self.scheme in ("blank", "unigram"):
            return torch.full((self.counts.size,), self.gamma)
        occurrences = self.counts.contexts.clamp(min=1)
        return (self.gamma * self.counts.following / occurrences).float()

    def distribution(self, specials: Specials) -> Tensor:
        """u(v) [V], what is drawn instead; uniform over the words where nothing was counted."""
        mass = torch.zeros(self.counts.size, dtype=torch.float64)
        if self.scheme == "blank":
            mass[specials.unk] = 1.0
            return mass
        words = ordinary_words(self.counts.size, specials, unk=True)
        counted = self.counts.preceding if self.scheme == "kneser_ney" else self.counts.tokens
        mass[words] = counted[words] if counted[words].any() else 1.0
        return mass / mass.sum()
