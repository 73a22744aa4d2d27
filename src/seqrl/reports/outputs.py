"""Two models' outputs of one split, compared by resampling its sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, cast

from seqrl.metrics.corpus import METRICS, ROUGE
from seqrl.metrics.direction import DESCRIPTIVE, LOWER_IS_BETTER
from seqrl.metrics.outputs import Outputs
from seqrl.metrics.resampling import RESAMPLES, interval, resampled
from seqrl.metrics.summaries import new_bigrams, rouge_of_sentences
from seqrl.reports.run_report import aligned
from seqrl.reports.tables import p_text

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

TOKENISED = "bleu"
SACREBLEU = (TOKENISED, "sacrebleu", "sacrebleu_lc", "chrf")


@dataclass(frozen=True)
class Estimate:
    """A corpus score and the middle 95 % of it over resamples of the sentences."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Difference:
    """Of one score between two models' outputs.

    p  two-sided, that they are equally good; 1 where the outputs are the same
    """

    name: str
    signature: str
    first: Estimate
    second: Estimate
    p: float


def compared(names: Sequence[str], first: Outputs, second: Outputs) -> list[Difference]:
    """The named corpus scores (keys of `METRICS`) of two models on the same references.

    Scores of sacreBLEU's are tested by its paired bootstrap (`PairedTest`), others by ours.
    ValueError where the references differ, or a score is neither.
    """
    unknown = [name for name in names if name not in (*SACREBLEU, *SUMS)]
    if unknown:
        raise ValueError(f"there is no test of {', '.join(unknown)}")
    if first.references != second.references:
        raise ValueError("the two have different references")
    return [_difference(name, first, second) for name in names]


def comparison_text(differences: Sequence[Difference]) -> str:
    """A table, one line a score, and below it what it is."""
    header = ["", "A", "B", "B - A", "better", "p"]
    rows = [
        [d.name, str(d.first), str(d.second), f"{_gain(d):+z.2f}", _better(d), p_text(d.p)]
        for d in differences
    ]
    notes = [
        f"[..]: 95 % interval, and p: paired bootstrap of {RESAMPLES} resamples of the sentences",
        "they know nothing of other seeds: for algorithms, compare runs over seeds",
        *(f"{d.name}: {d.signature}" for d in differences),
    ]
    return "\n".join([*aligned([header, *rows], text_columns=1), "", *notes])


def _better(difference: Difference) -> str:
    gain = _gain(difference)
    if difference.name in DESCRIPTIVE:
        return ""
    if difference.name in LOWER_IS_BETTER:
        gain = -gain
    return "B" if gain > 0 else "A" if gain < 0 else ""


def _gain(difference: Difference) -> float:
    return difference.second.value - difference.first.value


def _difference(name: str, first: Outputs, second: Outputs) -> Difference:
    if name in SACREBLEU:
        estimates, p = _by_sacrebleu(name, first, second)
    else:
        estimates, p = _by_resampling(name, first, second)
    if list(first.hypotheses) == list(second.hypotheses):
        p = 1.0
    return Difference(name, METRICS[name](first).signature, *estimates, p)


def _by_sacrebleu(
    name: str, first: Outputs, second: Outputs
) -> tuple[tuple[Estimate, Estimate], float]:
    """sacreBLEU's test: p = (#(|d*| - mean |d*| > |d|) + 1) / (resamples + 1)."""
    from sacrebleu.significance import PairedTest, Result

    natural = name != TOKENISED
    hypotheses = [o.natural_hypotheses if natural else o.hypotheses for o in (first, second)]
    references = first.natural_references if natural else first.references
    # None stands for a reference that a sentence does not have, which sacreBLEU's types omit
    streams = cast("list[list[str]]", [list(stream) for stream in zip_longest(*references)])
    test = PairedTest(
        list(zip("AB", hypotheses, strict=True)),
        {name: _metric(name)},
        streams,
        test_type="bs",
        n_samples=RESAMPLES,
    )
    results = next(found for key, found in test()[1].items() if key != "System")
    estimates = []
    p = 1.0
    for result in results:
        assert isinstance(result, Result)
        assert result.mean is not None
        assert result.ci is not None
        low, high = result.mean - result.ci, result.mean + result.ci
        estimates.append(Estimate(result.score, low, high))
        p = p if result.p_value is None else result.p_value  # the first one's own is none
    return (estimates[0], estimates[1]), p


def _by_resampling(
    name: str, first: Outputs, second: Outputs
) -> tuple[tuple[Estimate, Estimate], float]:
    """A score that is 100 * sum of a / sum of b over sentences, of the same resamples of both.

    p = (#(|d* - mean d*| >= |d|) + 1) / (resamples + 1), d* being the resamples' differences
    """
    import numpy as np

    sums = [np.array(list(SUMS[name](outputs)), dtype=float) for outputs in (first, second)]
    scores = [100 * part[:, 0].sum() / part[:, 1].sum() for part in sums]
    values = [resampled(part) for part in sums]
    differences = values[1] - values[0]
    far = np.abs(differences - differences.mean()) >= abs(scores[1] - scores[0])
    estimates = [
        Estimate(float(score), *interval(column))
        for score, column in zip(scores, values, strict=True)
    ]
    return (estimates[0], estimates[1]), (int(far.sum()) + 1) / (RESAMPLES + 1)


def _token_errors(outputs: Outputs) -> Iterator[tuple[int, int]]:
    """Of each sentence its edits and the tokens of the reference, the one that `per` takes."""
    for hypothesis, references in zip(outputs.hypotheses, outputs.references, strict=True):
        yield min(_edits(hypothesis, reference) for reference in references)


def _edits(hypothesis: str, reference: str) -> tuple[int, int]:
    length = len(reference.split())
    if not length:
        return len(hypothesis.split()), 0
    pair = Outputs([""], [hypothesis], [(reference,)], [hypothesis], [(reference,)], False)
    return round(METRICS["per"](pair).value * length / 100), length


def _sequence_errors(outputs: Outputs) -> Iterator[tuple[int, int]]:
    """Of each sentence whether it is wrong, and 1."""
    for hypothesis, references in zip(outputs.hypotheses, outputs.references, strict=True):
        yield int(hypothesis.split() not in [reference.split() for reference in references]), 1


def _rouge(name: str) -> Sums:
    return lambda outputs: rouge_of_sentences(outputs, name)


Sums = Callable[[Outputs], Iterator[tuple[float, float]]]
"""Of each sentence a and b, where a score is 100 * sum of a / sum of b."""

SUMS: dict[str, Sums] = {
    "per": _token_errors,
    "wer": _sequence_errors,
    "novelty": new_bigrams,
    **{name: _rouge(name) for name in ROUGE},
}


def _metric(name: str) -> Metric:
    """The metric of sacreBLEU that `METRICS[name]` computes."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if name == TOKENISED:
        return BLEU(tokenize="none", smooth_method="none", force=True)
    return CHRF() if name == "chrf" else BLEU(lowercase=name == "sacrebleu_lc")
