"""Tiny checkpoints of the `transformers` library: random weights, tokenizers of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

SIZES = {"d_model": 16, "max_position_embeddings": 64, "init_std": 0.5}
LAYERS = {
    f"{part}_{name}": value
    for part in ("encoder", "decoder")
    for name, value in {"layers": 2, "ffn_dim": 24, "attention_heads": 2}.items()
}


def pieces(lines: Sequence[str], size: int = 60, **options: Any) -> bytes:
    """A SentencePiece model of the lines."""
    from sentencepiece import SentencePieceTrainer

    model = BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        vocab_size=size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **options,
    )
    return model.getvalue()


def names(model: bytes) -> list[str]:
    from sentencepiece import SentencePieceProcessor

    known = SentencePieceProcessor(model_proto=model)
    return [known.id_to_piece(i) for i in range(known.get_piece_size())]


def marian(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> Path:
    """Two SentencePiece models, one vocabulary, padding last and read first: as Helsinki-NLP's."""
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder.mkdir(parents=True)
    models = {"source": pieces(sources), "target": pieces(targets)}
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
    known = dict.fromkeys(
        ["</s>", "<unk>", *(n for m in models.values() for n in names(m) if n[0] != "<"), "<pad>"]
    )
    vocabulary = {name: i for i, name in enumerate(known)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = MarianTokenizer(
        str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"),
        source_lang="de", target_lang="en", model_max_length=64,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    size, pad = len(vocabulary), vocabulary["<pad>"]
    special = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad}
    config = MarianConfig(vocab_size=size, decoder_vocab_size=size, **special, **SIZES, **LAYERS)
    return drawn(MarianMTModel, config, folder)


def t5(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> Path:
    """One SentencePiece vocabulary; the network has rows that no token has."""
    from sentencepiece import SentencePieceProcessor
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    model = pieces([*sources, *targets], pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    known = SentencePieceProcessor(model_proto=model)
    scores = [(known.id_to_piece(i), known.get_score(i)) for i in range(known.get_piece_size())]
    scores[:3] = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = T5Tokenizer(vocab=scores, extra_ids=2)
    tokenizer.save_pretrained(folder)
    config = T5Config(
        vocab_size=len(tokenizer) + 5, d_model=16, d_kv=8, d_ff=24, num_layers=2, num_heads=2,
        decoder_start_token_id=0, initializer_factor=2.0,
    )  # fmt: skip
    return drawn(T5ForConditionalGeneration, config, folder)


def bart(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> Path:
    """Pairs of bytes, and `<s>` forced in front of every output, as summarizing BARTs have it."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import BartConfig, BartForConditionalGeneration, BartTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>"]  # the tokenizer adds <mask>, as the last
    learned = ByteLevelBPETokenizer()
    learned.train_from_iterator(
        [*sources, *targets], vocab_size=300, special_tokens=special, show_progress=False
    )
    described = json.loads(learned.to_str())["model"]
    merges = [tuple(pair) for pair in described["merges"]]
    tokenizer = BartTokenizer(vocab=described["vocab"], merges=merges, model_max_length=64)
    tokenizer.save_pretrained(folder)
    config = BartConfig(vocab_size=len(tokenizer), **SIZES, **LAYERS)
    return drawn(BartForConditionalGeneration, config, folder, forced_bos_token_id=0)


def nllb(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> Path:
    """Pairs of letters, and a language in front of sources and of outputs."""
    from tokenizers import SentencePieceBPETokenizer
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    special = ["<s>", "<pad>", "</s>", "<unk>"]  # the tokenizer adds the languages and <mask>
    learned = SentencePieceBPETokenizer()
    learned.train_from_iterator(
        [*sources, *targets], vocab_size=60, special_tokens=special, show_progress=False
    )
    described = json.loads(learned.to_str())["model"]
    tokenizer = NllbTokenizer(
        vocab=described["vocab"], merges=[tuple(pair) for pair in described["merges"]],
        extra_special_tokens=list(LANGUAGES["nllb"]), model_max_length=64,
        src_lang="deu_Latn", tgt_lang="eng_Latn",
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    config = M2M100Config(vocab_size=len(tokenizer), **SIZES, **LAYERS)
    return drawn(M2M100ForConditionalGeneration, config, folder)


def mbart(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> Path:
    """A SentencePiece vocabulary of both sides, and a language in front, as mBART-50 has it."""
    from sentencepiece import SentencePieceProcessor
    from transformers import MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

    model = pieces([*sources, *targets])
    known = SentencePieceProcessor(model_proto=model)
    scores = [(known.id_to_piece(i), known.get_score(i)) for i in range(known.get_piece_size())]
    tokenizer = MBart50Tokenizer(
        vocab=scores, src_lang="de_DE", tgt_lang="en_XX", model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    config = MBartConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=2, forced_eos_token_id=None,
        **SIZES, **LAYERS,
    )  # fmt: skip
    return drawn(MBartForConditionalGeneration, config, folder)


def m2m(folder: Path, sources: Sequence[str], targets: Sequence[str]) -> Path:
    """As NLLB's, but for how languages are called and a SentencePiece model."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir(parents=True)
    model = pieces([*sources, *targets])
    (folder / "sentencepiece.bpe.model").write_bytes(model)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = [*special, *(name for name in names(model) if name not in special)]
    numbered = {name: i for i, name in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(numbered))
    tokenizer = M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "sentencepiece.bpe.model"), model_max_length=64
    )
    tokenizer.save_pretrained(folder)
    config = M2M100Config(vocab_size=len(tokenizer) + 8, **SIZES, **LAYERS)
    return drawn(M2M100ForConditionalGeneration, config, folder)


CHECKPOINTS: dict[str, Callable[[Path, Sequence[str], Sequence[str]], Path]] = {
    "marian": marian,
    "t5": t5,
    "bart": bart,
    "nllb": nllb,
    "mbart": mbart,
}

LANGUAGES = {
    "nllb": ("deu_Latn", "eng_Latn", "fra_Latn"),
    "mbart": ("de_DE", "en_XX", "fr_XX"),
}
"""What the tokenizer writes before sources, what before targets, and another."""


def drawn(model: Any, config: Any, folder: Path, **generation: Any) -> Path:
    """The folder, in which a model with random weights was saved."""
    torch.manual_seed(0)
    network = model(config)
    if hasattr(network, "final_logits_bias"):  # which is zero at first, and not in what was learned
        network.final_logits_bias.normal_()
    network.generation_config.update(**generation)
    network.save_pretrained(folder)
    return folder
