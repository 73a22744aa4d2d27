"""What a teacher makes of the source, as the target of its student."""

from __future__ import annotations

import pytest
import torch

from networks import EVERY_NETWORK, Make
from seqrl.algorithms.likelihood import MLE
from seqrl.decoding.decoder import Beam, Greedy
from seqrl.proposals.decoded import Decoded
from seqrl.types import Clock
from tabular import (
    BARRED,
    BOS,
    EOS,
    NODE,
    PREFIXES,
    SEQUENCES,
    SIZE,
    STEPS,
    WORDS,
    TabularPolicy,
    batch_of,
    policy_table,
    rows_of,
    sequence_log_prob,
)

BATCH = batch_of([(4, EOS), (5, 5, EOS), (EOS,), (6, EOS)])


def ending_table(seed: int) -> torch.Tensor:
    """Logits of a policy that always ends at the last step, or before."""
    table = policy_table(seed, rows=9)
    for prefix in PREFIXES:
        if len(prefix) == STEPS - 1:
            table[:, NODE[prefix], list(WORDS)] = BARRED
    return table


@pytest.mark.parametrize("seed", [7, 8])
def test_a_wide_beam_gives_the_teachers_mode_and_the_student_its_likelihood(seed: int) -> None:
    teacher, policy = TabularPolicy(ending_table(seed)), TabularPolicy(policy_table(0, rows=9))
    proposal = Decoded(teacher=teacher, decoder=Beam(size=40, max_length=STEPS))
    drawn = proposal(policy, None, BATCH, None, Clock())
    modes = [
        max(SEQUENCES, key=lambda y: sequence_log_prob(teacher.table[b], y, forced=False).item())
        for b in (4, 5, 6, 7)
    ]
    assert rows_of(drawn.targets) == modes
    assert drawn.mask.sum(1).tolist() == [len(y) for y in modes]
    assert drawn.inputs[:, 0].tolist() == [BOS] * 4
    assert torch.equal(drawn.inputs[:, 1:], drawn.targets[:, :-1])
    assert drawn.group == 1
    assert not drawn.given.any()
    assert not drawn.cut.any()
    loss = MLE(policy=policy, proposal=proposal).losses(BATCH, Clock())["policy"]
    expected = [
        sequence_log_prob(policy.table[4 + b], y, forced=False).item() for b, y in enumerate(modes)
    ]
    assert loss.item() == pytest.approx(-sum(expected) / 4, abs=1e-12)


def test_an_output_that_is_cut_ends_all_the_same() -> None:
    table = policy_table(0, rows=9)
    table[4:6, :, EOS] = BARRED  # the first two never end
    table[6:, :, EOS] = 50.0
    for decoder in (Greedy(max_length=3), Beam(size=2, max_length=3)):
        proposal = Decoded(teacher=TabularPolicy(table), decoder=decoder)
        drawn = proposal(proposal.teacher, None, BATCH, None, Clock())
        rows = drawn.targets.tolist()
        assert [row.index(EOS) for row in rows] == [2, 2, 0, 0]
        assert drawn.mask.sum(1).tolist() == [3, 3, 1, 1]
    assert drawn.cut.tolist() == [True, True, False, False]


@pytest.mark.parametrize("make", EVERY_NETWORK.values(), ids=EVERY_NETWORK)
def test_the_teacher_is_frozen_and_has_no_dropout(make: Make) -> None:
    teacher = make(source_size=9, target_size=SIZE, dropout=0.9)
    proposal = Decoded(teacher=teacher, decoder=Beam(size=2, max_length=6))
    first, again = (proposal(teacher, None, BATCH, None, Clock()) for _ in range(2))
    assert torch.equal(first.targets, again.targets)
    assert not teacher.training
    assert not any(p.requires_grad for p in teacher.parameters())
