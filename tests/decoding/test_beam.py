"""Beam search: against enumeration, against a plain search, and against re-scoring."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from networks import Make, lstm, transformer
from seqrl.decoding.beam import beam_search, penalty
from seqrl.decoding.decoder import Beam, Greedy
from seqrl.losses import token_log_probs
from seqrl.models.base import Policy
from seqrl.types import Batch
from tabular import (
    EOS,
    NODE,
    PAD,
    SEQUENCES,
    SIZE,
    SPECIALS,
    STEPS,
    TabularPolicy,
    batch_of,
    policy_table,
    rows_of,
    sequence_log_prob,
    trajectories_of,
)

EVERYTHING = 128  # more than the 40 finished and 81 unfinished sequences
ROWS = 6


def search(
    policy: Policy[Any, Any], batch: Batch, **options: Any
) -> tuple[list[tuple[int, ...]], list[float]]:
    """Best hypotheses without padding, and their scores."""
    memory = policy.encode(batch.source, batch.source_mask)
    tokens, scores = beam_search(policy, memory, rows=len(batch), **options)
    rows = [tuple(t for t in row if t != PAD) for row in tokens.tolist()]
    return rows, scores.tolist()


def sentences(rows: int = ROWS) -> Batch:
    return batch_of([(4, EOS)] * rows)


def tabular(seed: int, scale: float = 1.0, eos: float = 0.0) -> TabularPolicy:
    """`scale` sharpens what is learned, `eos` makes endings likelier."""
    table = policy_table(seed, rows=4 + ROWS)
    table[..., 3:] *= scale
    table[..., EOS] += eos
    return TabularPolicy(table)


def score_of(policy: TabularPolicy, row: int, y: tuple[int, ...], exponent: float) -> float:
    log_prob = sequence_log_prob(policy.table[row], y, forced=False).item()
    return log_prob / ((5 + len(y)) / 6) ** exponent


@pytest.mark.parametrize("exponent", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("eos", [-1.0, 0.0, 1.0])
def test_a_beam_that_holds_everything_finds_the_best_of_all(exponent: float, eos: float) -> None:
    for seed in range(3):
        policy = tabular(seed, eos=eos)
        found, scores = search(
            policy, sentences(), size=EVERYTHING, max_length=STEPS, length_penalty=exponent
        )
        for b in range(ROWS):
            ranked = {y: score_of(policy, 4 + b, y, exponent) for y in SEQUENCES}
            best = max(ranked, key=ranked.__getitem__)
            assert found[b] == best
            assert scores[b] == pytest.approx(ranked[best], abs=1e-5)


def plain_search(
    logits: Tensor, *, size: int, max_length: int, exponent: float
) -> tuple[tuple[int, ...], float]:
    """Beam search on logits [nodes, V] as one would write it by hand, without stopping early."""
    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]

    def rank(beam: tuple[float, tuple[int, ...]]) -> float:
        return beam[0] / ((5 + len(beam[1])) / 6) ** exponent

    for _ in range(max_length):
        grown = []
        for total, y in beams:
            if y and y[-1] == EOS:
                grown.append((total, y))
                continue
            log_probs = torch.log_softmax(logits[NODE[y]], -1).tolist()
            grown += [(total + log_probs[w], (*y, w)) for w in range(SIZE) if log_probs[w] > -1e3]
        beams = sorted(grown, key=rank, reverse=True)[:size]
    finished = [beam for beam in beams if beam[1][-1] == EOS]
    best = max(finished or beams, key=rank)
    return best[1], rank(best)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("exponent", [0.0, 1.0])
@pytest.mark.parametrize("max_length", [1, 2, 4])
def test_it_finds_what_a_plain_search_finds(size: int, exponent: float, max_length: int) -> None:
    for seed in range(6):
        policy = tabular(seed, scale=1.5, eos=-0.5)
        found, scores = search(
            policy, sentences(), size=size, max_length=max_length, length_penalty=exponent
        )
        for b in range(ROWS):
            expected, score = plain_search(
                policy.table[4 + b], size=size, max_length=max_length, exponent=exponent
            )
            assert found[b] == expected
            assert scores[b] == pytest.approx(score, abs=1e-5)


def test_a_beam_of_one_is_greedy() -> None:
    for seed in range(10):
        policy, batch = tabular(seed, eos=1.0), sentences()
        greedy = rows_of(Greedy(max_length=STEPS)(policy, batch))
        found, _ = search(policy, batch, size=1, max_length=STEPS)
        for y, expected in zip(found, greedy, strict=True):
            # greedy decoding writes EOS in the last place, where the beam may have a word
            assert y == expected or (len(y) == STEPS and y[:-1] == expected[:-1])


def test_a_wider_beam_recovers_from_a_bad_first_choice() -> None:
    """4 is likelier at first (.6), but all that follows it is below a half; 5 then ends at once."""
    table = torch.full((SIZE, 42, SIZE), -1e4).double()
    table[4, NODE[()], [4, 5]] = torch.tensor([0.6, 0.4]).double().log()
    table[4, NODE[(4,)], [EOS, 4, 5]] = torch.tensor([0.4, 0.3, 0.3]).double().log()
    table[4, NODE[(5,)], EOS] = 0.0
    table[4, 5:, EOS] = 0.0
    policy = TabularPolicy(table)
    narrow, scores = search(policy, sentences(1), size=1, max_length=4)
    assert narrow == [(4, EOS)]
    assert scores == pytest.approx([torch.tensor(0.24).log().item()], abs=1e-5)
    wide, scores = search(policy, sentences(1), size=2, max_length=4)
    assert wide == [(5, EOS)]
    assert scores == pytest.approx([torch.tensor(0.4).log().item()], abs=1e-5)


def test_the_length_penalty_favours_the_longer() -> None:
    """log .3 for one token against log .28 for three: -1.204 and -1.273 / (8 / 6)."""
    table = torch.full((SIZE, 42, SIZE), -1e4).double()
    table[4, NODE[()], [EOS, 4, 5]] = torch.tensor([0.3, 0.28, 0.42]).double().log()
    table[4, NODE[(5,)], [EOS, 4]] = torch.tensor([0.5, 0.5]).double().log()
    table[4, NODE[(4,)], 5] = 0.0
    table[4, 5:, EOS] = 0.0
    policy = TabularPolicy(table)
    assert search(policy, sentences(1), size=5, max_length=4)[0] == [(EOS,)]
    found, scores = search(policy, sentences(1), size=5, max_length=4, length_penalty=1.0)
    assert found == [(4, 5, EOS)]
    assert scores == pytest.approx([torch.tensor(0.28).log().item() * 6 / 8], abs=1e-5)
    assert penalty(torch.tensor(7.0), 1.0).item() == 2
    assert penalty(torch.tensor(7.0), 0.0).item() == 1


def test_without_an_ending_the_best_unfinished_one_is_returned() -> None:
    policy = tabular(0, eos=-1e4)
    found, scores = search(policy, sentences(), size=5, max_length=3)
    for b in range(ROWS):
        assert len(found[b]) == 3
        assert EOS not in found[b]
        logits = policy.table[4 + b]
        expected = sum(
            torch.log_softmax(logits[NODE[found[b][:t]]], -1)[w].item()
            for t, w in enumerate(found[b])
        )
        assert scores[b] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [1, 3])
def test_other_sentences_change_nothing(size: int) -> None:
    """Sentences leave the search at different times; those that stay keep their rows."""
    lengths = set()
    for seed in range(5):
        policy = tabular(seed, scale=3.0)
        batch = sentences()
        together, scores = search(policy, batch, size=size, max_length=STEPS)
        for b, part in enumerate(batch.split(1)):
            alone, score = search(policy, part, size=size, max_length=STEPS)
            assert alone == [together[b]]
            assert score == pytest.approx([scores[b]], abs=1e-6)
        lengths |= {len(y) for y in together}
    assert len(lengths) > 2


SOURCES = [[4, 5, 6, 7, 8], [8, 7, 6, 0, 0], [5, 0, 0, 0, 0], [6, 6, 6, 6, 0], [9, 5, 9, 5, 9]]


SHAPES = [
    *(
        partial(lstm, attention=attention, layers=layers, input_feeding=fed, embedding=8, init=1.0)
        for attention, layers, fed in product(["dot", "mlp"], [1, 2], [True, False])
    ),
    *(
        partial(transformer, layers=layers, tied=tied)
        for layers, tied in ((1, None), (2, "target"))
    ),
]


def source_batch(rows: list[list[int]]) -> Batch:
    target = torch.full((len(rows), 1), EOS)
    return Batch(torch.tensor(rows), target, target.unsqueeze(1), PAD, SPECIALS)


@pytest.mark.parametrize("make", SHAPES, ids=[f"{m.func.__name__} {m.keywords}" for m in SHAPES])
def test_a_hypothesis_scored_again_has_its_score(make: Make) -> None:
    """Which it has only if all of the decoder's state followed its hypothesis."""
    for seed in range(3):
        policy = make(seed, target_size=12, hidden=16).eval()
        batch = source_batch(SOURCES)
        found, scores = search(policy, batch, size=5, max_length=8)
        again = trajectories_of(found)
        memory = policy.encode(batch.source, batch.source_mask)
        log_probs = token_log_probs(policy.logits(memory, again.inputs), again.targets)
        total = torch.where(again.mask, log_probs, 0.0).sum(1)
        assert total.tolist() == pytest.approx(scores, abs=1e-4)
        alone = [search(policy, source_batch([row]), size=5, max_length=8)[0][0] for row in SOURCES]
        assert alone == found


def test_the_decoder_writes_padding_after_the_end() -> None:
    policy = tabular(0, scale=3.0)
    tokens = Beam(size=3, max_length=STEPS)(policy, sentences())
    expected, _ = search(policy, sentences(), size=3, max_length=STEPS)
    for row, y in zip(tokens.tolist(), expected, strict=True):
        assert row == [*y, *[PAD] * (len(row) - len(y))]


@pytest.mark.parametrize("options", [{"size": 0}, {"length_penalty": -0.1}, {"max_length": 0}])
def test_unusable_arguments_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Beam(**options)
