"""What outputs must not be: against hand cases, and against search over all that is allowed."""

from __future__ import annotations

import pytest
import torch

from seqrl.decoding.beam import beam_search
from seqrl.decoding.constraints import UNCONSTRAINED, Constraints, repeating
from seqrl.decoding.decoder import Beam, Decoder, Greedy, Sample, SampledStart
from tabular import (
    EOS,
    PAD,
    SEQUENCES,
    SPECIALS,
    STEPS,
    TabularPolicy,
    batch_of,
    policy_table,
    sequence_log_prob,
)

A, B, C, D = 4, 5, 6, 7
SIZE = 9


def barred(constraints: Constraints, *prefix: int) -> set[int]:
    """The tokens that must not follow the prefix."""
    scores = torch.zeros(1, SIZE)
    rows = torch.tensor([prefix], dtype=torch.long).view(1, len(prefix))
    found = constraints(scores, rows, SPECIALS)[0]
    return {word for word in range(SIZE) if found[word] == float("-inf")}


@pytest.mark.parametrize(
    ("order", "prefix", "tokens"),
    [
        (1, (), set()),
        (1, (A, B), {A, B}),
        (2, (A,), set()),
        (2, (A, B, A), {B}),
        (2, (A, B, A, C, A), {B, C}),
        (2, (A, A), {A}),
        (3, (A, B, C, A, B), {C}),
        (3, (A, B, C, D, A, B, D, A, B), {C, D}),
        (3, (A, B, C, B), set()),
        (4, (A, B, C), set()),
    ],
)
def test_no_ngram_comes_again(order: int, prefix: tuple[int, ...], tokens: set[int]) -> None:
    assert barred(Constraints(no_repeat_ngram=order), *prefix) == tokens


@pytest.mark.parametrize("order", [1, 2, 3])
def test_repeating_tokens_are_those_that_a_search_finds(order: int) -> None:
    generator = torch.Generator().manual_seed(order)
    prefix = torch.randint(0, 4, (50, 9), generator=generator)
    found = repeating(prefix, order, 5)
    for row, own in zip(prefix.tolist(), found.tolist(), strict=True):
        for word in range(5):
            grams = list(zip(*(row[n:] for n in range(order)), strict=False))
            gram = tuple([*row, word][-order:])
            assert own[word] is (gram in grams)


def test_short_outputs_do_not_end_and_unknown_words_are_not_written() -> None:
    assert barred(Constraints(min_length=2)) == {EOS}
    assert barred(Constraints(min_length=2), A) == {EOS}
    assert barred(Constraints(min_length=2), A, B) == set()
    assert barred(Constraints(no_unk=True), A) == {SPECIALS.unk}
    both = Constraints(min_length=3, no_repeat_ngram=1, no_unk=True)
    assert barred(both, A, B) == {A, B, SPECIALS.unk, EOS}


def test_where_all_would_be_barred_none_is() -> None:
    scores = torch.tensor([[float("-inf"), 1.0, float("-inf"), 2.0]])
    found = Constraints(min_length=2, no_unk=True)(scores, torch.zeros(1, 0).long(), SPECIALS)
    assert torch.equal(found, scores)


def test_nothing_is_computed_without_constraints() -> None:
    scores = torch.zeros(2, SIZE)
    assert UNCONSTRAINED(scores, torch.zeros(2, 3).long(), SPECIALS) is scores


CONSTRAINTS = [
    Constraints(min_length=2),
    Constraints(no_repeat_ngram=1),
    Constraints(no_unk=True),
    Constraints(min_length=3, no_repeat_ngram=2, no_unk=True),
]


def allowed(constraints: Constraints, y: tuple[int, ...]) -> bool:
    return all(y[t] not in barred(constraints, *y[:t]) for t in range(len(y)))


@pytest.mark.parametrize("constraints", CONSTRAINTS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_the_best_of_what_is_allowed(constraints: Constraints, seed: int) -> None:
    table = policy_table(seed, rows=5)
    table[..., 3:] *= 2.0
    table[..., EOS] += 1.0
    policy = TabularPolicy(table)
    batch = batch_of([(4, EOS)])
    memory = policy.encode(batch.source, batch.source_mask)
    tokens, scores = beam_search(
        policy, memory, rows=1, size=200, max_length=STEPS, constraints=constraints
    )
    found = tuple(token for token in tokens[0].tolist() if token != PAD)
    best = max(
        (y for y in SEQUENCES if allowed(constraints, y)),
        key=lambda y: sequence_log_prob(policy.table[4], y, forced=False).item(),
    )
    assert found == best
    value = sequence_log_prob(policy.table[4], best, forced=False).item()
    assert scores[0].item() == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize(
    "decoder",
    [
        Greedy(max_length=STEPS, min_length=2, no_repeat_ngram=1, no_unk=True),
        Beam(size=3, max_length=STEPS, min_length=2, no_repeat_ngram=1, no_unk=True),
        Sample(seed=3, max_length=STEPS, min_length=2, no_repeat_ngram=1, no_unk=True),
        SampledStart(seed=3, max_length=STEPS, min_length=2, no_repeat_ngram=1, no_unk=True),
    ],
    ids=lambda decoder: type(decoder).__name__,
)
def test_every_decoder_keeps_to_them(decoder: Decoder) -> None:
    policy = TabularPolicy(policy_table(1, rows=12))
    for row in decoder(policy, batch_of([(4, EOS)] * 8)).tolist():
        y = tuple(token for token in row if token != PAD)
        last = len(y) - (len(y) == STEPS)  # where it is cut, EOS is put in
        assert all(y[t] not in barred(decoder.constraints, *y[:t]) for t in range(last))


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="min_length must be less than max_length"):
        Greedy(max_length=5, min_length=5)
    with pytest.raises(ValueError, match="no_repeat_ngram must not be negative, not -1"):
        Beam(no_repeat_ngram=-1)
