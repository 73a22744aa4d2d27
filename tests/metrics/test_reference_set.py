"""BLEU against a set of references, beside BLEU against the same references one by one."""

from __future__ import annotations

import pytest
import torch

from seqrl.metrics.bleu import prefix_bleu
from seqrl.metrics.reference_set import ReferenceSet
from tabular import padded, seeded


@pytest.mark.parametrize("smooth", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_it_is_bleu_with_all_of_them_as_references(order: int, smooth: float) -> None:
    """Random sequences of few words, so that n-grams repeat and match; some words no one has."""
    generator = seeded(0)
    lengths = torch.randint(1, 9, (12,), generator=generator).tolist()
    references = [torch.randint(4, 8, (n,), generator=generator).tolist() for n in lengths]
    tokens = torch.randint(4, 9, (200, 10), generator=generator)
    mask = torch.arange(10) < torch.randint(0, 11, (200, 1), generator=generator)
    every = padded(references).expand(200, -1, -1)
    expected = prefix_bleu(tokens, mask, every, every > 0, order=order, smooth=smooth)[:, -1]
    found = ReferenceSet(references, order=order).bleu(tokens, mask, smooth=smooth)
    assert (expected > 0).sum() >= 20
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_an_ngram_counts_as_often_as_one_reference_has_it() -> None:
    """4 4 5 and 4 5 4 5: 4 twice, 5 twice, 4 5 twice, 4 4 once, 5 4 once."""
    matches = ReferenceSet([[4, 4, 5], [4, 5, 4, 5]], order=3)
    tokens = torch.tensor([[4, 5, 4, 5, 4, 5]])
    found = matches.matches(tokens, torch.ones_like(tokens, dtype=torch.bool))
    assert found.tolist() == [[4, 3, 2]]  # of 3 + 3, of 3 + 2, and 4 5 4 and 5 4 5 once each


def test_references_shorter_than_the_order_have_no_such_ngrams() -> None:
    tokens = torch.tensor([[4, 5, 6]])
    everywhere = torch.ones_like(tokens, dtype=torch.bool)
    assert ReferenceSet([[4, 5]], order=4).matches(tokens, everywhere).tolist() == [[2, 1, 0, 0]]
