"""Weighted sums of rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seqrl.ranges import require
from seqrl.rewards.base import Changes, PrefixReward, Reward
from seqrl.types import Batch, Trajectories

Parts = Sequence[tuple[float, Reward]]


def mix(*, parts: Mapping[str, Reward], scale: str = "none", **weights: float) -> Reward:
    """R = sum_k w_k R_k, a reward for every token where all of its parts are.

    parts    by name; their own scale is `none`
    weights  of the parts; one of weight 0 is left out
    """
    unknown = sorted(set(weights) - set(parts))
    require(not unknown, f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    used = [(weight, parts[name]) for name, weight in weights.items() if weight]
    require(bool(used), f"a mix needs a weight, for instance of {next(iter(parts))}")
    scaled = [name for name in weights if parts[name].scale != "none"]
    require(not scaled, f"the mix has the scale, not its parts: {', '.join(scaled)}")
    prefix = [(weight, part) for weight, part in used if isinstance(part, PrefixReward)]
    return PrefixMix(prefix, scale) if len(prefix) == len(used) else Mix(used, scale)


class Mix(Reward):
    """A sum of which some part is known for whole sequences only."""

    def __init__(self, parts: Parts, scale: str) -> None:
        super().__init__(scale=scale)
        self.parts = parts

    @property
    def in_tokens(self) -> bool:
        return super().in_tokens or any(part.in_tokens for _, part in self.parts)

    def score(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        found = [weight * part.score(trajectories, batch) for weight, part in self.parts]
        return self.factor(batch, trajectories.group) * torch.stack(found).sum(0)


class PrefixMix(Mix, PrefixReward):
    """A sum of rewards that are all known for every token."""

    def __init__(self, parts: Sequence[tuple[float, PrefixReward]], scale: str) -> None:
        super().__init__(parts, scale)
        self.prefix_parts = parts
        self.leads = any(part.leads for _, part in parts)

    def increments(self, trajectories: Trajectories, batch: Batch) -> Tensor:
        found = [w * part.increments(trajectories, batch) for w, part in self.prefix_parts]
        return self.factor(batch, trajectories.group).unsqueeze(1) * torch.stack(found).sum(0)

    def lookahead(self, prefix: Tensor, batch: Batch, group: int, vocabulary: int) -> Tensor:
        found = [w * p.lookahead(prefix, batch, group, vocabulary) for w, p in self.prefix_parts]
        return self.factor(batch, group).unsqueeze(1) * torch.stack(found).sum(0)

    def changes(self, trajectories: Trajectories, batch: Batch, vocabulary: int) -> Changes:
        found = [part.changes(trajectories, batch, vocabulary) for _, part in self.prefix_parts]
        weights = [weight for weight, _ in self.prefix_parts]
        rows = trajectories.places // trajectories.mask.shape[1]
        factor = self.factor(batch, trajectories.group)[rows]
        pairs = list(zip(weights, found, strict=True))
        words = torch.cat([changes.words for changes in found], dim=1)
        if words.shape[1] >= vocabulary:  # as of rewards that judge every word
            dense = torch.stack([weight * changes.dense(vocabulary) for weight, changes in pairs])
            words = torch.arange(vocabulary, device=words.device).expand(len(rows), -1)
            gains = factor.unsqueeze(1) * dense.sum(0)
            return Changes(gains.new_zeros(len(gains)), words, gains)
        other = torch.stack([weight * changes.other for weight, changes in pairs]).sum(0)
        gains = torch.stack([weight * changes.at(words) for weight, changes in pairs]).sum(0)
        return Changes(factor * other, words, factor.unsqueeze(1) * gains)
