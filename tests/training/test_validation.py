"""What a stage may be selected by."""

from __future__ import annotations

import pytest
import torch

from seqrl.data.task import Task
from seqrl.data.tokenizers import WordTokenizer
from seqrl.decoding.decoder import Greedy
from seqrl.metrics.corpus import METRICS, corpus_scores
from seqrl.training.validation import DevValidation


@pytest.fixture
def validation() -> DevValidation:
    task = Task(name="none", corpus=dict, target_tokenizer=WordTokenizer())
    return DevValidation(task=task, decoder=Greedy(), device=torch.device("cpu"), seed=0)


@pytest.mark.parametrize("name", METRICS)
def test_of_a_metric_the_perfect_output_is_the_better_one(
    validation: DevValidation, name: str
) -> None:
    references = [("a b c d e",), ("f g h i",)]

    def score(*hypotheses: str) -> float:
        (found,) = corpus_scores([name], hypotheses, references, hypotheses, references, True)
        assert found.higher_is_better is validation.higher_is_better(name)
        return found.value

    perfect, poor = score("a b c d e", "f g h i"), score("a b c d x", "f g h h i")
    assert (perfect > poor) is validation.higher_is_better(name)
    assert perfect != poor


@pytest.mark.parametrize("name", ["nll", "td_error", "return_error", "a_loss_of_ones_own"])
def test_of_a_loss_less_is_better(validation: DevValidation, name: str) -> None:
    assert not validation.higher_is_better(name)
