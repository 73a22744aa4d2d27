"""The recurrent network: sizes, and one step at a time against all at once."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from seqrl.losses import entropy
from seqrl.models.base import dropout, repeat
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


def stepwise(model: LSTM, memory: LSTMMemory, inputs: Tensor) -> Tensor:
    state, found = model.start(memory), []
    for token in inputs.unbind(1):
        logits, state = model.step(memory, state, token)
        found.append(logits)
    return torch.stack(found, 1)


@shapes
@pytest.mark.parametrize("training", [False, True])
def test_steps_equal_the_teacher_forced_pass(
    attention: str, input_feeding: bool, layers: int, training: bool
) -> None:
    model = network(
        attention=attention,
        input_feeding=input_feeding,
        layers=layers,
        dropout=0.0 if training else 0.3,
    ).train(training)
    memory = model.encode(SOURCE, SOURCE != 0)
    expected = model.logits(memory, INPUTS)
    assert expected.shape == (3, 4, 11)
    torch.testing.assert_close(stepwise(model, memory, INPUTS), expected, rtol=0, atol=1e-5)


@shapes
def test_wider_padding_of_the_source_changes_nothing(
    attention: str, input_feeding: bool, layers: int
) -> None:
    model = network(attention=attention, input_feeding=input_feeding, layers=layers)
    model = model.double().eval()
    wide = torch.cat([SOURCE, torch.zeros(3, 4, dtype=torch.long)], dim=1)
    narrow = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS)
    torch.testing.assert_close(
        model.logits(model.encode(wide, wide != 0), INPUTS), narrow, rtol=0, atol=1e-12
    )
    alone = SOURCE[2:, :1]
    torch.testing.assert_close(
        model.logits(model.encode(alone, alone != 0), INPUTS[2:]), narrow[2:], rtol=0, atol=1e-12
    )


@shapes
def test_later_inputs_do_not_reach_earlier_logits(
    attention: str, input_feeding: bool, layers: int
) -> None:
    model = network(attention=attention, input_feeding=input_feeding, layers=layers).eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    changed = INPUTS.clone()
    changed[:, 2] = 10
    before, after = model.logits(memory, INPUTS), model.logits(memory, changed)
    torch.testing.assert_close(before[:, :2], after[:, :2], rtol=0, atol=1e-6)
    assert (before[:, 2:] - after[:, 2:]).abs().amax(-1).min() > 1e-3


@shapes
def test_the_source_reaches_every_step(attention: str, input_feeding: bool, layers: int) -> None:
    model = network(attention=attention, input_feeding=input_feeding, layers=layers).eval()
    other = SOURCE.clone()
    other[:, 0] = 1
    before = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS)
    after = model.logits(model.encode(other, other != 0), INPUTS)
    assert (before - after).abs().amax(-1).min() > 1e-4


@shapes
def test_rows_can_be_selected_before_or_after_a_step(
    attention: str, input_feeding: bool, layers: int
) -> None:
    model = network(attention=attention, input_feeding=input_feeding, layers=layers).eval()
    memory, rows = model.encode(SOURCE, SOURCE != 0), torch.tensor([2, 0, 0, 1])
    state = model.start(memory)
    _, state = model.step(memory, state, INPUTS[:, 0])
    _, state = model.step(memory, state, INPUTS[:, 1])
    logits, after = model.step(memory, state, INPUTS[:, 2])
    selected = memory.select(rows)
    found, then = model.step(selected, state.select(rows), INPUTS[rows, 2])
    torch.testing.assert_close(found, logits[rows], rtol=0, atol=1e-6)
    expected = after.select(rows)
    for name in ("hidden", "cell", "fed"):
        torch.testing.assert_close(getattr(then, name), getattr(expected, name), rtol=0, atol=1e-6)


@shapes
def test_repeated_rows_are_adjacent(attention: str, input_feeding: bool, layers: int) -> None:
    model = network(attention=attention, input_feeding=input_feeding, layers=layers).eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    expected = model.logits(memory, INPUTS).repeat_interleave(3, dim=0)
    found = model.logits(repeat(memory, 3, 3), INPUTS.repeat_interleave(3, dim=0))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert repeat(memory, 3, 1) is memory


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


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("active", [True, False])
def test_dropout_can_be_switched_for_a_while(training: bool, active: bool) -> None:
    model = network(dropout=0.5).train(training)
    memory = model.encode(SOURCE, SOURCE != 0)

    def differs() -> bool:
        first, again = (model.logits(memory, INPUTS) for _ in range(2))
        return not torch.equal(first, again)

    with dropout(model, active):
        # a network in eval mode has no dropout to switch on
        assert differs() is (active and training)
        assert model.training is training
        with dropout(model, False):
            assert not differs()
        assert differs() is (active and training)
    assert differs() is training
    with pytest.raises(RuntimeError), dropout(model, not active):
        raise RuntimeError
    assert model.dropout.training is training


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


def test_padding_and_bos_are_no_actions_of_a_policy() -> None:
    model = network(dropout=0.0)
    memory = model.encode(SOURCE, SOURCE != 0)
    logits = model.logits(memory, INPUTS)
    log_pi = torch.log_softmax(logits, -1)
    special = [model.specials.pad, model.specials.bos]
    assert (log_pi.exp()[..., special] == 0).all()
    assert entropy(log_pi).isfinite().all()
    gradient = torch.autograd.grad(entropy(log_pi).sum(), model.output.bias)[0]
    assert gradient.isfinite().all()
    assert (gradient[special] == 0).all()
    step, _ = model.step(memory, model.start(memory), INPUTS[:, 0])
    assert (torch.softmax(step, -1)[:, special] == 0).all()
    critic = network(bar_specials=False)
    values = critic.logits(critic.encode(SOURCE, SOURCE != 0), INPUTS)
    assert values.abs().max() < 100
