"""What a reward is: a number for a finished sequence, and, where it can, one for each token."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from seqrl.ranges import require
from seqrl.types import Batch, Trajectories

SCALES = ("none", "reference_length")


@dataclass(frozen=True)
class Changes:
    """The increments of all words at P tokens: most words' are the same.

    other  [P]     of a word that is none of `words`
    words  [P, R]  ids; one that stands several times in a row has one of its gains everywhere
    gains  [P, R]  of these words
    """

    other: Tensor
    words: Tensor
    gains: Tensor

    def plus(self, more: Tensor) -> Changes:
        """All words' increments larger by `more` [P]."""
        return Changes(self.other + more, self.words, self.gains + more.unsqueeze(1))

    def of(self, tokens: Tensor) -> Tensor:
        """[P], those of one word [P] each."""
        return self.at(tokens.unsqueeze(1)).squeeze(1)

    def at(self, tokens: Tensor) -> Tensor:
        """[P, Q], those of words [P, Q]."""
        same = self.words.unsqueeze(1) == tokens.unsqueeze(2)
        found = self.gains.gather(1, same.int().argmax(2))
        return torch.where(same.any(2), found, self.other.unsqueeze(1))

    def expected(self, log_p: Tensor) -> Tensor:
        """sum_w p(w) r(w) [P] under p [P, V], which sum to one, given log p."""
        again = (self.words.unsqueeze(2) == self.words.unsqueeze(1)).tril(-1).any(2)
        masses = log_p.gather(1, self.words).exp().masked_fill(again, 0.0)
        more = self.gains - self.other.unsqueeze(1)
        found: Tensor = torch.linalg.vecdot(masses, more.to(masses.dtype))
        return self.other + found

    def add_to(self, values: Tensor) -> Tensor:
        """values [P, V], to which the increments are added."""
        kept = values.gather(1, self.words) + self.gains
        return values.add_(self.other.unsqueeze(1)).scatter_(1, self.words, kept)

    def dense(self, vocabulary: int) -> Tensor:
        """[P, V]."""
        return self.add_to(self.gains.new_zeros(len(self.gains), vocabulary))


class Reward(ABC):
    """R(y, y*) of every trajectory against its sentence's references.

    scale  `none`: the metric's own range; `reference_length`: multiplied by the number of
           tokens of the first reference without EOS, which is what ERAC's increments want,
           while RAML's weights want the unscaled one.
    """

    def __init__(self, *, scale: str = "none") -> None:
        require(scale in SCALES, f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
        self.scale = scale

    @property
    def in_tokens(self) -> bool:
        """Whether one token more that is right adds about 1, and not one part of the length."""
        return self.scale == "reference_length"

    @abstractmethod
    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        """[N], R(y, y*)."""

    def factor(self, batch: Batch, group: int) -> Tensor:
        """[N], what the metric is multiplied by."""
        length = batch.target_length.to(torch.get_default_dtype())
        factor = length if self.scale == "reference_length" else torch.ones_like(length)
        return factor.repeat_interleave(group)


class PrefixReward(Reward):
    """A reward that is defined for unfinished sequences too: R(prefix) = R(prefix + EOS).

    leads  whether whoever takes the greatest increment at every step comes to a good sequence
    """

    leads: bool = True

    @abstractmethod
    def increments(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        """[N, T], r_t = R(y_1..t) - R(y_1..t-1); they sum to `score`, zero after EOS.

        The first one includes the value of the empty prefix.
        """

    @abstractmethod
    def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
        """[N, V], the increment that each possible next token would bring after `prefix` [N, t].

        Prefixes hold no EOS; V = `vocabulary`.
        """

    def lookaheads(self, trajectories: Trajectories, batch: Batch, vocabulary: int) -> Changes:
        """At every token the increment that each possible one would have brought.

        Of the tokens that were chosen they are `increments`.
        """
        ahead = self.changes(trajectories, batch, vocabulary)
        words = trajectories.flat(trajectories.targets)
        gains = trajectories.flat(self.increments(trajectories, batch))
        first = trajectories.places % trajectories.mask.shape[1] == 0
        return ahead.plus(torch.where(first, gains - ahead.of(words), 0.0))  # R(empty)

    def changes(self, trajectories: Trajectories, batch: Batch, vocabulary: int) -> Changes:
        """`lookahead` before every token; to be overridden where that can be faster."""
        steps = trajectories.targets.shape[1]
        ahead = [
            self.lookahead(trajectories.targets[:, :t], batch, trajectories.group, vocabulary)
            for t in range(steps)
        ]
        changes = trajectories.flat(torch.stack(ahead, dim=1))
        words = torch.arange(vocabulary, device=changes.device).expand_as(changes)
        return Changes(changes.new_zeros(len(changes)), words, changes)


def incremental(reward: Reward | None, asker: str) -> PrefixReward:
    """The reward, if it has a value for every prefix, which `asker` (a noun) cannot do without."""
    if not isinstance(reward, PrefixReward):
        found = (
            "and there is none"
            if reward is None
            else f"not {type(reward).__name__}, which only scores whole sequences"
        )
        raise ValueError(f"{asker} needs a reward for every token (bleu, rouge, edit), {found}")
    return reward
