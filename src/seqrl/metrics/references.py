"""Which of a sentence's references there are."""

from __future__ import annotations

from torch import Tensor


def present(reference_mask: Tensor) -> Tensor:
    """[N, M], true for the references that exist, from the mask [N, M, T'] of their tokens.

    A reference without tokens is an absent one, unless the sentence has no other: then its
    references are empty.
    """
    tokens = reference_mask.any(2)
    return tokens | ~tokens.any(1, keepdim=True)
