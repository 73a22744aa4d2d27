"""Scores of summaries: ROUGE of natural text, and how much of them is not the source's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from itertools import pairwise

from seqrl.metrics.outputs import Outputs, Score
from seqrl.metrics.resampling import interval, resampled

MEASURES = ("rouge1", "rouge2", "rougeL")
SUM_OF_SENTENCES = "rougeLsum"
STEMMED = "_stem"

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def rouge_of_sentences(outputs: Outputs, name: str) -> Iterator[tuple[float, int]]:
    """Of each text its F, the best of its references, and 1.

    name  rouge1, rouge2, rougeL or rougeLsum, with `_stem` after it for words reduced by
          Porter's rules; `rouge` is the mean of the first three (Tan et al. 2018 take their sum)

    Lin 2004, by the package rouge-score: on natural text, letters and digits in lower case.
    `rougeLsum` is of texts of several sentences, which are lines where references have lines,
    and else end after . ! and ?.
    """
    plain = name.removesuffix(STEMMED)
    measures = MEASURES if plain == "rouge" else (plain,)
    together = MEASURES if plain != SUM_OF_SENTENCES else measures
    key = (together, plain != name)
    if key not in outputs.shared:
        outputs.shared[key] = list(_rouge(outputs, *key))
    for scores in outputs.shared[key]:
        yield sum(scores[measure] for measure in measures) / len(measures), 1


def _rouge(outputs: Outputs, measures: Sequence[str], stemmed: bool) -> Iterator[dict[str, float]]:
    """Of each text its F by measure, the best of its references for each."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(measures), use_stemmer=stemmed)
    whole = SUM_OF_SENTENCES not in measures or has_lines(outputs)
    for hypothesis, references in zip(
        outputs.natural_hypotheses, outputs.natural_references, strict=True
    ):
        if whole:
            scores = scorer.score_multi(references, hypothesis)
        else:
            scores = scorer.score_multi([*map(_lines, references)], _lines(hypothesis))
        yield {measure: scores[measure].fmeasure for measure in measures}


def has_lines(outputs: Outputs) -> bool:
    """Whether some natural reference consists of several lines."""
    return any("\n" in text for references in outputs.natural_references for text in references)


def new_bigrams(outputs: Outputs) -> Iterator[tuple[int, int]]:
    """Of each hypothesis its pairs of tokens that the source does not hold, and all (See 2017)."""
    for source, hypothesis in zip(outputs.sources, outputs.hypotheses, strict=True):
        known = set(pairwise(source.split()))
        pairs = list(pairwise(hypothesis.split()))
        yield sum(pair not in known for pair in pairs), len(pairs)


def rouge(name: str) -> Callable[[Outputs], Score]:
    """The mean F of a corpus in percent, by name, see `rouge_of_sentences`."""

    def score(outputs: Outputs) -> Score:
        import numpy as np

        sums = np.array(list(rouge_of_sentences(outputs, name)))
        stem = "yes" if name.endswith(STEMMED) else "no"
        parts = [f"nrefs:{outputs.reference_count}", f"stem:{stem}"]
        if name.startswith(SUM_OF_SENTENCES):
            parts.append(f"sentences:{'lines' if has_lines(outputs) else 'punctuation'}")
        signature = "|".join([*parts, f"rouge-score:{version('rouge-score')}"])
        return Score(
            name,
            100 * float(sums[:, 0].mean()),
            outputs.natural_signature(signature),
            interval(resampled(sums)),
        )

    return score


def novelty(outputs: Outputs) -> Score:
    """Percentage of the hypotheses' pairs of neighbouring tokens that their sources lack."""
    counts = list(new_bigrams(outputs))
    new, pairs = (sum(column) for column in zip(*counts, strict=True))
    return Score("novelty", 100 * new / max(pairs, 1), "pairs:tokens")


def _lines(text: str) -> str:
    """One sentence a line, as rouge-score wants them."""
    return "\n".join(_SENTENCE_END.split(text))
