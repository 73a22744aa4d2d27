"""The recurrent network: sizes and formulas; what all networks must do is in `test_policies`."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.models.lstm import LSTM, Attention, LSTMMemory
from seqrl.types import Specials

SPECIALS = Specials(pad=0, unk=1, bos=2, eos=3)
SHAPES = list(product(["dot", "mlp"], [False, True], [1, 2]))
shapes = pytest.mark.parametrize(("attention", "input_feeding", "layers"), SHAPES)

SOURCE = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 0, 0], [4, 0, 0, 0, 0]])
INPUTS = torch.tensor([[2, 4, 5, 6], [2, 7, 7, 3], [2, 9, 3, 0]])


def network(**options: Any) -> LSTM:
    torch.manual_seed(0)
    sizes = {"source_size": 10, "target_size": 11, "embedding": 6, "hidden": 8, "init": 0.7}
    return LSTM(specials=SPECIALS, **(sizes | options))


def size(**options: Any) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in LSTM(specials=SPECIALS, **options).parameters())


@pytest.mark.parametrize(("input_feeding", "more"), [(False, 0), (True, 262_144)])
def test_parameters_of_the_published_networks(input_feeding: bool, more: int) -> None:
    actor = size(source_size=32_038, target_size=22_811, input_feeding=input_feeding)
    critic = size(
        source_size=22_811,
        target_size=22_811,
        attention="mlp",
        attention_bias=True,
        input_feeding=input_feeding,
    )
    assert actor == 20_956_443 + more
    assert critic == 18_726_172 + more


@pytest.mark.parametrize("init", [0.1, 0.02])
def test_every_parameter_starts_uniform(init: float) -> None:
    model = network(init=init, hidden=64, attention="mlp", attention_bias=True, layers=2)
    for name, parameter in model.named_parameters():
        assert parameter.abs().max() <= init, name
        if parameter.numel() > 1000:
            assert parameter.abs().max() > 0.98 * init, name
            deviation = init / math.sqrt(3)
            assert parameter.std().item() == pytest.approx(deviation, rel=0.1), name


def test_the_decoder_starts_where_the_encoder_ended() -> None:
    """Last forward state of each sentence beside its last backward one, at the first word."""
    model = network(layers=1).double().eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    for row, length in enumerate([5, 3, 1]):
        half = 4
        forward, backward = memory.values[row, length - 1, :half], memory.values[row, 0, half:]
        torch.testing.assert_close(memory.hidden[row, 0], torch.cat([forward, backward]))
    state = model.start(memory)
    assert torch.equal(torch.stack(state.hidden, 1), memory.hidden)
    assert torch.equal(torch.stack(state.cell, 1), memory.cell)
    assert state.fed is None


def memory_of(values: Tensor, mask: Tensor, attention: Attention) -> LSTMMemory:
    return LSTMMemory(values, attention.keys(values), mask, values[:, :1], values[:, :1])


def test_dot_attention_by_hand() -> None:
    values = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [9.0, 9.0]]]).double()
    attention = Attention(2, "dot").double()
    memory = memory_of(values, torch.tensor([[True, True, False]]), attention)
    # scores log 3 and log 1: weights 3/4 and 1/4; then log 1 and log 4: 1/5 and 4/5
    queries = torch.tensor([[[math.log(3), 0.0], [0.0, math.log(2)]]], dtype=torch.float64)
    found = attention(queries, memory)
    expected = torch.tensor([[[0.75, 0.5], [0.2, 1.6]]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_additive_attention_by_hand() -> None:
    attention = Attention(2, "mlp").double()
    with torch.no_grad():
        attention.query.weight.copy_(torch.eye(2))
        attention.query.bias.copy_(torch.tensor([0.5, 0.0]))
        attention.key.weight.copy_(2 * torch.eye(2))
        attention.energy.weight.copy_(torch.tensor([[1.0, -1.0]]))
        attention.energy.bias.fill_(7.0)
    values = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]).double()
    memory = memory_of(values, torch.tensor([[True, True]]), attention)
    found = attention(torch.tensor([[[0.25, 1.0]]]).double(), memory)[0, 0]
    scores = [
        math.tanh(0.25 + 0.5 + 2.0) - math.tanh(1.0),
        math.tanh(0.25 + 0.5) - math.tanh(1.0 + 4.0),
    ]
    first = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
    assert found.tolist() == pytest.approx([first, 2 * (1 - first)], abs=1e-12)


@pytest.mark.parametrize("bias", [False, True])
def test_one_step_by_the_formula(bias: bool) -> None:
    """logits = E tanh(W [h ; c]) + b with h from the LSTM and c its dot-product context."""
    model = network(attention_bias=bias, bar_specials=False, dropout=0.0).double()
    memory = model.encode(SOURCE, SOURCE != 0)
    found, state = model.step(memory, model.start(memory), INPUTS[:, 0])
    for row in range(3):
        h = state.hidden[0][row]
        length = int((SOURCE[row] != 0).sum())
        weights = torch.softmax(memory.values[row, :length] @ h, 0)
        joined = torch.cat([h, weights @ memory.values[row, :length]])
        inner = model.combine.weight @ joined + (model.combine.bias if bias else 0)
        expected = model.output.weight @ torch.tanh(inner) + model.output.bias
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)


def test_input_feeding_hands_on_the_attentional_vector() -> None:
    fed, plain = network(input_feeding=True).eval(), network(input_feeding=False).eval()
    memory = fed.encode(SOURCE, SOURCE != 0)
    _, state = fed.step(memory, fed.start(memory), INPUTS[:, 0])
    torch.testing.assert_close(state.fed, fed.features(memory, INPUTS[:, :1])[:, 0])
    forgotten = replace(state, fed=torch.zeros_like(state.fed))
    with_it, _ = fed.step(memory, state, INPUTS[:, 1])
    without, _ = fed.step(memory, forgotten, INPUTS[:, 1])
    assert (with_it - without).abs().max() > 1e-3
    memory = plain.encode(SOURCE, SOURCE != 0)
    _, state = plain.step(memory, plain.start(memory), INPUTS[:, 0])
    assert state.fed is None


def test_dropout_falls_on_the_attentional_vector() -> None:
    model = network(dropout=0.5, hidden=64).train()
    memory = model.encode(SOURCE, SOURCE != 0)
    features = model.features(memory, INPUTS)
    assert 0.35 < (features == 0).float().mean() < 0.65
    assert not (model.eval().features(memory, INPUTS) == 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 7}, "even"),
        ({"attention": "bilinear"}, "dot, mlp"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
        ({"init": 0.0}, "init"),
        ({"layers": 0}, "at least 1"),
        ({"embedding": 0}, "at least 1"),
    ],
)
def test_unusable_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)
