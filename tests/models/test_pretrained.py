"""Checkpoints of the `transformers` library are what that library says they are."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import checkpoints
from checkpoints import CHECKPOINTS, LANGUAGES, m2m
from networks import SIZES, SMALL
from seqrl.data.corpus import CorpusError
from seqrl.data.tokenizers import PretrainedTokenizer, Tokenizer
from seqrl.decoding.decoder import Beam, Greedy
from seqrl.models.pretrained import Pretrained
from seqrl.types import Batch

transformers = pytest.importorskip("transformers")

SOURCES = ["ein hund läuft im park .", "eine katze schläft .", "zwei männer", "haus"]
TARGETS = ["a dog runs in the park .", "a cat sleeps .", "two men", "house"]


@pytest.fixture(scope="module", params=CHECKPOINTS)
def folder(request: Any, tmp_path_factory: Any) -> Path:
    return CHECKPOINTS[request.param](
        tmp_path_factory.mktemp("made") / request.param, SOURCES, TARGETS
    )


@pytest.fixture(scope="module")
def sides(folder: Path) -> tuple[PretrainedTokenizer, PretrainedTokenizer]:
    source, target = (
        PretrainedTokenizer(checkpoint=str(folder), side=side) for side in ("source", "target")
    )
    return source, target


@pytest.fixture(scope="module")
def policy(folder: Path, sides: Any) -> Pretrained:
    return loaded(folder, sides)


def loaded(folder: Path, sides: Any, **options: Any) -> Pretrained:
    source, target = sides
    return Pretrained(
        source_size=len(source),
        target_size=len(target),
        specials=target.specials,
        checkpoint=str(folder),
        **options,
    ).eval()


def library(folder: Path) -> Any:
    return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()


def batch_of(sides: Any) -> Batch:
    source, target = sides
    sources = padded([source.encode(text) for text in SOURCES], source.specials.pad)
    eos = target.specials.eos
    targets = padded([[*target.encode(text), eos] for text in TARGETS], target.specials.pad)
    return Batch(sources, targets, targets.unsqueeze(1), source.specials.pad, target.specials)


def padded(rows: list[list[int]], pad: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [pad] * (longest - len(row)) for row in rows])


def spoken(tokens: Tensor, eos: int) -> list[list[int]]:
    """Rows up to and including EOS."""
    return [row[: row.index(eos) + 1] if eos in row else row for row in tokens.tolist()]


def ended(row: list[int], length: int, eos: int) -> list[int]:
    """Ours put EOS where a limit on the length cuts an output."""
    return [*row[: length - 1], eos] if len(row) == length else row


def test_the_library_reads_our_ids_as_its_own(folder: Path, sides: Any) -> None:
    known = transformers.AutoTokenizer.from_pretrained(folder)
    batch = batch_of(sides)
    theirs = known(SOURCES, text_target=TARGETS, padding=True, return_tensors="pt")
    assert torch.equal(batch.source, theirs.input_ids)
    assert torch.equal(batch.source_mask.long(), theirs.attention_mask)
    first = batch.specials.bos  # which the decoder reads
    labels = [row[1:] if row[0] == first else row for row in theirs.labels.tolist()]
    assert spoken(batch.target, known.eos_token_id) == spoken(
        torch.tensor(labels), known.eos_token_id
    )


@pytest.mark.parametrize("kind", LANGUAGES)
def test_languages_can_be_chosen(kind: str, tmp_path: Path) -> None:
    """The checkpoint's own choice, from German to English, gives way to ours."""
    folder = CHECKPOINTS[kind](tmp_path / kind, SOURCES, TARGETS)
    target, _, source = LANGUAGES[kind]
    chosen = {"source_language": source, "target_language": target}
    sides = [
        PretrainedTokenizer(checkpoint=str(folder), side=side, **chosen)
        for side in ("source", "target")
    ]
    known = transformers.AutoTokenizer.from_pretrained(folder, src_lang=source, tgt_lang=target)
    theirs = known(SOURCES[0], text_target=TARGETS[0])
    written = known.convert_tokens_to_ids([source, target])
    assert known.unk_token_id not in written
    assert sides[0].encode(SOURCES[0]) == theirs.input_ids
    assert theirs.input_ids[0] == written[0]
    assert [written[1], *sides[1].encode(TARGETS[0]), known.eos_token_id] == theirs.labels
    model = library(folder)
    model.generation_config.forced_bos_token_id = 0  # of a checkpoint for another direction
    model.save_pretrained(folder)
    start = model.generation_config.decoder_start_token_id
    assert loaded(folder, sides).first.tolist() == [start, written[1]]
    again = []
    for one in sides:
        one.save(tmp_path / one.side)
        again.append(Tokenizer.load(tmp_path / one.side))
    assert again[0].encode(SOURCES[0]) == theirs.input_ids
    assert again[1].specials.bos == written[1]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nllb", "no language de; did you mean deu_Latn\\?$"),
        ("t5", "no choice of languages"),
        ("m2m", "more tokens than it counts"),
    ],
)
def test_languages_that_there_are_not_are_refused(kind: str, says: str, tmp_path: Path) -> None:
    folder = {**CHECKPOINTS, "m2m": m2m}[kind](tmp_path / kind, SOURCES, TARGETS)
    asked = PretrainedTokenizer(checkpoint=str(folder), side="source", source_language="de")
    with pytest.raises(CorpusError, match=says):
        asked.encode("ein hund")


def test_a_language_behind_targets_is_not_what_they_start_with(tmp_path: Path) -> None:
    """The first mBART's decoder begins with the language; EOS and it end what the library reads."""
    codes = ["de_DE", "en_XX", "fr_XX"]
    letters = sorted({letter for text in [*SOURCES, *TARGETS] for letter in text if letter != " "})
    names = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", *letters, *codes, "<mask>"]
    tokenizer = transformers.MBartTokenizer(
        vocab=[(name, -float(i)) for i, name in enumerate(names)],
        src_lang="de_DE", tgt_lang="en_XX", model_max_length=64,
    )  # fmt: skip
    tokenizer.save_pretrained(tmp_path)
    english = names.index("en_XX")
    config = transformers.MBartConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=english, **checkpoints.SIZES
    )
    transformers.MBartForConditionalGeneration(config).save_pretrained(tmp_path)
    sides = [PretrainedTokenizer(checkpoint=str(tmp_path), side=s) for s in ("source", "target")]
    assert sides[0].encode("haus")[-2:] == [names.index("</s>"), names.index("de_DE")]
    assert sides[1].specials.bos == sides[1].specials.pad
    assert loaded(tmp_path, sides).first.tolist() == [english]
    other = PretrainedTokenizer(checkpoint=str(tmp_path), side="target", target_language="fr_XX")
    with pytest.raises(CorpusError, match="puts no language before targets"):
        other.encode("house")


@torch.no_grad()
@pytest.mark.parametrize("length", [5, 40])
def test_greedy_outputs_are_those_of_generate(
    folder: Path, sides: Any, policy: Pretrained, length: int
) -> None:
    batch, special = batch_of(sides), sides[1].specials
    found = spoken(Greedy(max_length=length)(policy, batch), special.eos)
    model = library(folder)
    model.generation_config.update(forced_bos_token_id=None, forced_eos_token_id=None)
    nobody = range(policy.target_size, model.get_output_embeddings().out_features)
    theirs = model.generate(
        input_ids=batch.source,
        attention_mask=batch.source_mask.long(),
        decoder_input_ids=policy.first.expand(len(batch), -1),
        max_new_tokens=length,
        suppress_tokens=[*special.no_actions, *nobody],
    )
    expected = spoken(theirs[:, len(policy.first) :], special.eos)
    assert [ended(row, length, special.eos) for row in expected] == found
    assert len({tuple(row) for row in found}) > 1


@torch.no_grad()
def test_log_probabilities_are_the_librarys_loss(
    folder: Path, sides: Any, policy: Pretrained
) -> None:
    """Of labels that begin with what is forced, whose own loss is left out."""
    batch = batch_of(sides)
    memory = policy.encode(batch.source, batch.source_mask)
    features = policy.features(memory, batch.target_inputs, batch.target_mask)
    found, _ = policy.log_probs(features, batch.target[batch.target_mask])
    forced = policy.first[1:].expand(len(batch), -1)
    tokens = torch.cat([policy.first[:1].expand(len(batch), -1), forced, batch.target[:, :-1]], 1)
    logits = library(folder)(
        input_ids=batch.source, attention_mask=batch.source_mask.long(), decoder_input_ids=tokens
    ).logits[:, forced.shape[1] :, : policy.target_size]
    logits[..., list(policy.specials.no_actions)] = float("-inf")
    expected = logits.log_softmax(-1).gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(found, expected[batch.target_mask], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_beam_of_four_is_as_likely_as_that_of_generate_or_likelier(
    folder: Path, sides: Any, policy: Pretrained
) -> None:
    """Two searches differ in when they stop; neither may be wrong about its scores."""
    batch, special = batch_of(sides), sides[1].specials

    def score(tokens: Tensor) -> Tensor:
        mask = tokens != special.pad
        inputs = torch.cat([torch.full_like(tokens[:, :1], special.bos), tokens[:, :-1]], 1)
        memory = policy.encode(batch.source, batch.source_mask)
        log_p = policy.logits(memory, inputs).log_softmax(-1)
        picked = log_p.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
        return picked.masked_fill(~mask, 0.0).sum(1)

    found = Beam(size=4, max_length=20)(policy, batch)
    greedy = Greedy(max_length=20)(policy, batch)
    complete = (found == special.eos).any(1) & (greedy == special.eos).any(1)
    assert (score(found)[complete] >= score(greedy)[complete] - 1e-4).all()


def test_a_forced_first_token_is_read_and_not_written(folder: Path, policy: Pretrained) -> None:
    settings = library(folder).generation_config
    forced = settings.forced_bos_token_id
    if folder.name in LANGUAGES:
        known = transformers.AutoTokenizer.from_pretrained(folder)
        forced = known.convert_tokens_to_ids(LANGUAGES[folder.name][1])
    expected = [settings.decoder_start_token_id, *([] if forced is None else [forced])]
    assert policy.first.tolist() == expected
    assert len(expected) == (1 if folder.name in ("marian", "t5") else 2)


def test_what_was_forced_in_an_old_configuration_is_forced(tmp_path: Path) -> None:
    """Before there were files of generation settings, `config.json` held them."""
    folder = CHECKPOINTS["t5"](tmp_path / "t5", SOURCES, TARGETS)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"forced_bos_token_id": 7}))
    policy = loaded(folder, [PretrainedTokenizer(checkpoint=str(folder), side="target")] * 2)
    assert policy.first.tolist() == [0, 7]


def test_the_checkpoints_weights_are_taken_whatever_their_type(
    folder: Path, sides: Any, tmp_path: Path
) -> None:
    half = library(folder).half()
    half.save_pretrained(tmp_path)
    policy = loaded(tmp_path, sides)
    assert policy.trained
    assert {p.dtype for p in policy.parameters()} == {torch.float32}
    for name, parameter in half.named_parameters():
        if name not in (half._keys_to_ignore_on_save or ()):
            assert torch.equal(policy.model.get_parameter(name), parameter.float()), name


def test_arguments_make_the_network_anew(folder: Path, policy: Pretrained, sides: Any) -> None:
    given = {"checkpoint": str(folder), "revision": None, "dropout": 0.25}
    arguments = json.loads(json.dumps(loaded(folder, sides, dropout=0.25).arguments(given)))
    sizes = {"source_size": len(sides[0]), "target_size": len(sides[1])}
    again = Pretrained(**arguments, **sizes, specials=sides[1].specials).eval()
    assert not again.trained
    assert again.dropout.p == 0.25
    again.load_state_dict(policy.state_dict())
    batch = batch_of(sides)
    found, expected = (
        network.logits(network.encode(batch.source, batch.source_mask), batch.target_inputs)
        for network in (again, policy)
    )
    assert torch.equal(found, expected)


def test_the_library_loads_what_was_learned_and_published(
    folder: Path, sides: Any, tmp_path: Path
) -> None:
    policy, batch = loaded(folder, sides, dropout=0.0), batch_of(sides)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    logits = policy.logits(policy.encode(batch.source, batch.source_mask), batch.target_inputs)
    logits.logsumexp(-1).mean().backward()
    optimizer.step()
    policy.publish(tmp_path)
    sides[1].publish(tmp_path)
    known = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert known(SOURCES).input_ids == [sides[0].encode(text) for text in SOURCES]
    again, before = library(tmp_path), library(folder)
    moved = 0
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(again.get_parameter(name), parameter), name
        moved += not torch.equal(before.get_parameter(name), parameter)
    assert moved > 10
    assert again.generation_config.forced_bos_token_id == (0 if folder.name == "bart" else None)


@pytest.mark.parametrize("kind", SMALL)
def test_all_rates_of_dropout_are_set(kind: str) -> None:
    architecture = {"model_type": kind, **SMALL[kind]}
    model = Pretrained(**SIZES, architecture=architecture, dropout=0.0).train()
    source, inputs = torch.tensor([[5, 6, 7]]), torch.tensor([[2, 4, 5]])

    def logits() -> Tensor:
        return model.logits(model.encode(source, source != 0), inputs)

    assert torch.equal(logits(), logits())
    model = Pretrained(**SIZES, architecture=architecture, dropout=0.5).train()
    assert model.dropout.p == 0.5
    assert not torch.equal(logits(), logits())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["t5", "umt5", "mt5"])
def test_the_scale_of_features_is_found(kind: str, tied: bool) -> None:
    architecture = {**SMALL["t5"], "model_type": kind, "tie_word_embeddings": tied}
    torch.manual_seed(0)
    options = {"bar_specials": False, "first": [0]}
    model = Pretrained(**SIZES, architecture=architecture, **options).eval()
    source, inputs = torch.tensor([[5, 6, 7]]), torch.tensor([[0, 4, 5]])
    found = model.logits(model.encode(source, source != 0), inputs)
    expected = model.model(input_ids=source, decoder_input_ids=inputs).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_without_a_forced_token_the_tokenizers_own_comes_first(tmp_path: Path) -> None:
    """As in labels made with that tokenizer, which a fine-tuned checkpoint has learned from."""
    folder = CHECKPOINTS["bart"](tmp_path / "bart", SOURCES, TARGETS)
    settings = json.loads((folder / "generation_config.json").read_text())
    settings.pop("forced_bos_token_id")
    (folder / "generation_config.json").write_text(json.dumps(settings))
    target = PretrainedTokenizer(checkpoint=str(folder), side="target")
    assert loaded(folder, [target, target]).first.tolist() == [2, target.specials.bos] == [2, 0]


def test_weights_that_are_not_there_are_not_drawn(folder: Path, sides: Any, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    weights = load_file(copy / "model.safetensors")
    kept = {k: v for k, v in weights.items() if "decoder" not in k}
    assert 0 < len(kept) < len(weights)
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="its weights lack "):
        loaded(copy, sides)
    (copy / "model.safetensors").write_bytes(b"none")
    with pytest.raises(ValueError, match=f"checkpoint {re.escape(str(copy))}: "):
        loaded(copy, sides)


def test_a_network_is_described_as_it_will_be(folder: Path, sides: Any, policy: Pretrained) -> None:
    """Without its weights, on no device: settings of generation are read all the same."""
    with torch.device("meta"):
        described = loaded(folder, sides)
    given = {"checkpoint": str(folder)}
    assert described.arguments(given) == policy.arguments(given)
    assert described.longest == policy.longest
    assert str(folder) not in json.dumps(policy.arguments(given))


def test_what_cannot_be_used_is_named(folder: Path, sides: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be a name on the hub or a folder"):
        Pretrained(**SIZES)
    with pytest.raises(ValueError, match="there is no such folder"):
        Pretrained(**SIZES, checkpoint=str(tmp_path / "nothing"))
    with pytest.raises(ValueError, match=r"has no config\.json"):
        Pretrained(**SIZES, checkpoint=str(tmp_path))
    with pytest.raises(ValueError, match="do not belong together"):
        Pretrained(**(SIZES | {"target_size": 100_000}), checkpoint=str(folder))
    with pytest.raises(ValueError, match="must be an encoder-decoder; gpt2 is none"):
        Pretrained(**SIZES, architecture={"model_type": "gpt2"})


def test_longer_texts_than_there_are_places_for_are_refused() -> None:
    architecture = {"model_type": "bart", **SMALL["bart"], "max_position_embeddings": 24}
    model = Pretrained(**SIZES, architecture=architecture, first=[3, 2]).eval()
    assert model.longest == 23
    long = torch.full((1, 25), 5)
    with pytest.raises(ValueError, match="a source has 25 tokens, the checkpoint reads 24"):
        model.encode(long, long != 0)
    memory = model.encode(long[:, :24], long[:, :24] != 0)
    assert model.logits(memory, long[:, :23]).shape == (1, 23, 11)
    with pytest.raises(ValueError, match="an output has 25 tokens"):
        model.logits(memory, long[:, :24])
    state = model.start(memory)
    for _ in range(23):
        _, state = model.step(memory, state, long[:, 0])
    with pytest.raises(ValueError, match="an output has 25 tokens"):
        model.step(memory, state, long[:, 0])
