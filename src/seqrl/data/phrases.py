"""German-English sentences from a synchronous grammar: a corpus that needs no download.

A sentence is drawn as what it says; its German follows from that, and its English is one of
several that a translator might write, each with its probability. The pairs of a training set
have one drawn rendering, as real corpora do; dev and test sentences have up to four.

What makes the task hard: the verb at the end of subordinate clauses, separable prefixes,
participles and infinitives at the end, objects and adverbials before the verb, case and
gender, words that only their context tells apart (Schloss: castle or lock; tragen: carry or
wear; sie: she, they, you or it), numbers, and a lexicon with a long tail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from seqrl.data import phrases_english as english
from seqrl.data import phrases_german as german
from seqrl.data.corpus import Corpus, Example
from seqrl.data.phrases_lexicon import (
    ADJECTIVE_COMPLEMENTS,
    ATTITUDES,
    CONNECTORS,
    CONTROL,
    COPULAR,
    DAYS,
    FAR_PLACES,
    IMPRESSIONS,
    INTERROGATIVES,
    MONTHS,
    NAMES,
    PURPOSES,
    SUBORDINATORS,
    TIME,
    Adverb,
    Menu,
    menu,
    pick,
    rows,
)
from seqrl.data.phrases_meaning import NOBODY, Clause, Phrase, reference
