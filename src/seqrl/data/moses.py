"""Moses' tokenizer and its inverse, through sacremoses.

Special characters are escaped as Moses does (`&apos;`, `&quot;`, `&amp;`, ...): the published
preparations of IWSLT14 and Multi30k hold these escapes.
"""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _tokenizer(language: str) -> Any:
    from sacremoses import MosesTokenizer

    return MosesTokenizer(lang=language)


@cache
def _detokenizer(language: str) -> Any:
    from sacremoses import MosesDetokenizer

    return MosesDetokenizer(lang=language)


@cache
def _normalizer(language: str) -> Any:
    from sacremoses import MosesPunctNormalizer

    return MosesPunctNormalizer(lang=language)


def tokenize(text: str, language: str) -> str:
    """Tokens of natural text, separated by single spaces."""
    tokens: str = _tokenizer(language).tokenize(text, return_str=True)
    return tokens


def detokenize(tokens: str, language: str) -> str:
    """Natural text of tokens that are separated by spaces; casing is not restored."""
    text: str = _detokenizer(language).detokenize(tokens.split(" "), unescape=True)
    return text


def normalize(text: str, language: str) -> str:
    """Quotation marks, dashes and the like in their plain forms."""
    normal: str = _normalizer(language).normalize(text)
    return normal
