"""A network that reads nothing, and ends where it must."""

from __future__ import annotations

import math

import torch

from networks import language_model
from seqrl.decoding.rollout import rollout, sampler
from tabular import BOS, EOS, PAD, UNK, seeded

SOURCES = torch.tensor([[5, 6], [7, 0], [4, 0]])
INPUTS = torch.tensor([[BOS, 4, 5, 6], [BOS, 7, 7, 8], [BOS, 9, 10, 4]])


def test_the_source_is_not_looked_at() -> None:
    model = language_model().eval()
    found = model.logits(model.encode(SOURCES, SOURCES != 0), INPUTS)
    other = SOURCES.flip(0)
    assert torch.equal(found, model.logits(model.encode(other, other != 0), INPUTS))


def test_with_a_fixed_length_all_words_come_before_eos() -> None:
    """Probability one of EOS after three words, zero before; of what is no word always zero."""
    model = language_model(length=3).eval()
    logits = model.logits(model.encode(SOURCES, SOURCES != 0), INPUTS).detach()
    p = torch.softmax(logits, dim=-1)
    assert torch.equal(p[:, 3, EOS], torch.ones(3))
    assert (p[:, :3, [PAD, UNK, BOS, EOS]] == 0).all()
    assert (p[:, :3, 4:] > 0).all()
    assert (logits[:, 3, EOS] == 0).all()  # as a value it is nothing
    words = torch.full((3,), EOS)
    places = torch.tensor([3, 7, 11])
    features = model.features(model.encode(SOURCES, SOURCES != 0), INPUTS).flatten(0, 1)[places]
    log_probs, entropies = model.log_probs(features, words, entropies=True)
    assert entropies is not None
    assert log_probs.tolist() == entropies.tolist() == [0.0] * 3


def test_a_step_at_a_time_it_ends_at_the_same_place() -> None:
    model = language_model(length=2).eval()
    memory = model.encode(SOURCES, SOURCES != 0)
    expected, state = model.logits(memory, INPUTS), model.start(memory)
    for t, token in enumerate(INPUTS.unbind(1)):
        logits, state = model.step(memory, state, token)
        torch.testing.assert_close(logits, expected[:, t], rtol=0, atol=1e-5)


def test_samples_have_the_fixed_length() -> None:
    model = language_model(length=5).eval()
    sources = torch.zeros(50, 1, dtype=torch.long)
    noise = torch.rand(9, 50, generator=seeded(0))
    tokens, mask = rollout(
        model, model.encode(sources, sources >= 0), rows=50, max_length=9, choose=sampler(noise)
    )
    assert tokens.shape == (50, 6)
    assert mask.all()
    assert (tokens[:, 5] == EOS).all()
    assert (tokens[:, :5] > EOS).all()


def test_the_certain_end_teaches_nothing() -> None:
    """Its log-probability is zero whatever the weights, so the gradient is that of the words."""
    model = language_model(length=3).double()
    memory = model.encode(SOURCES, SOURCES != 0)
    targets = torch.cat([INPUTS[:, 1:], torch.full((3, 1), EOS)], dim=1)
    found = torch.log_softmax(model.logits(memory, INPUTS), -1).gather(2, targets.unsqueeze(2))
    whole = torch.autograd.grad(found.sum(), list(model.parameters()), retain_graph=True)
    words = torch.autograd.grad(found[:, :3].sum(), list(model.parameters()))
    for one, other in zip(whole, words, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


def test_weights_are_drawn_as_published() -> None:
    """N(0, 0.1^2), biases zero."""
    model = language_model(target_size=2000, hidden=32, embedding=32, init=0.1)
    assert abs(float(model.embedding.weight.detach().std()) - 0.1) < 0.002
    for name, parameter in model.named_parameters():
        assert ("bias" in name) == bool((parameter == 0).all())
    assert math.isclose(float(model.output.weight.detach().std()), 0.1, abs_tol=0.002)
