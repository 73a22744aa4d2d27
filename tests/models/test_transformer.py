"""The Transformer: formulas and sizes; what all networks must do is in `test_policies`."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from networks import transformer
from seqrl.models.transformer import (
    Attention,
    DecoderLayer,
    EncoderLayer,
    Layout,
    Transformer,
    sinusoids,
)
from seqrl.models.weights import load_stored, stored_weights
from seqrl.training.checkpoint import load_weights, save_weights
from tabular import SPECIALS

SOURCE = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 0, 0], [4, 0, 0, 0, 0]])
INPUTS = torch.tensor([[2, 4, 5, 6], [2, 7, 7, 3], [2, 9, 3, 0]])
HIDDEN, INNER, HEADS, LAYERS = 8, 12, 2, 2


def network(**options: Any) -> Transformer:
    """In double precision, with norms and biases that are not those of the start."""
    model = transformer(**options).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and not name.startswith("output"):
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def copied(theirs: nn.MultiheadAttention, ours: Attention) -> None:
    theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.pair.weight]))
    theirs.in_proj_bias.zero_()
    theirs.out_proj.weight.copy_(ours.output.weight)
    theirs.out_proj.bias.zero_()


@torch.no_grad()
def library(model: Transformer) -> tuple[nn.TransformerEncoder, nn.TransformerDecoder]:
    """The stacks of PyTorch with the network's weights."""
    sizes = (HIDDEN, HEADS, INNER, 0.0)
    options: dict[str, Any] = {"batch_first": True, "norm_first": True}
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(*sizes, **options), LAYERS, nn.LayerNorm(HIDDEN),
        enable_nested_tensor=False,
    )  # fmt: skip
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(*sizes, **options), LAYERS, nn.LayerNorm(HIDDEN)
    )
    for stack, layers, norm in (
        (encoder.double(), model.encoder_layers, model.encoder_norm),
        (decoder.double(), model.decoder_layers, model.decoder_norm),
    ):
        stack.norm.load_state_dict(norm.state_dict())
        for theirs, ours in zip(stack.layers, layers, strict=True):
            assert isinstance(ours, EncoderLayer | DecoderLayer)
            norms = [ours.attention_norm, ours.forward_norm]
            copied(theirs.self_attn, ours.attention)
            if isinstance(ours, DecoderLayer):
                copied(theirs.multihead_attn, ours.source_attention)
                norms.insert(1, ours.source_norm)
            for number, own in enumerate(norms, start=1):
                getattr(theirs, f"norm{number}").load_state_dict(own.state_dict())
            theirs.linear1.load_state_dict(ours.feed_forward[0].state_dict())
            theirs.linear2.load_state_dict(ours.feed_forward[2].state_dict())
    return encoder, decoder


def test_it_is_the_library_s_pre_norm_network() -> None:
    model = network()
    encoder, decoder = library(model)

    def embedded(table: nn.Embedding, tokens: Tensor) -> Tensor:
        words = math.sqrt(HIDDEN) * table(tokens)
        return words + sinusoids(0, tokens.shape[1], words)

    padding = SOURCE == 0
    values = encoder(embedded(model.source_embedding, SOURCE), src_key_padding_mask=padding)
    expected = decoder(
        embedded(model.target_embedding, INPUTS),
        values,
        tgt_mask=torch.triu(torch.ones(4, 4, dtype=torch.bool), 1),
        memory_key_padding_mask=padding,
    )
    memory = model.encode(SOURCE, ~padding)
    found = model.features(memory, INPUTS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    mask = INPUTS != 0
    torch.testing.assert_close(
        model.features(memory, INPUTS, mask), expected[mask], rtol=0, atol=1e-10
    )
    slopes = [
        torch.autograd.grad(features[mask].square().sum(), model.source_embedding.weight)[0]
        for features in (found, expected)
    ]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-9)


def test_sinusoids_by_hand() -> None:
    found = sinusoids(2, 2, torch.zeros(4).double())
    expected = [
        [math.sin(t), math.cos(t), math.sin(t / 100), math.cos(t / 100)]
        for t in (2.0, 3.0)  # 10000^(2 / 4) = 100
    ]
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


def test_attention_by_hand() -> None:
    """Two heads of one unit each, one key and value of which is padding."""
    attention = Attention(2, 2).double()
    with torch.no_grad():
        attention.query.weight.copy_(torch.diag(torch.tensor([1.0, 2.0])))
        attention.output.weight.copy_(torch.tensor([[1.0, 10.0], [0.0, 1.0]]))
    keys = [[math.log(3), 0.0], [0.0, math.log(2)], [9.0, 9.0]]
    values = [[4.0, 0.0], [0.0, 5.0], [7.0, 7.0]]
    pairs = torch.cat([torch.tensor(keys), torch.tensor(values)], dim=1).double()
    inputs, mask = torch.ones(1, 2).double(), torch.tensor([[True, True, False]])
    found = attention(inputs, Layout(1, 1), pairs.unsqueeze(0), mask)
    first = 3 / 4 * 4.0  # scores log 3 and 0
    second = 4 / 5 * 5.0  # scores 0 and 2 log 2
    assert found[0].tolist() == pytest.approx([first + 10 * second, second], abs=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_tokens_alone_is_that_of_all(causal: bool) -> None:
    torch.manual_seed(0)
    attention, values = Attention(4, 2).double(), torch.randn(2, 3, 4).double()
    mask = torch.tensor([[True, True, True], [True, False, False]])
    layout, pairs = Layout.of(mask), attention.pair(values)
    expected = attention(values.flatten(0, 1), Layout(2, 3), pairs, causal=causal)
    found = attention(layout.flat(values), layout, pairs, causal=causal)
    torch.testing.assert_close(found, expected[mask.flatten()], rtol=0, atol=1e-12)
    assert (layout.padded(found)[~mask] == 0).all()


def parameters(tied: str | None, source_size: int, target_size: int) -> int:
    with torch.device("meta"):
        model = Transformer(
            source_size=source_size, target_size=target_size, specials=SPECIALS, tied=tied
        )
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("tied", "tables"), [(None, 3), ("target", 2), ("all", 1)])
def test_the_number_of_parameters(tied: str | None, tables: int) -> None:
    """H = 256, I = 1024, 3 layers: attention has 4 H^2, a feed-forward network 2 H I + I + H."""
    h, inner, words = 256, 1024, 5000
    feed_forward, norm = 2 * h * inner + inner + h, 2 * h
    encoder = 3 * (4 * h * h + feed_forward + 2 * norm) + norm
    decoder = 3 * (8 * h * h + feed_forward + 3 * norm) + norm
    expected = encoder + decoder + tables * words * h + words
    assert parameters(tied, words, words) == expected
    if tied != "all":
        assert parameters(tied, words - 7, words) == expected - 7 * h


def test_where_the_weights_start() -> None:
    model = transformer(hidden=64, inner=96, heads=4, tied=None, target_size=200)
    model.requires_grad_(False)
    for name, value in model.named_parameters():
        if "norm" in name:
            assert (value == float(name.endswith("weight"))).all(), name
        elif name.endswith("bias"):
            assert not value.any(), name
        elif "embedding" in name:
            assert value.std().item() == pytest.approx(1 / 8, rel=0.1), name
        else:
            halves = value.chunk(2) if "pair" in name else (value,)
            for half in halves:
                bound = math.sqrt(6 / sum(half.shape))
                assert 0.97 * bound < half.abs().max() <= bound, name
    tied = transformer(hidden=64, heads=4, tied="target", target_size=200)
    assert tied.output.weight.std().item() == pytest.approx(1 / 8, rel=0.1)
    logits = tied.logits(tied.encode(SOURCE, SOURCE != 0), INPUTS)[..., 4:]
    assert 0.7 < logits.std() < 1.4  # one, were the embeddings independent of the features


TIED = [("target", 11), ("all", 10)]


@pytest.mark.parametrize(("tied", "words"), TIED)
def test_what_is_tied_is_one_table_that_is_learned_from_all_its_uses(tied: str, words: int) -> None:
    model = transformer(tied=tied, target_size=words).double()
    loose = transformer(tied=None, target_size=words).double()
    loose.load_state_dict(model.state_dict())
    uses = ["output.weight", "target_embedding.weight"]
    uses += ["source_embedding.weight"] if tied == "all" else []
    slopes = []
    for own in (model, loose):
        logits = own.eval().logits(own.encode(SOURCE, SOURCE != 0), INPUTS)
        logits.square().mean().backward()
        slopes.append(dict(own.named_parameters(remove_duplicate=False)))
    assert len({slopes[0][name].data_ptr() for name in uses}) == 1
    expected = torch.stack([slopes[1][name].grad for name in uses]).sum(0)
    for name in uses:
        torch.testing.assert_close(slopes[0][name].grad, expected, rtol=0, atol=1e-12)
    assert len(list(loose.parameters())) == len(list(model.parameters())) + len(uses) - 1


@pytest.mark.parametrize(("tied", "words"), TIED)
def test_what_is_tied_stays_so_in_copies_and_files(tied: str, words: int, tmp_path: Path) -> None:
    model = transformer(tied=tied, target_size=words)
    save_weights(tmp_path / "weights.safetensors", stored_weights(model))
    loaded = transformer(seed=5, tied=tied, target_size=words)
    load_stored(loaded, load_weights(tmp_path / "weights.safetensors"))
    for other in (loaded, copy.deepcopy(model)):
        assert all(map(torch.equal, other.parameters(), model.parameters()))
        with torch.no_grad():
            other.output.weight += 1.0
        assert torch.equal(other.target_embedding.weight, other.output.weight)
        same = torch.equal(other.source_embedding.weight, other.output.weight)
        assert same is (tied == "all")


def test_dropout_falls_on_embeddings_and_on_what_sublayers_add() -> None:
    model, called = transformer(dropout=0.5, layers=3), []
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            assert module.p == 0.5
            module.register_forward_hook(lambda own, *_: called.append(own))
    memory = model.encode(SOURCE, SOURCE != 0)
    assert called.count(model.dropout) == 1
    assert len(called) == 1 + 3 * 2
    called.clear()
    model.features(memory, INPUTS)
    assert called.count(model.dropout) == 1
    assert len(called) == 1 + 3 * 3


def test_it_runs_in_half_precision() -> None:
    model = transformer(hidden=32, heads=4, tied="target").eval()

    def everything() -> tuple[Tensor, Tensor, Tensor]:
        memory = model.encode(SOURCE, SOURCE != 0)
        features = model.features(memory, INPUTS, INPUTS != 0)
        found, _ = model.log_probs(features, INPUTS[INPUTS != 0].clamp(min=4))
        _, state = model.step(memory, model.start(memory), INPUTS[:, 0])
        logits, _ = model.step(memory, state.select(torch.tensor([0, 1, 2])), INPUTS[:, 1])
        return features, found, logits

    exact = everything()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = everything()
    assert rounded[1].dtype == torch.float32
    for one, other in zip(rounded, exact, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=0.01, atol=0.15)
        assert not torch.equal(one.float(), other)
    rounded[1].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 9, "heads": 3}, "hidden must be positive and even"),
        ({"hidden": 0}, "hidden must be positive and even"),
        ({"heads": 3}, "heads must divide hidden, 8"),
        ({"heads": 0}, "heads must divide hidden, 8"),
        ({"inner": 0}, "inner must be at least 1"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"tied": "source"}, "null, target or all, not 'source'"),
        ({"tied": "all"}, r"vocabularies of their own \(10 and 11 words\)"),
        ({"dropout": 1.0}, "dropout"),
        ({"dropout": -0.1}, "dropout"),
    ],
)
def test_unusable_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transformer(**options)
