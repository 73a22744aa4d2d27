"""Documents with summaries: e-mails with subject lines, news with one sentence or highlights."""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import yaml

from seqrl.cli.configuration import conf_folder
from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.filters import Filters
from seqrl.data.summaries import summaries
from seqrl.data.task import Task
from seqrl.data.tokenizers import SentencePieceTokenizer, Tokenizer

SPLITS = {"train": "train", "dev": "validation", "test": "test"}
NEWS = [
    {
        "article": f"Story {n} is long. It goes on and on.",
        "highlights": f"Story {n} .\nIt goes on .",
    }
    for n in range(3)
]


def json_lines(folder: Path, **splits: Sequence[dict[str, Any]]) -> Path:
    for split, records in splits.items():
        data = "".join(json.dumps(record) + "\n" for record in records).encode()
        (folder / f"{split}.jsonl.gz").write_bytes(gzip.compress(data))
    return folder


def parquet(folder: Path, records: Sequence[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True)
    for name in SPLITS.values():
        table = pyarrow.Table.from_pylist(list(records))
        pyarrow.parquet.write_table(table, folder / f"{name}-00000-of-00001.parquet")
    return folder


def corpus_of(task: str, **settings: Any) -> Corpus:
    """What the shipped configuration of a task reads, with some settings changed."""
    described = yaml.safe_load((conf_folder() / "task" / f"{task}.yaml").read_text())
    base = described["defaults"][0]
    node: dict[str, Any] = {}
    if isinstance(base, str):
        node = yaml.safe_load((conf_folder() / "task" / f"{base}.yaml").read_text())["corpus"]
    node |= described["corpus"]
    node |= {"source": described["source"], "target": described["target"]} | settings
    return summaries(**{name: value for name, value in node.items() if name[0] != "_"})


def test_subject_lines_have_those_of_other_people_as_further_references(tmp_path: Path) -> None:
    mail = {"document": "Hi Ann, see EB3267's list.", "summary": "EB List"}
    more = mail | {"annotations": ["the list", "List for Ann", "see it"]}
    json_lines(tmp_path, train=[mail, mail], dev=[more], test=[more])
    corpus = corpus_of("aeslc", data_dir=tmp_path)
    assert (
        corpus["train"] == [Example("hi ann, see eb3267's list.", ("eb list",), ("EB List",))] * 2
    )
    words = corpus_of("aeslc", data_dir=tmp_path, tokenize="moses")
    assert words["train"][0].source == "hi ann , see eb3267 &apos;s list ."
    assert corpus["dev"] == corpus["test"]
    assert corpus["dev"][0].references == ("eb list", "the list", "list for ann", "see it")
    assert corpus["dev"][0].raw == ("EB List", "the list", "List for Ann", "see it")


@pytest.mark.usefixtures("offline_cache")
def test_columns_of_the_hub_have_names_of_their_own(tmp_path: Path) -> None:
    record = {"email_body": "Hi Ann.", "subject_line": "Hi"}
    folder = parquet(tmp_path / "hub" / "data", [record])
    expected = [Example("hi ann.", ("hi",), ("Hi",))]
    for settings in ({"data_dir": folder}, {"data_dir": None, "path": str(folder)}):
        corpus = corpus_of("aeslc", **settings)
        assert corpus == {"train": expected, "dev": expected, "test": expected}


@pytest.mark.usefixtures("offline_cache")
@pytest.mark.parametrize("form", ["lines", "parquet"])
def test_highlights_keep_their_ends(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "news"
    if form == "parquet":
        parquet(folder, NEWS)
    else:
        folder.mkdir()
        json_lines(folder, train=NEWS, dev=NEWS, test=NEWS)
    corpus = corpus_of("cnn_dailymail", data_dir=folder)
    assert {name: len(split) for name, split in corpus.items()} == dict.fromkeys(SPLITS, 3)
    assert corpus["test"][1] == Example(
        "story 1 is long. it goes on and on.",
        ("story 1 . <n> it goes on .",),
        ("Story 1 .\nIt goes on .",),
    )


@pytest.mark.usefixtures("offline_cache")
def test_a_summary_of_one_sentence(tmp_path: Path) -> None:
    records = [
        {"document": "One.\nTwo.", "summary": "Both.", "id": "1"},
        {"document": "", "summary": "Nothing.", "id": "2"},
    ]
    corpus = corpus_of("xsum", data_dir=parquet(tmp_path / "x", records))
    assert corpus["train"] == [Example("one. two.", ("both.",), ("Both.",))]


def test_the_numbers_of_pairs_are_told_beside_the_expected_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = {"document": "a", "summary": "b"}
    json_lines(tmp_path, train=[record] * 3, dev=[record], test=[record])
    with caplog.at_level(logging.INFO):
        corpus_of("xsum", data_dir=tmp_path)
    assert "train 3 pairs (expected 204,045, -204,042), dev 1 pairs" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        corpus_of("xsum", data_dir=tmp_path, expected=None)
    assert not caplog.text


def test_a_folder_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(CorpusError, match=r"neither train\.jsonl, .*\.parquet; .* notes\.txt"):
        corpus_of("xsum", data_dir=tmp_path)
    json_lines(tmp_path, train=[{"text": "a", "summary": "b"}])
    with pytest.raises(CorpusError) as caught:
        corpus_of("xsum", data_dir=tmp_path)
    assert "no field document (there are text, summary) in line 1" in str(caught.value)
    assert "dev.jsonl (or dev.jsonl.gz) is missing" in str(caught.value)


@pytest.mark.usefixtures("offline_cache")
def test_without_a_network_the_way_around_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"data_dir=DIR"):
        summaries(path=str(tmp_path / "none"), source="document", target="summary")


def test_a_task_of_summaries_cuts_documents_and_separates_sentences(tmp_path: Path) -> None:
    """One vocabulary of pieces, fitted on both sides of train, in which <n> is one."""
    folder = json_lines(tmp_path, train=NEWS, dev=NEWS, test=NEWS)

    def read() -> Corpus:
        return corpus_of("cnn_dailymail", data_dir=folder)

    task = Task(
        name="news",
        corpus=read,
        target_tokenizer=SentencePieceTokenizer(vocabulary_size=22, symbols=["<n>"]),
        filters=Filters(truncate_source=4),
    )
    assert task.source_tokenizer is task.target_tokenizer
    assert task.split("test").examples[0].source == "story 0 is long."
    tokenizer = task.target_tokenizer
    (reference,) = task.split("test").references[0]
    pieces = tokenizer.tokens(reference)
    assert pieces.count("\u2581<n>") == 1
    assert tokenizer.decode(reference) == "story 0 . <n> it goes on ."
    again = Tokenizer.from_state(tokenizer.state())
    assert again.tokens(again.encode("it <n> it")).count("\u2581<n>") == 1


@pytest.mark.skipif("SEQRL_DATA" not in os.environ, reason="SEQRL_DATA is not set")
def test_the_real_subject_lines() -> None:
    folder = Path(os.environ["SEQRL_DATA"]) / "aeslc"
    corpus = corpus_of("aeslc", data_dir=folder)
    assert {name: len(split) for name, split in corpus.items()} == {
        "train": 14_436, "dev": 1_960, "test": 1_906
    }  # fmt: skip
    numbers = {name: Counter(len(e.references) for e in split) for name, split in corpus.items()}
    assert numbers == {"train": {1: 14_436}, "dev": {4: 1_960}, "test": {4: 1_906}}
    assert all(len(e.raw) == len(e.references) for split in corpus.values() for e in split)
