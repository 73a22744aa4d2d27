import pytest

from seqrl.data.corpus import CorpusError, Example
from seqrl.data.filters import Filters


def pair(source: int, *targets: int) -> Example:
    return Example(" ".join("s" * source), tuple(" ".join("t" * n) for n in targets))


CORPUS = {
    "train": [pair(1, 1), pair(2, 3), pair(2, 4), pair(6, 6), pair(3, 7)],
    "dev": [pair(6, 2), pair(2, 6, 1)],
    "test": [pair(1, 1), pair(1, 9)],
}


def sizes(filters: Filters) -> dict[str, int]:
    return {name: len(examples) for name, examples in filters(CORPUS).items()}


def test_no_filters_change_nothing():
    assert Filters()(CORPUS) == CORPUS


def test_limits_are_inclusive_and_for_training_only():
    assert sizes(Filters(max_source_tokens=2)) == {"train": 3, "dev": 2, "test": 2}
    assert sizes(Filters(max_target_tokens=4)) == {"train": 3, "dev": 2, "test": 2}
    assert sizes(Filters(min_tokens=2)) == {"train": 4, "dev": 2, "test": 2}
    assert sizes(Filters(max_ratio=1.5)) == {"train": 3, "dev": 2, "test": 2}  # 3/2 is kept
    assert sizes(Filters(max_ratio=1.4)) == {"train": 2, "dev": 2, "test": 2}


def test_long_evaluation_pairs_can_be_dropped():
    filters = Filters(max_target_tokens=6, drop_long_evaluation=True)
    assert sizes(filters) == {"train": 4, "dev": 2, "test": 1}


def test_truncation_comes_first_and_is_for_every_split():
    corpus = Filters(truncate_source=2, max_source_tokens=2)(CORPUS)
    assert len(corpus["train"]) == 5
    assert [example.source for example in corpus["dev"]] == ["s s", "s s"]


def test_nothing_left_says_where_and_what_to_relax():
    with pytest.raises(CorpusError, match=r"nothing is left of train .*5 pairs.*min_tokens=99"):
        Filters(min_tokens=99)(CORPUS)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_tokens": 0},
        {"max_ratio": 0.5},
        {"truncate_source": 0},
        {"drop_long_evaluation": True},
    ],
)
def test_settings_are_checked(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Filters(**settings)
