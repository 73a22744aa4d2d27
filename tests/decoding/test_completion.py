"""Completions of all prefixes together, against their law by enumeration and one by one."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from networks import lstm
from seqrl.decoding import completion
from seqrl.decoding.completion import Completions, completions
from seqrl.decoding.rollout import drawn
from tabular import (
    EOS,
    SEQUENCES,
    STEPS,
    TabularPolicy,
    assert_fits,
    law,
    padded,
    policy_table,
    rows_of,
    seeded,
)

SENTENCES = [(4, 5, 6, EOS), (5, EOS), (EOS,), (6, 6, EOS)]


def completed(policy: TabularPolicy, noise: Tensor) -> Completions:
    tokens = padded(SENTENCES)
    source = torch.full((len(tokens), 1), 4)
    memory = policy.encode(source, source > 0)
    return completions(policy, memory, tokens, tokens > 0, noise)


def noise_for(samples: int, seed: int = 0, limit: int = STEPS) -> Tensor:
    return torch.rand(limit, limit, len(SENTENCES), samples, generator=seeded(seed))


def test_every_prefix_that_has_not_ended_is_completed() -> None:
    found = completed(TabularPolicy(policy_table(0)), noise_for(3))
    prefixes = [SENTENCES[n][:t] for n, t in zip(found.rows, found.lengths, strict=True)]
    assert prefixes == [(4,), (4, 5), (4, 5, 6), (5,), (6,), (6, 6)]
    for number, sequence in enumerate(rows_of(found.tokens)):
        prefix = prefixes[number // 3]
        assert sequence[: len(prefix)] == prefix
        assert sequence in SEQUENCES
        assert found.mask[number].sum() == len(sequence)


def test_completions_have_the_policys_law() -> None:
    """By chi-square, each prefix's against the probabilities of sequences that begin with it."""
    table = policy_table(1)
    samples = 4000
    found = completed(TabularPolicy(table), noise_for(samples))
    probabilities = law(table[4])
    sequences = rows_of(found.tokens)
    for number, (row, length) in enumerate(zip(found.rows, found.lengths, strict=True)):
        prefix = SENTENCES[row][:length]
        own = [i for i, y in enumerate(SEQUENCES) if y[:length] == prefix]
        chances = probabilities[own] / probabilities[own].sum()
        counts = Counter(sequences[number * samples : (number + 1) * samples])
        assert sum(counts[SEQUENCES[i]] for i in own) == samples
        if len(own) > 1:
            assert_fits([counts[SEQUENCES[i]] for i in own], chances.tolist())


def test_at_the_limit_eos_is_put() -> None:
    """With three tokens at most, y_1 y_2 can only be ended."""
    found = completed(TabularPolicy(policy_table(0)), noise_for(2, limit=3))
    at_limit = found.lengths.repeat_interleave(2) == 2
    assert at_limit.any()
    assert (found.tokens[at_limit, 2] == EOS).all()
    assert found.tokens.shape[1] == 3
    assert (found.lengths < 3).all()


def one_by_one(network: object, source: Tensor, tokens: Tensor, noise: Tensor) -> list[list[int]]:
    """The same completions, each read from its beginning, teacher forced, alone."""
    limit, sequences = len(noise), []
    for n in range(len(tokens)):
        memory = network.encode(source[n : n + 1], source[n : n + 1] > 0)  # type: ignore[attr-defined]
        for t in range(1, int((tokens[n] > 0).sum())):
            for r in range(noise.shape[-1]):
                written = tokens[n, :t].tolist()
                while len(written) < limit and written[-1] != EOS:
                    inputs = torch.tensor([[2, *written]])
                    logits = network.logits(memory, inputs)[:, -1]  # type: ignore[attr-defined]
                    j = len(written)
                    chosen = int(drawn(logits, noise[t, j, n, r].view(1, 1)))
                    written.append(EOS if j == limit - 1 else chosen)
                sequences.append(written)
    return sequences


@pytest.mark.parametrize("at_once", [1, 1 << 22])
def test_they_are_what_a_loop_over_prefixes_gives(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network with attention and a memory, whatever is computed at once."""
    monkeypatch.setattr(completion, "AT_ONCE", {"cpu": at_once})
    network = lstm(0, source_size=9, target_size=7, dropout=0.0).double()
    source = torch.tensor([[4, 5, 6], [7, 8, 0], [4, 0, 0], [8, 8, 8]])
    tokens, noise = padded(SENTENCES), noise_for(3, limit=7).double()
    memory = network.encode(source, source > 0)
    found = completions(network, memory, tokens, tokens > 0, noise)
    with torch.no_grad():
        expected = one_by_one(network, source, tokens, noise)
    assert list(map(list, rows_of(found.tokens))) == expected
