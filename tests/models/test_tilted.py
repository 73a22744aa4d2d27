"""A policy of two networks, p exp(G): its law, its gradient, and what it starts from."""

from __future__ import annotations

import copy

import pytest
import torch

from networks import Make, language_model, lstm, transformer
from seqrl.decoding.beam import beam_search
from seqrl.models.base import repeat
from seqrl.models.tilted import Tilted
from seqrl.models.weights import load_stored, stored_weights
from tabular import SPECIALS

SOURCE = torch.tensor([[5, 6, 7], [9, 8, 0]])
INPUTS = torch.tensor([[2, 4, 5, 6], [2, 7, 7, 3]])
KINDS = {
    "lstm": (lstm, "lstm.LSTM", {"embedding": 6, "hidden": 8, "dropout": 0.3}),
    "transformer": (
        transformer,
        "transformer.Transformer",
        {"hidden": 8, "inner": 12, "heads": 2, "layers": 2, "dropout": 0.3},
    ),
    "language model": (
        language_model,
        "language_model.LanguageModel",
        {"embedding": 6, "hidden": 8, "length": 3},
    ),
}


def tilted(kind: str) -> Tilted:
    _, place, arguments = KINDS[kind]
    torch.manual_seed(0)
    network = {"_target_": f"seqrl.models.{place}", "reads": "source", **arguments}
    return Tilted(source_size=10, target_size=11, specials=SPECIALS, network=network)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_prior_times_exp_of_the_values(kind: str) -> None:
    model = tilted(kind).eval()
    logits = [
        network.logits(network.encode(SOURCE, SOURCE != 0), INPUTS)
        for network in (model.prior, model.values)
    ]
    p = torch.softmax(logits[0], -1)
    weights = p * (logits[1] - logits[1].amax(-1, keepdim=True)).exp()
    found = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS)
    expected = weights / weights.sum(-1, keepdim=True)
    assert torch.allclose(torch.softmax(found, -1), expected, atol=1e-6)
    values = found - torch.log_softmax(logits[0], -1)
    assert torch.allclose(values[p > 0], logits[1][p > 0], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_at_a_time_or_all_at_once(kind: str) -> None:
    model = tilted(kind).eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    expected, state = model.logits(memory, INPUTS), model.start(memory)
    rows = torch.tensor([1, 0])
    for t, token in enumerate(INPUTS.unbind(1)):
        logits, state = model.step(memory, state, token)
        torch.testing.assert_close(logits, expected[:, t], rtol=0, atol=1e-5)
    logits, _ = model.step(memory.select(rows), state.select(rows), INPUTS[rows, 0])
    other, _ = model.step(memory, state, INPUTS[:, 0])
    torch.testing.assert_close(logits, other[rows], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_both_start_from_the_weights_of_one(kind: str) -> None:
    make: Make = KINDS[kind][0]
    options = {k: v for k, v in KINDS[kind][2].items() if k != "hidden" or kind == "lstm"}
    trained, model = make(7, **(options | {"hidden": 8})), tilted(kind)
    load_stored(model, stored_weights(trained))
    for network in (model.prior, model.values):
        for name, weight in stored_weights(trained).items():
            assert torch.equal(stored_weights(network)[name], weight)
    other = tilted(kind)
    for parameter in model.values.parameters():
        parameter.data += 0.1
    load_stored(other, stored_weights(model))
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_the_prior_is_frozen_and_without_dropout() -> None:
    model = tilted("lstm").train()
    assert not any(p.requires_grad for p in model.prior.parameters())
    memory = model.encode(SOURCE, SOURCE != 0)
    first, again = (
        model.prior.logits(model.encode(SOURCE, SOURCE != 0).prior, INPUTS) for _ in range(2)
    )
    assert torch.equal(first, again)
    model.logits(memory, INPUTS).sum().backward()
    assert all(p.grad is None for p in model.prior.parameters())
    assert any(p.grad is not None and p.grad.any() for p in model.values.parameters())
    assert not any(p.requires_grad for p in copy.deepcopy(model).prior.parameters())


def test_rows_are_repeated_for_samples_and_beams() -> None:
    model = tilted("lstm").eval()
    memory = repeat(model.encode(SOURCE, SOURCE != 0), 2, 3)
    found = model.logits(memory, INPUTS.repeat_interleave(3, 0))
    expected = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS)
    assert torch.allclose(found, expected.repeat_interleave(3, 0), atol=1e-6)
    memory = model.encode(SOURCE, SOURCE != 0)
    tokens, _ = beam_search(model, memory, rows=2, size=3, max_length=5)
    assert tokens.shape[0] == 2


def test_its_description_names_nothing_outside_of_it() -> None:
    network = {"_target_": "seqrl.models.lstm.LSTM", "reads": "source", "hidden": 8}
    assert tilted("lstm").arguments({"network": network}) == {"network": network}
