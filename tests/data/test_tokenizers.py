import copy
import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from checkpoints import CHECKPOINTS, LANGUAGES
from seqrl.data.corpus import CorpusError
from seqrl.data.tokenizers import (
    SOURCE_SPECIALS,
    TARGET_SPECIALS,
    CharacterTokenizer,
    PretrainedTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    WordTokenizer,
    specials_of,
)
from seqrl.types import Specials

LINES = ["b a a", "c b a", "d"]  # a: 3, b: 2, c: 1, d: 1
PROSE = [f"der hund {a} und die katze {b} ." for a in ("lief", "schlief", "rief") for b in "xyz"]


def word(**settings: int) -> WordTokenizer:
    tokenizer = WordTokenizer(**settings)
    tokenizer.fit(LINES, specials=TARGET_SPECIALS)
    return tokenizer


def every_kind() -> list[Tokenizer]:
    kinds = [
        WordTokenizer(),
        CharacterTokenizer(),
        SentencePieceTokenizer(vocabulary_size=25),
        SentencePieceTokenizer(vocabulary_size=25, model_type="bpe"),
    ]
    for tokenizer in kinds:
        tokenizer.fit(PROSE, specials=TARGET_SPECIALS)
    return kinds


def test_words_are_numbered_by_frequency_then_alphabet():
    tokenizer = word()
    assert tokenizer.encode("a b c d") == [4, 5, 6, 7]
    assert len(tokenizer) == 8
    assert tokenizer.tokens(range(8)) == [*TARGET_SPECIALS, "a", "b", "c", "d"]


def test_the_order_of_lines_does_not_matter():
    other = WordTokenizer()
    other.fit(LINES[::-1], specials=TARGET_SPECIALS)
    assert other.state() == word().state()


def test_rare_words_are_unknown():
    assert word(min_frequency=2).encode("a b c") == [4, 5, 1]
    assert word(max_size=1).encode("a b c") == [4, 1, 1]
    assert len(word(max_size=1)) == 5


def test_special_ids_are_the_ones_of_the_side():
    assert word().specials == Specials(pad=0, unk=1, bos=2, eos=3)
    source = WordTokenizer()
    source.fit(LINES, specials=SOURCE_SPECIALS)
    assert source.specials == Specials(pad=0, unk=1, bos=-1, eos=-1)
    assert source.encode("a") == [2]
    assert specials_of(("<s>", "<pad>", "<unk>")) == Specials(pad=1, unk=2, bos=0, eos=-1)


@pytest.mark.parametrize("names", [("<pad>",), ("<pad>", "<unk>", "<unk>"), ("<pad>", "<x>")])
def test_special_symbols_must_be_known_and_sufficient(names):
    with pytest.raises(ValueError, match="special symbols"):
        specials_of(names)


@pytest.mark.parametrize("kind", [WordTokenizer, CharacterTokenizer])
def test_names_of_special_symbols_mean_nothing_inside_text(kind):
    tokenizer = kind()
    tokenizer.fit(["a </s> b <pad> </s>"], specials=TARGET_SPECIALS)
    ids = tokenizer.encode("a </s> b <pad>")
    assert not {0, 2, 3} & set(ids)
    assert len(tokenizer) == (6 if kind is WordTokenizer else 4 + len(set("a </s> b <pad> </s>")))


def test_sentencepiece_never_reads_control_symbols_from_text():
    tokenizer = every_kind()[2]
    assert not {0, 2, 3} & set(tokenizer.encode("der </s> hund <pad> <s>"))


def test_decode_stops_at_the_end_and_skips_padding():
    tokenizer = word()
    assert tokenizer.decode([2, 4, 5, 3, 6, 0]) == "a b"
    assert tokenizer.decode([0, 4, 1, 0]) == "a <unk>"
    assert tokenizer.decode([3]) == ""


@pytest.mark.parametrize("tokenizer", every_kind(), ids=lambda t: t.kind)
def test_decode_inverts_encode_on_known_text(tokenizer):
    for line in PROSE:
        assert tokenizer.decode([*tokenizer.encode(line), tokenizer.specials.eos]) == line


@given(st.text(alphabet="ab cé\u2028\x0b\xa0", max_size=20))
def test_characters_are_lossless(text):
    tokenizer = CharacterTokenizer()
    tokenizer.fit(["ab cé\u2028\x0b\xa0"], specials=TARGET_SPECIALS)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text)) == len(text)


@pytest.mark.parametrize("tokenizer", every_kind(), ids=lambda t: t.kind)
def test_state_and_folder_restore_the_tokenizer(tokenizer, tmp_path):
    buffer = io.BytesIO()
    torch.save(tokenizer.state(), buffer)
    buffer.seek(0)
    tokenizer.save(tmp_path / "deep" / "er")
    for restored in (
        Tokenizer.from_state(torch.load(buffer, weights_only=True)),
        Tokenizer.load(tmp_path / "deep" / "er"),
    ):
        assert restored.specials == tokenizer.specials
        assert len(restored) == len(tokenizer)
        assert restored.encode("der hund lief ü") == tokenizer.encode("der hund lief ü")
        assert restored.state() == tokenizer.state()


def test_sentencepiece_is_deterministic_and_as_large_as_asked():
    first, again = every_kind()[2], every_kind()[2]
    assert first.state() == again.state()
    assert len(first) == 25
    assert first.specials == Specials(0, 1, 2, 3)
    source = SentencePieceTokenizer(vocabulary_size=22)
    source.fit(PROSE, specials=SOURCE_SPECIALS)
    assert source.specials == Specials(0, 1)
    assert source.tokens([0, 1]) == ["<pad>", "<unk>"]
    assert not {"<s>", "</s>"} & set(source.tokens(range(22)))


def test_impossible_vocabularies_say_which_setting_to_change():
    with pytest.raises(CorpusError, match="vocabulary_size"):
        SentencePieceTokenizer(vocabulary_size=5000).fit(["a b"], specials=TARGET_SPECIALS)
    with pytest.raises(CorpusError, match="min_frequency"):
        WordTokenizer(min_frequency=9).fit(LINES, specials=TARGET_SPECIALS)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="min_frequency"):
        WordTokenizer(min_frequency=0)
    with pytest.raises(ValueError, match="max_size"):
        CharacterTokenizer(max_size=0)
    with pytest.raises(ValueError, match="model_type"):
        SentencePieceTokenizer(vocabulary_size=10, model_type="wordpiece")
    with pytest.raises(RuntimeError, match="fit it"):
        _ = WordTokenizer().specials
    with pytest.raises(ValueError, match="no tokenizer is called"):
        Tokenizer.from_state({"kind": "morse", "specials": []})


GERMAN = ["der hund lief .", "die katze schlief", "das haus"]
ENGLISH = ["the dog ran .", "the cat slept", "the house"]


@pytest.fixture(scope="module", params=CHECKPOINTS)
def checkpoint(request, tmp_path_factory):
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("checkpoint") / request.param
    return CHECKPOINTS[request.param](folder, GERMAN, ENGLISH)


def starts(checkpoint):
    """Whether its tokenizer puts a token before targets, as before sources."""
    return checkpoint.name in ("bart", *LANGUAGES)


def test_a_checkpoints_tokenizer_reads_and_writes_text(checkpoint):
    from transformers import AutoTokenizer

    known = AutoTokenizer.from_pretrained(checkpoint)
    source, target = (
        PretrainedTokenizer(checkpoint=str(checkpoint), side=side) for side in ("source", "target")
    )
    assert source.fitted
    assert len(source) == len(target) == len(known)
    special = target.specials
    assert (special.pad, special.eos) == (known.pad_token_id, known.eos_token_id)
    assert special.bos == (
        known(text_target="").input_ids[0] if starts(checkpoint) else special.pad
    )
    for german, english in zip(GERMAN, ENGLISH, strict=True):
        assert source.encode(german) == known(german).input_ids
        assert source.decode(source.encode(german)) == german
        ids = target.encode(english)
        assert not {special.pad, special.bos, special.eos} & set(ids)
        assert target.decode([*ids, special.eos, special.pad, 5]) == english
        assert target.decode([special.pad, *ids]) == english
    assert source.encode("") == known("").input_ids
    assert target.encode("") == []
    assert source.tokens(source.encode("haus")) == known.convert_ids_to_tokens(
        known("haus").input_ids
    )


def test_names_of_special_tokens_are_no_special_tokens(checkpoint):
    text = "the </s> dog <pad> ran <s>"
    target = PretrainedTokenizer(checkpoint=str(checkpoint), side="target")
    special = target.specials
    assert not {special.pad, special.bos, special.eos} & set(target.encode(text))
    source = PretrainedTokenizer(checkpoint=str(checkpoint), side="source")
    assert special.pad not in source.encode(text)


def test_a_checkpoints_tokenizer_is_saved_whole_and_without_its_place(checkpoint, tmp_path):
    moved_folder = Path(shutil.copytree(checkpoint, tmp_path / "moved"))
    for side in ("source", "target"):
        prefix = {"prefix": "so: "} if side == "source" else {}
        own = PretrainedTokenizer(checkpoint=str(checkpoint), side=side, max_tokens=9, **prefix)
        moved = PretrainedTokenizer(checkpoint=str(moved_folder), side=side, max_tokens=9, **prefix)
        assert moved.state() == own.state()
        own.save(tmp_path / side)
        loaded = Tokenizer.load(tmp_path / side)
        assert loaded.state() == own.state()
        for text in (GERMAN[0], "the </s> dog", ""):
            assert loaded.encode(text) == own.encode(text)
        assert loaded.specials == own.specials
        assert len(loaded) == len(own)


def test_sources_begin_with_the_prefix_and_texts_are_cut(checkpoint):
    def made(side, **options):
        return PretrainedTokenizer(checkpoint=str(checkpoint), side=side, **options)

    text = "das haus . " * 40
    whole = made("source").encode(GERMAN[0])
    assert made("source", prefix="der ").encode("hund lief .") == whole
    cut = made("source", max_tokens=6).encode(text)
    assert len(cut) == 6
    assert cut[-1] == made("source").specials.eos  # only words are left out
    before = starts(checkpoint)
    assert len(made("target", max_tokens=6).encode(text)) == 5 - before  # EOS comes after
    if made("source")._tokenizer.model_max_length == 64:
        assert len(made("source").encode(text)) == 64
        assert len(made("target").encode(text)) == 63 - before


def test_ids_mean_the_same_however_texts_are_cut(checkpoint, tmp_path):
    def made(**options):
        return PretrainedTokenizer(checkpoint=str(checkpoint), side="source", **options)

    assert made().same_ids(made(prefix="so: ", max_tokens=9))
    others = CHECKPOINTS[checkpoint.name](tmp_path / "other", ENGLISH[::-1], ["one", "or another"])
    assert not made().same_ids(PretrainedTokenizer(checkpoint=str(others), side="source"))


def test_tokens_that_the_network_has_no_row_for_are_unknown(checkpoint, tmp_path):
    """The tokenizers of BARTs for summaries have a mask that their networks lack."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    rows = config["vocab_size"]
    whole = len(PretrainedTokenizer(checkpoint=str(folder), side="target"))
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": whole - 1}))
    if checkpoint.name == "t5":  # its rows outnumber its tokens; the last are no words
        assert rows > whole
    if checkpoint.name == "marian":  # whose last token is its padding
        return
    cut = PretrainedTokenizer(checkpoint=str(folder), side="target")
    assert len(cut) == whole - 1
    assert max(cut.encode("the <mask> dog <extra_id_0>")) < whole - 1
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 20}))
    with pytest.raises(CorpusError, match="they do not belong together"):
        len(PretrainedTokenizer(checkpoint=str(folder), side="target"))


def test_texts_are_never_longer_than_the_network_reads(checkpoint, tmp_path):
    folder = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 30}))
    source, target = (
        PretrainedTokenizer(checkpoint=str(folder), side=side, max_tokens=50)
        for side in ("source", "target")
    )
    text = "das haus . the house . " * 20
    assert len(source.encode(text)) == 30
    inputs = len(target.encode(text)) + 1 + starts(checkpoint)  # EOS, and what comes first
    assert inputs == 30


def test_a_checkpoint_without_a_tokenizer_is_refused(checkpoint, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        shutil.copy(checkpoint / name, folder / name)
    with pytest.raises(CorpusError, match=r"has no tokenizer|cannot be read"):
        len(PretrainedTokenizer(checkpoint=str(folder), side="source"))


def test_a_checkpoints_tokenizer_can_be_pickled_after_it_was_used(checkpoint):
    tokenizer = PretrainedTokenizer(checkpoint=str(checkpoint), side="source")
    ids = tokenizer.encode(GERMAN[0])
    for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert other.encode(GERMAN[0]) == ids
        assert other.state() == tokenizer.state()


def test_half_a_character_is_no_text(checkpoint):
    tokenizer = PretrainedTokenizer(checkpoint=str(checkpoint), side="target")
    assert tokenizer.encode("the \ud800 dog") == tokenizer.encode("the ? dog")


def test_a_tokenizer_that_cannot_be_read_is_an_error_of_the_corpus(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(CorpusError, match=r"the tokenizer of .* cannot be read"):
        len(PretrainedTokenizer(checkpoint=str(tmp_path), side="source"))
    with pytest.raises(ValueError, match="side must be source or target, not 'both'"):
        PretrainedTokenizer(checkpoint="x", side="both")
    with pytest.raises(ValueError, match="max_tokens must be at least 2"):
        PretrainedTokenizer(checkpoint="x", side="source", max_tokens=1)
