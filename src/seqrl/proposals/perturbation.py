"""Trajectories that are the reference with mistakes: RAML's exponentiated payoff and its stand-ins.

m is the number of a reference's tokens without EOS, A the number of ordinary words (the
vocabulary less its special symbols). EOS, padding and BOS are never drawn and never
replaced.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from seqrl.models.base import Policy
from seqrl.proposals.base import Proposal
from seqrl.ranges import require
from seqrl.rewards.base import Reward
from seqrl.types import Batch, Clock, Specials, Trajectories, shift_right

TABLE_STEP = 16
"""Tables of the edit sampler are made for lengths rounded up to a multiple of this."""


class NGramReplacement(Proposal):
    """The reference and K - 1 copies of it in which one n-gram is random words.

    n is uniform on 1..min(longest, m), the position uniform, the words uniform; to the
    importance weights the proposal counts as uniform (Ma et al. 2017; Dai et al. 2018,
    appendix B.1).

    samples       K, the reference included, which is each group's first
    longest       n-gram
    replace_last  whether the reference's last word (mostly its full stop) may be replaced:
                  in the ERAC paper's code it may, in Ma et al.'s it may not
    unk           whether the unknown word may be drawn (in Ma et al.'s code it may)
    """

    def __init__(
        self,
        *,
        samples: int = 5,
        longest: int = 4,
        replace_last: bool = True,
        unk: bool = False,
    ) -> None:
        require(samples >= 1, f"samples must be at least 1, not {samples}")
        require(longest >= 1, f"longest must be at least 1, not {longest}")
        self.samples = samples
        self.longest = longest
        self.replace_last = replace_last
        self.unk = unk

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        target, mask = grouped(batch, self.samples)
        noise = clock.uniform("ngram", 2 + self.longest, batch, self.samples)
        room = mask.sum(1) - (1 if self.replace_last else 2)  # words that may be replaced, [N]
        n = scaled(noise[0], room.clamp(max=self.longest)) + 1
        start = scaled(noise[1], room - n + 1)
        words = ordinary_words(policy.target_size, batch.specials, unk=self.unk)
        drawn = words.to(target.device)[scaled(noise[2:], torch.tensor(len(words)))].T  # [N, n]
        place = torch.arange(target.shape[1], device=target.device) - start.unsqueeze(1)  # [N, T]
        replaced = (place >= 0) & (place < n.unsqueeze(1)) & (room > 0).unsqueeze(1)
        replaced[:: self.samples] = False
        new = drawn.gather(1, place.clamp(0, self.longest - 1))
        return perturbed(torch.where(replaced, new, target), mask, replaced, batch, self.samples)


class TokenCorruption(Proposal):
    """The reference and K - 1 copies of it, each of whose tokens may be a random word.

    Each token but EOS is replaced, independently, by a uniform ordinary word, which may be the
    same one: what the code released with Dai et al. (2018) trains its oracle on.

    samples      K, the reference included, which is each group's first
    probability  of a token's replacement
    """

    def __init__(self, *, samples: int = 6, probability: float = 0.2) -> None:
        require(samples >= 1, f"samples must be at least 1, not {samples}")
        require(0 <= probability <= 1, f"probability must lie in [0, 1], not {probability}")
        self.samples = samples
        self.probability = probability

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        target, mask = grouped(batch, self.samples)
        words = ordinary_words(policy.target_size, batch.specials).to(target.device)
        steps = target.shape[1]
        noise = clock.uniform("corruption", 2 * steps, batch, self.samples)
        replaced = (self.probability > noise[:steps].T) & mask & (target != batch.specials.eos)
        replaced[:: self.samples] = False
        new = words[scaled(noise[steps:].T, torch.tensor(len(words)))]
        return perturbed(torch.where(replaced, new, target), mask, replaced, batch, self.samples)


class HammingSampler(Proposal):
    """Exact samples from exp(-d(y, y*) / tau) / Z, d the Hamming distance, |y| = |y*|.

    The number of replaced tokens is Binomial(m, rho / (1 + rho)) with
    rho = (A - 1) exp(-1 / tau): so each token is replaced, independently, by a uniform
    other word. `rescale` takes the reward as -(1 + log(A - 1)) d instead, which makes
    rho = exp(-1 / tau) (A - 1)^(1 - 1 / tau): the quoted temperatures of Norouzi et al.
    (2016), 0.75 to 0.95, make sense only with it.

    samples  K, all of them random
    tau      temperature
    """

    def __init__(self, *, samples: int = 5, tau: float = 0.85, rescale: bool = True) -> None:
        require(samples >= 1, f"samples must be at least 1, not {samples}")
        require(tau > 0, f"tau must be positive, not {tau}")
        self.samples = samples
        self.tau = tau
        self.rescale = rescale

    def replacement_probability(self, others: int) -> float:
        """rho / (1 + rho), where a token can become any of `others` words."""
        exponent = 1 - 1 / self.tau if self.rescale else 1.0
        log_rho = exponent * math.log(others) - 1 / self.tau
        return torch.sigmoid(torch.tensor(log_rho, dtype=torch.float64)).item()

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        target, mask = grouped(batch, self.samples)
        words = ordinary_words(policy.target_size, batch.specials).to(target.device)
        steps = target.shape[1]
        noise = clock.uniform("hamming", 2 * steps, batch, self.samples)
        probability = self.replacement_probability(len(words) - 1)
        replaced = (probability > noise[:steps].T) & mask & (target != batch.specials.eos)
        # a uniform other word: skip over the token's own place among the words
        own = torch.searchsorted(words, target)
        is_word = words[own.clamp(max=len(words) - 1)] == target
        choice = scaled(noise[steps:].T, len(words) - is_word.long())
        choice = choice + (is_word & (choice >= own)).long()
        new = words[choice]
        return perturbed(torch.where(replaced, new, target), mask, replaced, batch, self.samples)


class EditSampler(Proposal):
    """Norouzi et al.'s (2016) stratified sampler for the negative edit distance; approximate.

    First a number of edits e with probability proportional to n(e, m) A^e exp(-e / tau),

        n(e, m) = sum_s C(m, s) C(m + e - 2s, e - s),

    then s of them as substitutions, in proportion to the summands, the other e - s as
    insertions, at uniform places with uniform words. `rescale` multiplies by A^(-e / tau),
    see `HammingSampler`. The strata count edit scripts, not strings: different scripts give
    the same string, and a substitution may draw the word that it replaces.

    samples  K, all of them random
    tau      temperature
    """

    def __init__(self, *, samples: int = 5, tau: float = 0.85, rescale: bool = True) -> None:
        require(samples >= 1, f"samples must be at least 1, not {samples}")
        require(tau > 0, f"tau must be positive, not {tau}")
        self.samples = samples
        self.tau = tau
        self.rescale = rescale

    def __call__(
        self,
        policy: Policy[Any, Any],
        memory: Any,
        batch: Batch,
        reward: Reward | None,
        clock: Clock,
    ) -> Trajectories:
        target, mask = grouped(batch, self.samples)
        device, steps = target.device, target.shape[1]
        words = ordinary_words(policy.target_size, batch.specials).to(device)
        longest = -(-steps // TABLE_STEP) * TABLE_STEP
        tables = edit_tables(longest, len(words), self.tau, self.rescale)
        strata, substitutions = (table.to(device) for table in tables)
        noise = clock.uniform("edit", 2 + 6 * steps, batch, self.samples)
        m = mask.sum(1) - 1  # [N]
        e = torch.searchsorted(strata[m], noise[0].unsqueeze(1), right=True).squeeze(1)
        s = torch.searchsorted(substitutions[m, e], noise[1].unsqueeze(1), right=True).squeeze(1)
        inserted = e - s  # [N]
        order, slots, drawn = torch.split(noise[2:].T, [steps, 2 * steps, 3 * steps], dim=1)
        position = torch.arange(steps, device=device)
        is_word = position < m.unsqueeze(1)  # [N, T]
        # substitute the s words with the lowest noise
        substituted = rank_of(order.masked_fill(~is_word, 2.0)) < s.unsqueeze(1)
        new = words[scaled(drawn, torch.tensor(len(words)))]  # [N, 3T]
        source = torch.where(substituted, new[:, 2 * steps :], target)
        # interleave insertions with the words that stay: choose their places uniformly
        place = torch.arange(2 * steps, device=device)
        is_slot = place < (m - s + inserted).unsqueeze(1)
        is_insertion = rank_of(slots.masked_fill(~is_slot, 2.0)) < inserted.unsqueeze(1)
        kept_before = (~is_insertion).cumsum(1) - (~is_insertion).long()  # of a slot, [N, 2T]
        stays = (~substituted).cumsum(1) - (~substituted).long()  # of a word: kept ones before it
        end = target == batch.specials.eos
        padding = ~mask
        key_words = (2 * stays + 1).masked_fill(end, 8 * steps).masked_fill(padding, 9 * steps)
        key_insertions = (2 * kept_before).masked_fill(~is_insertion, 9 * steps)
        keys = torch.cat([key_insertions, key_words], dim=1)
        insertions = torch.where(is_insertion, new[:, : 2 * steps], batch.specials.pad)
        tokens = torch.cat([insertions, source], dim=1)
        changed = torch.cat([is_insertion, substituted], dim=1)
        keys, index = keys.sort(dim=1, stable=True)
        width = int((m + inserted).max()) + 1
        keys, index = keys[:, :width], index[:, :width]
        return perturbed(
            tokens.gather(1, index),
            keys < 9 * steps,
            changed.gather(1, index),
            batch,
            self.samples,
        )


@lru_cache(maxsize=16)
def edit_tables(longest: int, words: int, tau: float, rescale: bool) -> tuple[Tensor, Tensor]:
    """Cumulative probabilities of e given m [m, e], and of s given (m, e) [m, e, s]."""
    size = longest + 1
    strata = torch.zeros(size, size, dtype=torch.float64)
    substitutions = torch.zeros(size, size, size, dtype=torch.float64)
    for m in range(size):
        for e in range(m + 1):
            counts = torch.tensor(edit_counts(e, m), dtype=torch.float64)
            log_count = float(counts.sum().log())
            per_edit = math.log(words) - 1 / tau - (math.log(words) / tau if rescale else 0.0)
            strata[m, e] = log_count + e * per_edit
            substitutions[m, e, : e + 1] = counts / counts.sum()
        strata[m, m + 1 :] = float("-inf")
    probabilities = torch.softmax(strata, dim=1)
    cumulative, inner = probabilities.cumsum(1), substitutions.cumsum(2)
    # a number below one must always fall into a stratum
    return (
        cumulative.masked_fill(cumulative >= 1 - 1e-12, 1.0).float(),
        inner.masked_fill(inner >= 1 - 1e-12, 1.0).float(),
    )


def edit_counts(e: int, m: int) -> list[float]:
    """The summands C(m, s) C(m + e - 2s, e - s) of n(e, m), s = 0..e."""
    return [
        float(math.comb(m, s) * math.comb(m + e - 2 * s, e - s)) if s <= min(m, e) else 0.0
        for s in range(e + 1)
    ]


@lru_cache(maxsize=16)  # proposals ask for them at every update
def ordinary_words(vocabulary: int, specials: Specials, *, unk: bool = False) -> Tensor:
    """Ids of the words that may be drawn, ascending: all but the special symbols; never changed."""
    barred = {specials.pad, specials.bos, specials.eos} | (set() if unk else {specials.unk})
    return torch.tensor([i for i in range(vocabulary) if i not in barred])


def grouped(batch: Batch, group: int) -> tuple[Tensor, Tensor]:
    """The targets and their mask [N, T], each sentence K = `group` times."""
    return (
        batch.target.repeat_interleave(group, dim=0),
        batch.target_mask.repeat_interleave(group, dim=0),
    )


def perturbed(
    tokens: Tensor, mask: Tensor, changed: Tensor, batch: Batch, group: int
) -> Trajectories:
    """Trajectories of `tokens`, given where they were not changed."""
    tokens = torch.where(mask, tokens, batch.specials.pad)
    return Trajectories(
        shift_right(tokens, batch.specials.bos), tokens, mask, mask & ~changed, group
    )


def scaled(noise: Tensor, size: Tensor) -> Tensor:
    """Uniform integers in 0..size-1 (0 where size < 1) from uniform numbers in [0, 1)."""
    size = size.to(noise.device)
    return torch.minimum((noise * size).long(), size - 1).clamp(min=0)


def rank_of(values: Tensor) -> Tensor:
    """The place of each value in its row's ascending order, from 0."""
    return values.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
