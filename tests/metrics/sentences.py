"""Sentences of numbers, drawn and as tensors, for tests of sentence metrics."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import strategies as st
from torch import Tensor

Sentence = list[int]

sentence = st.lists(st.integers(0, 3), max_size=9)
some_references = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=9), min_size=1, max_size=3
)


def ngrams(sentence: Sentence, n: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1))


def padded(sentences: list[Sentence], width: int = 0) -> tuple[Tensor, Tensor]:
    """Ids padded with 0 and their mask; the padding is an id that sentences may hold too."""
    width = max(width, *map(len, sentences))
    ids = torch.tensor([s + [0] * (width - len(s)) for s in sentences], dtype=torch.long)
    lengths = torch.tensor([len(s) for s in sentences])
    return ids.view(len(sentences), width), torch.arange(width) < lengths.unsqueeze(1)


def arguments(
    hypothesis: Sentence, references: list[Sentence], wider: int = 1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    hyp, hyp_mask = padded([hypothesis], len(hypothesis) + wider)
    ref, ref_mask = padded(references, max(map(len, references)) + wider)
    return hyp, hyp_mask, ref.unsqueeze(0), ref_mask.unsqueeze(0)


def letters(text: str) -> Sentence:
    return [ord(letter) - ord("a") for letter in text]


def text(ids: Sentence) -> str:
    return " ".join(f"w{i}" for i in ids)
