"""Sentence BLEU against many references at once: all of a training split, as a set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seqrl.metrics.bleu import bleu_of, nearest


class ReferenceSet:
    """How often every n-gram occurs at most in one of the references, for n up to `order`.

    An n-gram has the number of the n - 1 tokens before its last one, and that one, for its code;
    its own number is the place of the code among all. So no vocabulary is too large.

    references  ids without EOS
    """

    def __init__(self, references: Sequence[Sequence[int]], *, order: int = 4) -> None:
        lengths = torch.tensor([len(reference) for reference in references])
        tokens = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(reference, dtype=torch.long) for reference in references],
            batch_first=True,
            padding_value=-1,
        )
        self.lengths = torch.unique(lengths)
        self.base = int(tokens.max()) + 1
        self.codes: list[Tensor] = []  # of the n-grams, ascending
        self.most: list[Tensor] = []  # occurrences in the reference that has most
        numbers = torch.zeros_like(tokens)
        for n in range(order):
            codes = self._codes(numbers, tokens[:, n:])
            there = codes >= 0
            known, own = torch.unique(codes[there], return_inverse=True)
            row = torch.arange(len(tokens)).unsqueeze(1).expand_as(codes)[there]
            pairs, counts = torch.unique(row * max(1, len(known)) + own, return_counts=True)
            most = torch.zeros_like(known)
            most.scatter_reduce_(0, pairs % max(1, len(known)), counts, "amax")
            self.codes.append(known)
            self.most.append(most)
            numbers = torch.full_like(codes, -1).masked_scatter(there, own)

    def to(self, device: torch.device) -> ReferenceSet:
        """Itself, on a device."""
        self.lengths = self.lengths.to(device)
        self.codes = [codes.to(device) for codes in self.codes]
        self.most = [most.to(device) for most in self.most]
        return self

    def matches(self, hypotheses: Tensor, mask: Tensor) -> Tensor:
        """[N, order], the n-grams of tokens [N, T] in some reference, clipped by `most`."""
        known = mask & (hypotheses < self.base)
        tokens = hypotheses.masked_fill(~known, -1)
        numbers, found = torch.zeros_like(tokens), []
        for n, (codes, most) in enumerate(zip(self.codes, self.most, strict=True)):
            own = self._codes(numbers, tokens[:, n:])
            if len(codes):
                place = torch.searchsorted(codes, own).clamp(max=len(codes) - 1)
                numbers = place.masked_fill((own < 0) | (codes[place] != own), -1)
            else:
                numbers = torch.full_like(own, -1)
            earlier = (numbers.unsqueeze(2) == numbers.unsqueeze(1)).tril(-1).sum(2)
            allowed = most[numbers] if len(codes) else torch.zeros_like(own)
            found.append(((numbers >= 0) & (earlier < allowed)).sum(1))
        return torch.stack(found, dim=1)

    def bleu(self, hypotheses: Tensor, mask: Tensor, *, smooth: float = 1.0) -> Tensor:
        """Smoothed BLEU [N], as in `seqrl.metrics.bleu`, with the closest of all lengths."""
        length = mask.sum(1, keepdim=True)
        lengths = self.lengths.expand(len(hypotheses), -1)
        closest = nearest(length, lengths, torch.ones_like(lengths, dtype=torch.bool))
        return bleu_of(self.matches(hypotheses, mask), length[:, 0], closest[:, 0], smooth)

    def _codes(self, before: Tensor, words: Tensor) -> Tensor:
        """[N, L] of words [N, L], from the numbers of what precedes them [N, >= L]; -1: none."""
        before = before[:, : words.shape[1]]
        return (before * self.base + words).masked_fill((before < 0) | (words < 0), -1)
