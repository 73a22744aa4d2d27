"""Numbers that tell how trajectories are doing, for every algorithm that proposes some."""

from __future__ import annotations

import torch
from torch import Tensor

from seqrl.types import Batch, Trajectories


@torch.no_grad()
def trajectory_metrics(
    trajectories: Trajectories,
    batch: Batch,
    *,
    entropies: Tensor,
    rewards: Tensor | None = None,
    weights: Tensor | None = None,
) -> dict[str, Tensor]:
    """Scalars over all trajectories that are not absent.

    entropies  [N, T], of the policy along them, in nats
    rewards    [N], R(y, y*)
    weights    [N, T], or [N, 1] where all tokens of a trajectory weigh the same

    entropy            mean of a token
    length_ratio       words (tokens without EOS) over those of the first references
    repeats            see `repeat_rate`
    ended              share that ended by an EOS of its own, where a proposal may cut
    reward, reward_std mean and deviation over trajectories
    effective_samples  of K, see `effective_samples`
    """
    mask = trajectories.mask
    present = mask.any(1)
    words = mask & (trajectories.targets != batch.specials.eos)
    lengths = batch.target_length.repeat_interleave(trajectories.group)
    found = {
        "entropy": torch.where(mask, entropies, 0.0).sum() / mask.sum().clamp(min=1),
        "length_ratio": words.sum() / torch.where(present, lengths, 0).sum().clamp(min=1),
        "repeats": repeat_rate(trajectories.targets, words),
    }
    if trajectories.cut is not None:
        found["ended"] = mean(~trajectories.cut, present)
    if rewards is not None:
        found["reward"] = mean(rewards, present)
        found["reward_std"] = mean((rewards - found["reward"]).square(), present).sqrt()
    if weights is not None and trajectories.group > 1:
        found["effective_samples"] = effective_samples(weights, trajectories)
    return found


def weighted_nll_per_token(log_probs: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Mean of -log p [N, T] over tokens under weights [N, T] or [N, 1] >= 0; 0 if all are zero."""
    nll = -torch.where(mask, log_probs, 0.0) * weights
    total = (mask * weights).sum()
    return nll.sum() / total.masked_fill(total == 0, 1.0)


def mean(values: Tensor, present: Tensor) -> Tensor:
    """Of values [N] where `present` [N] is true; 0 of none."""
    return torch.where(present, values, 0).sum() / present.sum().clamp(min=1)


def repeat_rate(tokens: Tensor, words: Tensor) -> Tensor:
    """Share of the bigrams of [N, T] tokens that stand in the same sequence before.

    1 - distinct bigrams / bigrams, the seq-rep-2 of Welleck et al. (2020), over all sequences
    together; only tokens where `words` [N, T] is true count.
    """
    pairs = words[:, 1:] & words[:, :-1]
    codes = tokens[:, :-1] * (tokens.max() + 1) + tokens[:, 1:]
    codes = torch.where(pairs, codes, -1).sort(1).values
    again = (codes[:, 1:] == codes[:, :-1]) & (codes[:, 1:] >= 0)
    return again.sum() / pairs.sum().clamp(min=1)


def effective_samples(weights: Tensor, trajectories: Trajectories) -> Tensor:
    """(sum_k |w_k|)^2 / sum_k w_k^2, the mean over sources; 0 where all weights are zero.

    From 1, where one of a source's K trajectories has all the weight, to K, where they share
    it. Of weights that differ within a trajectory [N, T] the mean size over its tokens counts.
    """
    mask = trajectories.mask
    sizes = torch.where(mask, weights.abs(), 0.0).sum(1) / mask.sum(1).clamp(min=1)
    sizes = sizes.view(-1, trajectories.group)
    squares = sizes.square().sum(1)
    return (sizes.sum(1).square() / squares.masked_fill(squares == 0, 1.0)).mean()
