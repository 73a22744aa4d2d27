"""Scores of a whole corpus, from text.

Tokens are what white space separates in the task's own tokenisation; the natural text is
what a reader would see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, zip_longest
from typing import cast

import torch
from torch import Tensor

from seqrl.metrics.direction import MELODIES
from seqrl.metrics.edit import prefix_edit_distance
from seqrl.metrics.melodies import melody_reward, melody_statistic
from seqrl.metrics.outputs import Outputs, Score
from seqrl.metrics.summaries import MEASURES, STEMMED, SUM_OF_SENTENCES, novelty, rouge

PAIRS_AT_ONCE = 256


def corpus_scores(names: Sequence[str], outputs: Outputs) -> list[Score]:
    """The named scores (keys of `METRICS`), in the order given."""
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"no metric {', '.join(unknown)}; there are {', '.join(METRICS)}")
    return [METRICS[name](outputs) for name in names]


def tokenised_bleu(outputs: Outputs) -> Score:
    """Corpus BLEU in percent on the task's own tokens, unsmoothed, as multi-bleu.perl has it.

    An unknown word in a hypothesis is a token like others: it matches only where the
    reference has that very text.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(tokenize="none", smooth_method="none", force=True)
    score = metric.corpus_score(outputs.hypotheses, _streams(outputs.references))
    return Score("bleu", score.score, str(metric.get_signature()))


def sacrebleu(outputs: Outputs, name: str = "sacrebleu", *, lowercase: bool = False) -> Score:
    """Corpus BLEU in percent on natural text, with sacreBLEU's defaults (Post 2018)."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(lowercase=lowercase)
    score = metric.corpus_score(outputs.natural_hypotheses, _streams(outputs.natural_references))
    signature = outputs.natural_signature(str(metric.get_signature()))
    return Score(name, score.score, signature)


def sacrebleu_lc(outputs: Outputs) -> Score:
    """The same without regard to case, for models whose outputs are lower-cased."""
    return sacrebleu(outputs, "sacrebleu_lc", lowercase=True)


def chrf(outputs: Outputs) -> Score:
    """Corpus chrF2 in percent on natural text, with sacreBLEU's defaults (Popovic 2015)."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    score = metric.corpus_score(outputs.natural_hypotheses, _streams(outputs.natural_references))
    signature = outputs.natural_signature(str(metric.get_signature()))
    return Score("chrf", score.score, signature)


def token_error_rate(outputs: Outputs) -> Score:
    """Edits per hundred reference tokens (phoneme error rate, where tokens are phonemes).

    100 * sum of the edit distances to the nearest references / sum of those references'
    lengths; of references equally near, the shortest one counts.
    """
    distances = _edit_distances(outputs)
    edits = tokens = 0
    for references in outputs.references:
        distance, length = min((next(distances), len(_tokens(r))) for r in references)
        edits += distance
        tokens += length
    if not tokens:
        raise ValueError("the error rate of empty references is not defined")
    return Score("per", 100 * edits / tokens, f"nrefs:{outputs.reference_count}|ref:nearest")


def sequence_error_rate(outputs: Outputs) -> Score:
    """Percentage of sequences that equal none of their references (a word's, for phonemes)."""
    wrong = sum(
        _tokens(hypothesis) not in map(_tokens, references)
        for hypothesis, references in zip(outputs.hypotheses, outputs.references, strict=True)
    )
    rate = 100 * wrong / len(outputs.hypotheses)
    return Score("wer", rate, f"nrefs:{outputs.reference_count}|unit:sequence")


def oracle_nll(outputs: Outputs) -> Score:
    """-log p_oracle of the outputs' words, nats a word (Yu et al. 2017, eq. 9, per word).

    What is none of its words, as an unknown one, costs as much as words drawn without looking, and
    so do outputs without any. The signature has the oracle's floor, what it thinks of the
    references, its own samples, and what it thinks of words drawn without looking.
    """
    oracle = outputs.oracle
    if oracle is None:
        raise ValueError("oracle_nll needs a task whose data are the samples of an oracle")

    lengths = {len(_tokens(references[0])) for references in outputs.references}
    ceiling = oracle.uniform_nll(max(lengths))

    def nll(texts: Sequence[str]) -> float:
        rows = [_tokens(text) for text in texts]
        longest = max(map(len, rows))
        padded = [row + [""] * (longest - len(row)) for row in rows]
        words = torch.tensor(
            [[int(w) if w.isdecimal() else -1 for w in row] for row in padded], dtype=torch.long
        )
        there = torch.arange(longest) < torch.tensor(list(map(len, rows))).unsqueeze(1)
        found = -oracle.log_probs(words.clamp(min=0)).masked_fill(words < 0, -ceiling)
        return float(found[there].mean()) if there.any() else ceiling

    floor = nll([references[0] for references in outputs.references])
    signature = f"floor:{floor:.3f}|uniform:{ceiling:.3f}|words:{oracle.words}|T:{max(lengths)}"
    return Score("oracle_nll", nll(outputs.hypotheses), signature)


def distinct(outputs: Outputs) -> Score:
    """Distinct bigrams in percent of all, over all outputs together (Li et al. 2016, distinct-2).

    The signature has that of the first references: outputs far below it are much the same.
    """

    def share(texts: Iterable[str]) -> float:
        bigrams = [pair for text in texts for pair in pairwise(_tokens(text))]
        return 100 * len(set(bigrams)) / len(bigrams) if bigrams else 0.0

    references = share(own[0] for own in outputs.references)
    signature = f"n:2|outputs:{len(outputs.hypotheses)}|references:{references:.2f}"
    return Score("distinct", share(outputs.hypotheses), signature)


ROUGE = [
    f"{name}{ending}" for ending in ("", STEMMED) for name in ("rouge", *MEASURES, SUM_OF_SENTENCES)
]

METRICS: dict[str, Callable[[Outputs], Score]] = {
    "bleu": tokenised_bleu,
    "sacrebleu": sacrebleu,
    "sacrebleu_lc": sacrebleu_lc,
    "chrf": chrf,
    "per": token_error_rate,
    "wer": sequence_error_rate,
    **{name: rouge(name) for name in ROUGE},
    "novelty": novelty,
    "distinct": distinct,
    "oracle_nll": oracle_nll,
    "melody_reward": melody_reward,
    **{name: melody_statistic(name) for name in MELODIES},
}


def length_ratio(hypotheses: Sequence[str], references: Sequence[tuple[str, ...]]) -> float:
    """Tokens of all hypotheses / tokens of their closest references; of two, the shorter."""
    tokens = closest = 0
    for hypothesis, alternatives in zip(hypotheses, references, strict=True):
        length = len(_tokens(hypothesis))
        lengths = [len(_tokens(reference)) for reference in alternatives]
        _, nearest = min((abs(other - length), other) for other in lengths)
        tokens += length
        closest += nearest
    if not closest:
        raise ValueError("the length ratio to empty references is not defined")
    return tokens / closest


def _tokens(text: str) -> list[str]:
    return text.split()


def _streams(references: Sequence[tuple[str, ...]]) -> list[list[str]]:
    """All first references, all second ones, and so on; None where a sentence has fewer."""
    streams = [list(stream) for stream in zip_longest(*references)]
    # sacreBLEU takes None for a reference that is not there, though its annotations do not.
    return cast("list[list[str]]", streams)


def _edit_distances(outputs: Outputs) -> Iterator[int]:
    """From every hypothesis to each of its references, in order."""
    pairs = [
        (_tokens(hypothesis), _tokens(reference))
        for hypothesis, references in zip(outputs.hypotheses, outputs.references, strict=True)
        for reference in references
    ]
    ids: dict[str, int] = {}
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = pairs[start : start + PAIRS_AT_ONCE]
        hypothesis, mask = _padded([tokens for tokens, _ in part], ids)
        reference, reference_mask = _padded([tokens for _, tokens in part], ids)
        distances = prefix_edit_distance(
            hypothesis, mask, reference.unsqueeze(1), reference_mask.unsqueeze(1)
        )
        yield from map(int, distances[:, -1].tolist())


def _padded(sentences: list[list[str]], ids: dict[str, int]) -> tuple[Tensor, Tensor]:
    """Ids [N, T], T >= 1, of words that are numbered as they come, and where they are."""
    width = max(1, *map(len, sentences))
    rows = [[ids.setdefault(word, len(ids)) for word in words] for words in sentences]
    filled = torch.tensor([row + [-1] * (width - len(row)) for row in rows])
    return filled, filled >= 0
