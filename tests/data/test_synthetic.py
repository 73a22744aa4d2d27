"""Samples of an oracle as a corpus and as a task, and what the oracle thinks of outputs."""

from __future__ import annotations

import pytest
import torch

from seqrl.data.corpus import CorpusError
from seqrl.data.synthetic import samples
from seqrl.data.task import Task
from seqrl.data.tokenizers import TARGET_SPECIALS, ClosedTokenizer, Tokenizer, numbers
from seqrl.evaluation.decode import outputs_of
from seqrl.metrics.corpus import corpus_scores
from seqrl.oracle import Oracle

ORACLE = Oracle(words=30, units=8, seed=0)


def task(length: int = 5) -> Task:
    return Task(
        name="oracle",
        corpus=lambda: samples(oracle=ORACLE, length=length, train=40, dev=10, test=20),
        source_tokenizer=numbers(size=70),
        target_tokenizer=numbers(size=30),
        metric="oracle_nll",
        scores=["oracle_nll"],
        oracle=ORACLE,
    )


def test_splits_are_different_samples_numbered() -> None:
    corpus = samples(oracle=ORACLE, length=5, train=40, dev=10, test=20)
    assert {name: len(split) for name, split in corpus.items()} == {
        "train": 40,
        "dev": 10,
        "test": 20,
    }
    sources = [e.source for split in ("train", "dev", "test") for e in corpus[split]]
    assert sources == [str(n) for n in range(70)]
    texts = [e.references[0] for split in corpus.values() for e in split]
    assert len(set(texts)) == 70
    again = samples(oracle=ORACLE, length=5, train=40, dev=10, test=20, seed=1)
    assert set(texts).isdisjoint(e.references[0] for split in again.values() for e in split)


def test_every_word_has_a_number_whether_it_occurs_or_not() -> None:
    tokenizer = task().target_tokenizer
    assert len(tokenizer) == len(TARGET_SPECIALS) + 30
    assert tokenizer.encode("0 29 7 30") == [4, 33, 11, tokenizer.specials.unk]
    assert tokenizer.decode([4, 33, 3, 5]) == "0 29"
    restored = Tokenizer.from_state(tokenizer.state())
    assert isinstance(restored, ClosedTokenizer)
    assert restored.same_ids(tokenizer)
    assert restored.encode("29 7") == [33, 11]


def test_words_of_a_closed_vocabulary_differ() -> None:
    with pytest.raises(ValueError, match="words must differ"):
        ClosedTokenizer(words=["a", "b", "a"])
    with pytest.raises(ValueError, match="at least one"):
        ClosedTokenizer(words=[])
    with pytest.raises(ValueError, match="size must be at least 1"):
        numbers(size=0)


def test_oracle_nll_is_its_mean_over_words_beside_floor_and_ceiling() -> None:
    own = task()
    split = own.split("dev")
    hypotheses = [" ".join(map(str, row)) for row in ORACLE.sample(10, 5, seed="x").tolist()]
    [found] = corpus_scores(["oracle_nll"], outputs_of(own, split.examples, hypotheses))
    words = torch.tensor([[int(w) for w in h.split()] for h in hypotheses])
    assert found.value == pytest.approx(-float(ORACLE.log_probs(words).mean()), abs=1e-12)
    references = torch.tensor([[int(w) for w in e.references[0].split()] for e in split.examples])
    floor = -float(ORACLE.log_probs(references).mean())
    ceiling = ORACLE.uniform_nll(5)
    assert found.signature == f"floor:{floor:.3f}|uniform:{ceiling:.3f}|words:30|T:5"
    assert not found.higher_is_better


def test_outputs_of_other_lengths_are_judged_by_the_words_that_they_have() -> None:
    own = task()
    examples = own.split("dev").examples[:2]
    [found] = corpus_scores(["oracle_nll"], outputs_of(own, examples, ["3 4 5", "6"]))
    one, other = (ORACLE.log_probs(torch.tensor([row])).sum() for row in ([3, 4, 5], [6]))
    assert found.value == pytest.approx(-float(one + other) / 4, abs=1e-6)


def test_what_is_no_word_costs_as_much_as_words_drawn_without_looking() -> None:
    own = task()
    examples = own.split("dev").examples[:2]
    ceiling = ORACLE.uniform_nll(5)
    [found] = corpus_scores(["oracle_nll"], outputs_of(own, examples, ["3 <unk>", ""]))
    word = float(ORACLE.log_probs(torch.tensor([[3]])))
    assert found.value == pytest.approx((ceiling - word) / 2, abs=1e-6)
    [nothing] = corpus_scores(["oracle_nll"], outputs_of(own, examples, ["", ""]))
    assert nothing.value == ceiling


def test_a_task_without_an_oracle_has_no_such_score() -> None:
    plain = Task(
        name="plain",
        corpus=lambda: samples(oracle=ORACLE, train=4, dev=2, test=2),
        source_tokenizer=numbers(size=70),
        target_tokenizer=numbers(size=30),
    )
    with pytest.raises(ValueError, match="samples of an oracle"):
        corpus_scores(["oracle_nll"], outputs_of(plain, plain.split("dev").examples, ["1", "2"]))


def test_sizes_are_checked_before_anything_is_drawn() -> None:
    bad = Task(
        name="oracle",
        corpus=lambda: samples(oracle=ORACLE, train=0),
        target_tokenizer=numbers(size=30),
    )
    with pytest.raises(CorpusError, match="train must be at least 1, not 0"):
        bad.split("train")
