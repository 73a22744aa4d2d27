"""Rewards that are a metric of token ids, known for every prefix."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from seqrl.rewards.base import Changes, PrefixReward
from seqrl.types import Batch, Trajectories

NO_TOKEN = -1


class MetricReward(PrefixReward):
    """R(y, y*) = factor * metric(y, y*), higher better, computed without gradient or loops.

    EOS and padding are no tokens of a sentence, so a step that ends one changes nothing; an
    absent trajectory has the empty sentence's score, and increments of zero.

    match_unk  whether an unknown word in the hypothesis matches one in a reference; if not,
               a reference's unknown words count in its length only
    """

    def __init__(self, *, scale: str = "none", match_unk: bool = True) -> None:
        super().__init__(scale=scale)
        self.match_unk = match_unk

    @abstractmethod
    def prefixes(
        self,
        hypothesis: Tensor,
        hypothesis_mask: Tensor,
        references: Tensor,
        reference_mask: Tensor,
    ) -> Tensor:
        """[N, T], the metric of y_1..t; steps after the end repeat the last value."""

    @abstractmethod
    def following(
        self, prefix: Tensor, references: Tensor, reference_mask: Tensor, first: int
    ) -> tuple[Tensor, Tensor]:
        """Changes of the metric by one more token after the first `first` to t of prefix [N, t].

        That of a token in no reference [N, t - first + 1], and those of the references' tokens
        [N, t - first + 1, M, T'], which are the same wherever a token stands.
        """

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        """[N], the reward of whole sentences, in the default floating type."""
        return self._values(trajectories, batch)[:, -1].to(torch.get_default_dtype())

    def increments(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        """[N, T], exactly zero after the last token; an EOS that comes first has R(empty)."""
        values = self._values(trajectories, batch)
        steps = values.diff(dim=1, prepend=torch.zeros_like(values[:, :1]))
        moves = trajectories.mask & (trajectories.targets != batch.specials.eos)
        moves[:, 0] = trajectories.mask[:, 0]
        return torch.where(moves, steps, 0).to(torch.get_default_dtype())

    def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
        """[N, V], R(prefix + w) - R(prefix) of every token w; 0 for EOS.

        After the empty prefix, too, it is the difference: R(empty) is not included.
        """
        references, mask = self._references(batch, group)
        other, candidates = self.following(prefix, references, mask, prefix.shape[1])
        place, factor = self._places(references, mask, batch), self.factor(batch, group)
        found = of_words(other[:, 0], candidates[:, 0], place, factor, batch)
        return found.dense(vocabulary)

    def changes(self, trajectories: Trajectories, batch: Batch, vocabulary: int) -> Changes:
        references, mask = self._references(batch, trajectories.group)
        other, candidates = self.following(trajectories.targets[:, :-1], references, mask, 0)
        rows = trajectories.places // trajectories.mask.shape[1]
        other, candidates = trajectories.flat(other), trajectories.flat(candidates)
        place = self._places(references, mask, batch)[rows]
        factor = self.factor(batch, trajectories.group)[rows]
        return of_words(other, candidates, place, factor, batch)

    def _places(self, references: Tensor, mask: Tensor, batch: Batch) -> Tensor:
        """[N, M, T'], the ids of the references' tokens.

        What no policy can emit goes where EOS stands.
        """
        return references.masked_fill(~mask | (references == NO_TOKEN), batch.specials.eos)

    def _values(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        """[N, T], the reward of every prefix."""
        mask = trajectories.mask & (trajectories.targets != batch.specials.eos)
        references = self._references(batch, trajectories.group)
        metric = self.prefixes(trajectories.targets, mask, *references)
        return metric * self.factor(batch, trajectories.group).unsqueeze(1)

    def _references(self, batch: Batch, group: int) -> tuple[Tensor, Tensor]:
        """[N, M, T'], the references of each trajectory's sentence, and where their tokens are."""
        specials = batch.specials
        references = batch.references.repeat_interleave(group, dim=0)
        mask = (references != specials.pad) & (references != specials.eos)
        if not self.match_unk:
            references = references.masked_fill(references == specials.unk, NO_TOKEN)
        return references, mask


def of_words(
    other: Tensor, candidates: Tensor, place: Tensor, factor: Tensor, batch: Batch
) -> Changes:
    """Changes of all words: `other` [P], or a word's candidate [P, M, T'].

    place [P, M, T'] holds the words, factor [P] is what the metric is multiplied by; 0 for EOS.
    """
    kind = torch.get_default_dtype()
    words = place.flatten(1)
    gains = candidates.to(kind).flatten(1) * factor.unsqueeze(1)
    eos = torch.full_like(words[:, :1], batch.specials.eos)
    gains = gains.masked_fill(words == batch.specials.eos, 0.0)
    return Changes(
        other.to(kind) * factor,
        torch.cat([words, eos], dim=1),
        torch.cat([gains, torch.zeros_like(gains[:, :1])], dim=1),
    )
