"""Music theory as a reward of melodies, a class for each rule of Jaques et al. (2017).

R(y) = sum_t r(y_1..t), whatever the references are; the rules are in `seqrl.metrics.music`. Their
sum is a mix, see conf/reward/music.yaml.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from seqrl.melody import HOLD, STEPS, SYMBOLS
from seqrl.metrics import music
from seqrl.ranges import require
from seqrl.rewards.base import PrefixReward
from seqrl.types import Batch, Trajectories


class MusicReward(PrefixReward):
    """A rule that says what a symbol is worth after those before it.

    words  of the task's target vocabulary, which must be those of `seqrl.melody`; None: they are
           not known before the data are

    What is no symbol is worth nothing, and nothing happens there. Symbols have the ids behind the
    special ones.
    """

    def __init__(self, *, scale: str = "none", words: Sequence[str] | None = SYMBOLS) -> None:
        super().__init__(scale=scale)
        require(
            words is not None and tuple(words) == SYMBOLS,
            "rewards of music need a task whose target words are the symbols of melodies, such "
            "as task=melody",
        )

    @property
    def in_tokens(self) -> bool:
        return True

    @abstractmethod
    def worth(self, notes: Tensor, first: int) -> Tensor:
        """r(y_1..t) of symbols [N, T] at the steps from the first on, [N, T - first]."""

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        return self.increments(trajectories, batch).sum(1)

    def increments(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        notes, there = _symbols(trajectories.targets, batch)
        factor = self.factor(batch, trajectories.group).unsqueeze(1)
        return factor * self._worth(notes, 0) * (there & trajectories.mask)

    def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
        notes, _ = _symbols(prefix, batch)
        following = torch.arange(len(SYMBOLS), device=notes.device)
        rows = notes.repeat_interleave(len(following), dim=0)
        last = following.repeat(len(notes)).unsqueeze(1)
        found = self._worth(torch.cat([rows, last], dim=1), notes.shape[1]).view(len(notes), -1)
        ahead = found.new_zeros(len(notes), vocabulary)
        first = _first(batch)
        ahead[:, first : first + len(SYMBOLS)] = found
        return self.factor(batch, group).unsqueeze(1) * ahead

    def _worth(self, notes: Tensor, first: int) -> Tensor:
        return self.worth(notes, first).to(torch.get_default_dtype())


class KeyReward(MusicReward):
    """`penalty` for a note out of C major."""

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        penalty: float = -1.0,
    ) -> None:
        super().__init__(scale=scale, words=words)
        self.penalty = penalty

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.key(notes, first=first, penalty=self.penalty)


class TonicReward(MusicReward):
    """`reward` for C4 at the first step and at the fourth from the end, which then is held.

    steps  of a melody
    """

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        reward: float = 3.0,
        steps: int = STEPS,
    ) -> None:
        super().__init__(scale=scale, words=words)
        require(steps >= 4, f"steps must be at least 4, not {steps}")
        self.reward = reward
        self.steps = steps

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.tonic(notes, first=first, reward=self.reward, steps=self.steps)


class RepeatsReward(MusicReward):
    """`penalty` for a symbol that stood too often before, see `seqrl.metrics.music.excessive`.

    plain, broken, rests  how often is not too often: without others between, with holds or rests
                          between, and of rests
    """

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        penalty: float = -100.0,
        plain: int = 4,
        broken: int = 6,
        rests: int = 1,
    ) -> None:
        super().__init__(scale=scale, words=words)
        for name, value in (("plain", plain), ("broken", broken), ("rests", rests)):
            require(value >= 0, f"{name} must not be negative, not {value}")
        self.penalty = penalty
        self.plain = plain
        self.broken = broken
        self.rests = rests

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.repeats(
            notes,
            first=first,
            penalty=self.penalty,
            plain=self.plain,
            broken=self.broken,
            rests=self.rests,
        )


class AutocorrelationReward(MusicReward):
    """-weight sum_lag |c_lag| at every step, of autocorrelations beyond the threshold."""

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        weight: float = 3.0,
        threshold: float = 0.15,
    ) -> None:
        super().__init__(scale=scale, words=words)
        require(0 <= threshold <= 1, f"threshold must lie in [0, 1], not {threshold}")
        self.weight = weight
        self.threshold = threshold

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.correlation(notes, first=first, weight=self.weight, threshold=self.threshold)


class MotifReward(MusicReward):
    """reward + more (n - 3) where the last eight symbols have n >= 3 different notes."""

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        reward: float = 3.0,
        more: float = 0.3,
    ) -> None:
        super().__init__(scale=scale, words=words)
        self.reward = reward
        self.more = more

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.motif(notes, first=first, reward=self.reward, more=self.more)


class RepeatedMotifReward(MusicReward):
    """reward + more (n - 3) where such eight symbols stand once more before them."""

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        reward: float = 4.0,
        more: float = 1.0,
    ) -> None:
        super().__init__(scale=scale, words=words)
        self.reward = reward
        self.more = more

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.repeated_motif(notes, first=first, reward=self.reward, more=self.more)


class IntervalsReward(MusicReward):
    """factor times what the interval to the last note is worth, `seqrl.metrics.music.intervals`."""

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        factor: float = 5.0,
        rest: float = 0.05,
        rest_on_chord: float = 0.15,
        hold: float = 0.075,
        hold_on_chord: float = 0.3,
        second: float = 0.08,
        third: float = 0.09,
        third_in_key: float = 0.15,
        fourth: float = 0.07,
        fifth: float = 0.02,
        fifth_in_key: float = 0.1,
        sixth: float = 0.05,
        seventh: float = -0.3,
        beyond: float = -1.0,
    ) -> None:
        super().__init__(scale=scale, words=words)
        self.factor_of_all = factor
        self.values = {
            "rest": rest,
            "rest_on_chord": rest_on_chord,
            "hold": hold,
            "hold_on_chord": hold_on_chord,
            "second": second,
            "third": third,
            "third_in_key": third_in_key,
            "fourth": fourth,
            "fifth": fifth,
            "fifth_in_key": fifth_in_key,
            "sixth": sixth,
            "seventh": seventh,
            "beyond": beyond,
        }

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.intervals(notes, first=first, factor=self.factor_of_all, **self.values)


class LeapsReward(MusicReward):
    """`resolved` for a leap of a fifth or more that is resolved, `doubled` for two the same way.

    apart  steps after which to leap back resolves; to return gradually always does
    """

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        resolved: float = 5.0,
        doubled: float = -5.0,
        apart: int = 6,
    ) -> None:
        super().__init__(scale=scale, words=words)
        require(apart >= 0, f"apart must not be negative, not {apart}")
        self.resolved = resolved
        self.doubled = doubled
        self.apart = apart

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.leaping(
            notes, first=first, resolved=self.resolved, doubled=self.doubled, apart=self.apart
        )


class ExtremesReward(MusicReward):
    """`reward` at the last step for a highest note that began once, and likewise a lowest.

    steps  of a melody
    """

    def __init__(
        self,
        *,
        scale: str = "none",
        words: Sequence[str] | None = SYMBOLS,
        reward: float = 3.0,
        steps: int = STEPS,
    ) -> None:
        super().__init__(scale=scale, words=words)
        require(steps >= 1, f"steps must be at least 1, not {steps}")
        self.reward = reward
        self.steps = steps

    def worth(self, notes: Tensor, first: int) -> Tensor:
        return music.extremes(notes, first=first, reward=self.reward, steps=self.steps)


def _first(batch: Batch) -> int:
    """The id of the first symbol."""
    special = batch.specials
    return max(special.pad, special.unk, special.bos, special.eos) + 1


def _symbols(tokens: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """The symbols of ids, HOLD where there is none, and where there is one."""
    numbers = tokens - _first(batch)
    there = (numbers >= 0) & (numbers < len(SYMBOLS))
    return numbers.masked_fill(~there, HOLD), there
