"""What a policy said as it wrote is what it says when it is asked again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from networks import NETWORKS, Make
from seqrl.losses import entropies_of
from seqrl.models.base import Policy, repeat
from seqrl.models.recorded import Recorded, Said
from seqrl.proposals.base import Proposal
from seqrl.proposals.candidates import Candidates
from seqrl.proposals.mixing import Mixing
from seqrl.proposals.sampling import Sampling
from seqrl.schedules import Constant
from seqrl.types import Clock, Trajectories
from tabular import EOS, SIZE, Fixed, TabularPolicy, batch_of, policy_table, trajectories_of

BATCH = batch_of([(4, 5, 6, EOS), (5, EOS), (6, 6, EOS), (4, EOS), (5, 4, EOS)] * 8)


def tabular() -> Policy[Any, Any]:
    return TabularPolicy(policy_table(0, rows=44))


def network(make: Make) -> Policy[Any, Any]:
    policy = make(source_size=44, target_size=SIZE, dropout=0.0).double()
    policy.output.bias.data[EOS] += 1.0  # so that outputs end
    return policy


KINDS = {"tabular": tabular} | {kind: partial(network, make) for kind, make in NETWORKS.items()}


def written(
    proposal: Proposal, policy: Policy[Any, Any]
) -> tuple[Trajectories, Said | None, Tensor]:
    recorded = Recorded(policy)
    memory = recorded.encode(BATCH.source, BATCH.source_mask)
    trajectories = proposal(recorded, memory, BATCH, None, Clock(seed=3))
    repeated = repeat(memory, len(BATCH), trajectories.group)
    logits = policy.logits(repeated, trajectories.inputs, trajectories.mask).detach()
    return trajectories, recorded.said(trajectories), logits


@pytest.mark.parametrize(
    "proposal",
    [
        Sampling(samples=3, extra_length=1),
        Sampling(samples=1, max_length=2),
        Mixing(prefix=Constant(value=0.5), samples=2),
        Candidates(samples=4, reference=False, distinct=True),
    ],
    ids=["several", "cut", "begun by references", "without repetitions"],
)
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_was_said_is_what_scoring_says(
    proposal: Proposal, make: Callable[[], Policy[Any, Any]]
) -> None:
    """Rows that end leave the rollout on the way, so that what is kept has gaps."""
    trajectories, said, logits = written(proposal, make())
    assert len(set(trajectories.length.tolist())) > 1
    assert said is not None
    torch.testing.assert_close(said.log_pi, torch.log_softmax(logits, -1), rtol=0, atol=1e-9)
    torch.testing.assert_close(said.entropies, entropies_of(logits), rtol=0, atol=1e-12)
    assert not said.log_pi.requires_grad


def test_others_trajectories_were_not_written() -> None:
    assert written(Candidates(samples=2, reference=True), tabular())[1] is None
    assert written(Fixed(trajectories_of([(4, EOS)] * len(BATCH))), tabular())[1] is None


def test_another_word_than_the_one_that_was_written_is_noticed() -> None:
    recorded = Recorded(tabular())
    memory = recorded.encode(BATCH.source, BATCH.source_mask)
    trajectories = Sampling()(recorded, memory, BATCH, None, Clock(seed=3))
    assert recorded.said(trajectories) is not None
    row = int(trajectories.length.argmax())
    inputs = trajectories.inputs.clone()
    inputs[row, 1] = 4 + (inputs[row, 1] - 3) % 3
    assert recorded.said(replace(trajectories, inputs=inputs)) is None
    longer = torch.ones_like(trajectories.mask)
    assert recorded.said(replace(trajectories, mask=longer)) is None
