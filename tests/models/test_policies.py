"""What all networks must do: a step at a time or all at once, whatever the rows and the padding."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from networks import EVERY_NETWORK, NETWORKS, Make, language_model, lstm, transformer
from seqrl.decoding.beam import beam_search
from seqrl.decoding.decoder import Greedy
from seqrl.decoding.rollout import Choose, greedy, rollout, sampler
from seqrl.losses import entropy
from seqrl.models.base import Policy, dropout, drops, repeat
from seqrl.training.checkpoint import load_weights, save_weights
from seqrl.types import Batch
from tabular import EOS, PAD, SPECIALS

SHAPES: dict[str, Make] = (
    {
        f"lstm {attention} {'fed ' * fed}{layers}": partial(
            lstm, attention=attention, input_feeding=fed, layers=layers
        )
        for attention, fed, layers in product(["dot", "mlp"], [False, True], [1, 2])
    }
    | {
        f"transformer {heads} heads {layers}": partial(transformer, heads=heads, layers=layers)
        for heads, layers in product([1, 4], [1, 2])
    }
    | {f"language model {layers}": partial(language_model, layers=layers) for layers in (1, 2)}
    | {name: make for name, make in EVERY_NETWORK.items() if name not in NETWORKS}
)
shapes = pytest.mark.parametrize("make", SHAPES.values(), ids=SHAPES)
kinds = pytest.mark.parametrize("make", EVERY_NETWORK.values(), ids=EVERY_NETWORK)

SOURCE = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 0, 0], [4, 0, 0, 0, 0]])
INPUTS = torch.tensor([[2, 4, 5, 6], [2, 7, 7, 3], [2, 9, 3, 0]])


def stepwise(model: Policy[Any, Any], memory: Any, inputs: Tensor) -> Tensor:
    state, found = model.start(memory), []
    for token in inputs.unbind(1):
        logits, state = model.step(memory, state, token)
        found.append(logits)
    return torch.stack(found, 1)


@shapes
@pytest.mark.parametrize("training", [False, True])
def test_steps_equal_the_teacher_forced_pass(make: Make, training: bool) -> None:
    model = make(dropout=0.0 if training else 0.3).train(training)
    memory = model.encode(SOURCE, SOURCE != 0)
    expected = model.logits(memory, INPUTS)
    assert expected.shape == (3, 4, 11)
    torch.testing.assert_close(stepwise(model, memory, INPUTS), expected, rtol=0, atol=1e-5)


@shapes
def test_features_of_some_tokens_are_those_of_all(make: Make) -> None:
    """Wherever they are: a mask may have gaps, and rows without any token."""
    model = make().double().eval()
    memory, features = model.encode(SOURCE, SOURCE != 0), model.feature_size
    everything = model.features(memory, INPUTS)
    for rows in ([15, 15, 7], [0, 6, 9], [1, 0, 8], [0, 0, 0]):
        mask = torch.tensor([[bool(row >> t & 1) for t in range(4)] for row in rows])
        found = model.features(memory, INPUTS, mask)
        assert found.shape == (int(mask.sum()), features)
        torch.testing.assert_close(found, everything[mask], rtol=0, atol=1e-12)


@shapes
def test_wider_padding_changes_nothing(make: Make) -> None:
    """Neither that of the source nor that of the inputs."""
    model = make().double().eval()
    wide = torch.cat([SOURCE, torch.zeros(3, 4, dtype=torch.long)], dim=1)
    narrow = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS)
    torch.testing.assert_close(
        model.logits(model.encode(wide, wide != 0), INPUTS), narrow, rtol=0, atol=1e-12
    )
    alone = SOURCE[2:, :1]
    torch.testing.assert_close(
        model.logits(model.encode(alone, alone != 0), INPUTS[2:]), narrow[2:], rtol=0, atol=1e-12
    )
    memory, longer = model.encode(SOURCE, SOURCE != 0), INPUTS.repeat(1, 2)
    mask = torch.arange(8) < torch.tensor([[4], [4], [3]])
    torch.testing.assert_close(
        model.logits(memory, longer, mask), narrow[mask[:, :4]], rtol=0, atol=1e-12
    )


@shapes
def test_later_inputs_do_not_reach_earlier_logits(make: Make) -> None:
    model = make().eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    changed = INPUTS.clone()
    changed[:, 2] = 10
    before, after = model.logits(memory, INPUTS), model.logits(memory, changed)
    torch.testing.assert_close(before[:, :2], after[:, :2], rtol=0, atol=1e-6)
    assert (before[:, 2:] - after[:, 2:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize(
    "make", [make for name, make in SHAPES.items() if not name.startswith("language model")]
)
def test_the_source_reaches_every_step(make: Make) -> None:
    model = make().eval()
    other = SOURCE.clone()
    other[:, 0] = 1
    before = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS)
    after = model.logits(model.encode(other, other != 0), INPUTS)
    assert (before - after).abs().amax(-1).min() > 1e-4


@shapes
def test_rows_can_be_selected_before_or_after_a_step(make: Make) -> None:
    model = make().eval()
    memory, rows = model.encode(SOURCE, SOURCE != 0), torch.tensor([2, 0, 0, 1])
    state = model.start(memory)
    _, state = model.step(memory, state, INPUTS[:, 0])
    _, state = model.step(memory, state, INPUTS[:, 1])
    logits, after = model.step(memory, state, INPUTS[:, 2])
    selected = memory.select(rows)
    found, then = model.step(selected, state.select(rows), INPUTS[rows, 2])
    torch.testing.assert_close(found, logits[rows], rtol=0, atol=1e-6)
    expected, _ = model.step(selected, after.select(rows), INPUTS[rows, 3])
    found, _ = model.step(selected, then, INPUTS[rows, 3])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    everything = model.logits(memory, INPUTS)
    torch.testing.assert_close(found, everything[rows, 3], rtol=0, atol=1e-5)


@shapes
def test_a_state_can_be_continued_in_two_ways(make: Make) -> None:
    model = make().eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    _, state = model.step(memory, model.start(memory), INPUTS[:, 0])
    ways = [torch.tensor([4, 5, 6]), torch.tensor([7, 8, 9])]
    after = [model.step(memory, state, way)[1] for way in ways]
    for way, reached in zip(ways, after, strict=True):
        inputs = torch.stack([INPUTS[:, 0], way, INPUTS[:, 2]], 1)
        found, _ = model.step(memory, reached, inputs[:, 2])
        expected = model.logits(memory, inputs)[:, 2]
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@shapes
def test_repeated_rows_are_adjacent(make: Make) -> None:
    model = make().eval()
    memory = model.encode(SOURCE, SOURCE != 0)
    expected = model.logits(memory, INPUTS).repeat_interleave(3, dim=0)
    found = model.logits(repeat(memory, 3, 3), INPUTS.repeat_interleave(3, dim=0))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert repeat(memory, 3, 1) is memory


def ending_sooner(choose: Choose, bonus: Tensor) -> Choose:
    def chosen(t: int, logits: Tensor, prefix: Tensor, rows: Tensor) -> Tensor:
        return choose(t, logits + bonus, prefix, rows)

    return chosen


@shapes
@torch.no_grad()
def test_greedy_outputs_samples_and_a_beam_of_one_are_what_scoring_says(make: Make) -> None:
    """Rows end, and leave the rollout, at different steps."""
    policy, source = make().double().eval(), SOURCE.repeat(8, 1)
    bonus = torch.zeros(11, dtype=torch.double).index_fill(0, torch.tensor(EOS), 0.5)
    target = torch.full((len(source), 1), EOS)
    batch = Batch(source, target, target.unsqueeze(1), PAD, SPECIALS)
    memory = policy.encode(source, source != 0)
    noise = torch.rand(9, len(source), generator=torch.Generator().manual_seed(1))
    lengths = set()
    for chosen in (greedy, sampler(noise)):
        choose = ending_sooner(chosen, bonus)
        tokens, mask = rollout(policy, memory, rows=len(source), max_length=9, choose=choose)
        lengths |= set(mask.sum(1).tolist())
        inputs = torch.cat([torch.full_like(target, SPECIALS.bos), tokens[:, :-1]], 1)
        logits = policy.logits(memory, inputs)
        for t in range(tokens.shape[1]):
            rows = (mask[:, t] & (t < 8)).nonzero().squeeze(1)
            again = choose(t, logits[rows, t], tokens[rows, :t], rows)
            assert torch.equal(again, tokens[rows, t])
    assert len(lengths) > 2
    found, _ = beam_search(policy, memory, rows=len(source), size=1, max_length=9)
    expected = Greedy(max_length=9)(policy, batch)
    assert torch.equal(found[:, :8], expected[:, :8])  # the last one is EOS, of greedy outputs


@kinds
def test_a_loss_reaches_every_parameter(make: Make) -> None:
    model = make()
    model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS).logsumexp(-1).sum().backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:  # Marian's sinusoids
            continue
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


@kinds
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("active", [True, False])
def test_dropout_can_be_switched_for_a_while(make: Make, training: bool, active: bool) -> None:
    model = make(dropout=0.5).train(training)
    memory = model.encode(SOURCE, SOURCE != 0)

    def differs() -> bool:
        first, again = (model.logits(memory, INPUTS) for _ in range(2))
        assert drops(model) is not torch.equal(first, again)
        return drops(model)

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
    assert drops(model) is training


@kinds
def test_padding_and_bos_are_no_actions_of_a_policy(make: Make) -> None:
    model = make(dropout=0.0)
    memory = model.encode(SOURCE, SOURCE != 0)
    logits = model.logits(memory, INPUTS)
    log_pi = torch.log_softmax(logits, -1)
    special = [model.specials.pad, model.specials.bos]
    assert (log_pi.exp()[..., special] == 0).all()
    assert entropy(log_pi).isfinite().all()
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = torch.autograd.grad(entropy(log_pi).sum(), learned.values(), retain_graph=True)
    assert all(gradient.isfinite().all() for gradient in gradients)
    gradient = torch.autograd.grad(entropy(log_pi).sum(), logits)[0]
    assert (gradient[..., special] == 0).all()
    step, _ = model.step(memory, model.start(memory), INPUTS[:, 0])
    assert (torch.softmax(step, -1)[:, special] == 0).all()
    critic = make(bar_specials=False)
    values = critic.logits(critic.encode(SOURCE, SOURCE != 0), INPUTS)
    assert values.abs().max() < 100


def answers(model: Policy[Any, Any], words: Tensor) -> Iterator[Tensor]:
    """What is asked of features by name, and the same of their logits."""
    features = model.features(model.encode(SOURCE, SOURCE != 0), INPUTS, INPUTS != 0)
    features = features.detach()
    log_p = torch.log_softmax(model.project(features.flip(0)), -1).detach()
    signal = torch.linspace(-1, 1, log_p.numel(), dtype=log_p.dtype).view_as(log_p)
    for asked in (type(model), Policy):
        yield torch.stack(
            [
                asked.log_probs(model, features, words)[0],
                asked.chosen(model, features, words),
                asked.expected(model, features, log_p),
                asked.expected_signal(
                    model, features, torch.log_softmax(model.project(features), -1), signal.clone()
                ),
                asked.spread(model, features),
            ]
        )


@kinds
def test_what_is_asked_of_features_is_what_their_logits_say(make: Make) -> None:
    model = make(bar_specials=False).double().eval()
    found, expected = answers(model, INPUTS[INPUTS != 0])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@kinds
def test_copies_are_equal_and_go_their_own_way(make: Make) -> None:
    model = make().eval()
    expected = model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS).detach()
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found = other.logits(other.encode(SOURCE, SOURCE != 0), INPUTS)
        assert torch.equal(found, expected)
        for parameter in other.parameters():
            parameter.data.zero_()
    assert torch.equal(model.logits(model.encode(SOURCE, SOURCE != 0), INPUTS), expected)


@kinds
def test_weights_are_a_function_of_the_seed_and_survive_a_file(make: Make, tmp_path: Path) -> None:
    model, other = make(3).eval(), make(4).eval()
    again = make(3).state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    save_weights(tmp_path / "weights.safetensors", model.state_dict())
    other.load_state_dict(load_weights(tmp_path / "weights.safetensors"))
    found, expected = (m.logits(m.encode(SOURCE, SOURCE != 0), INPUTS) for m in (other, model))
    assert torch.equal(found, expected)


@kinds
def test_a_network_can_be_described_before_it_has_any_weights(make: Make) -> None:
    with torch.device("meta"):
        model = make()
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    shapes = [(name, parameter.shape) for name, parameter in make().named_parameters()]
    assert [(name, parameter.shape) for name, parameter in model.named_parameters()] == shapes
