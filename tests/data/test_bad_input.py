"""Forty and more kinds of bad corpora: each is an error that says all, or treated as documented.

docs/reliability.md has the table.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from seqrl.cli import data as data_command
from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.filters import Filters
from seqrl.data.jsonl import jsonl
from seqrl.data.task import Task
from seqrl.data.text import text
from seqrl.data.tokenizers import CharacterTokenizer, SentencePieceTokenizer, WordTokenizer

Content = str | bytes | None | Callable[[Path], object]
PARALLEL = {
    "train.de": "a b\nc\n", "train.en": "A B\nC\n",
    "dev.de": "a\n", "dev.en": "A\n",
    "test.de": "b\n", "test.en": "B\n",
}  # fmt: skip
LINE = '{"d": "a b", "s": "x"}\n'
LINES = {
    "train.jsonl": LINE,
    "dev.jsonl": '{"d": "b", "s": "x"}\n',
    "test.jsonl": '{"d": "a", "s": "x"}\n',
}


def write(folder: Path, plain: Mapping[str, Content], changes: Mapping[str, Content]) -> Path:
    """Files with these contents; none where that is None, else what a function makes."""
    for name, content in {**plain, **changes}.items():
        if callable(content):
            content(folder / name)
        elif content is not None:
            data = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(data)
    return folder


def task(read: Callable[[], Corpus], **settings: Any) -> Task:
    plain = {"source_tokenizer": WordTokenizer(), "target_tokenizer": WordTokenizer()}
    return Task(name="mine", corpus=read, **{"max_unknown": 1.0, **plain, **settings})


def prepared(folder: Path, *, settings: Mapping[str, Any] | None = None, **corpus: Any) -> Task:
    """The task of the files in a folder, everything read that a run reads, nothing left out."""
    is_json = (folder / "train.jsonl").exists()
    form: Callable[..., Corpus] = jsonl if is_json else text
    sides = {"source": "d", "target": "s"} if is_json else {"source": "de", "target": "en"}
    made = task(lambda: form(data_dir=folder, **{**sides, **corpus}), **(settings or {}))
    for split in ("train", "dev", "test"):
        made.split(split)
    assert made.fingerprint
    return made


def told(folder: Path, **settings: Any) -> str:
    """What is said of a corpus that is refused; nothing is written into its folder."""
    before = sorted(os.listdir(folder))
    with pytest.raises(CorpusError) as caught:
        prepared(folder, **settings)
    assert sorted(os.listdir(folder)) == before
    return str(caught.value)


def loop(path: Path) -> None:
    path.symlink_to(path)


def nothing(path: Path) -> None:
    path.symlink_to(path.with_name("gone"))


PACKED = gzip.compress(b"a b\nc\n" * 100, mtime=0)
REFUSED: dict[str, tuple[dict[str, Content], list[str]]] = {
    "a side longer than the other": (
        {"train.de": "a b\nc\nd\n"},
        [
            "misaligned: {0}/train.de has 3 lines, {0}/train.en has 2 lines; "
            "line n of each must belong to line n of the others"
        ],
    ),
    "an empty file": ({"dev.de": "", "dev.en": ""}, ["{0}/dev.de, {0}/dev.en: no lines at all"]),
    "one empty file": ({"dev.de": ""}, ["misaligned: {0}/dev.de has 0 lines"]),
    "empty lines": (
        {"train.de": "a\n\n\nb\n", "train.en": "A\nB\nC\n\n"},
        [
            "{0}/train.de and train.en: an empty side in line 2, 3, 4; remove these pairs "
            "(task=text and task=jsonl do so with task.corpus.drop_empty=true)"
        ],
    ),
    "a line of spaces": ({"train.en": "A\n \t \n"}, ["an empty side in line 2;"]),
    "more bad lines than can be shown": (
        {"train.de": "\n" * 15, "train.en": "A\n" * 15},
        ["an empty side in line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 5 more;"],
    ),
    "NUL": ({"train.de": b"a b\nc\0\n"}, ["{0}/train.de: NUL bytes in line 2; ", "tr -d '\\0'"]),
    "invalid UTF-8": (
        {"train.de": b"a b\n\xe9t\xe9\n"},
        ["{0}/train.de: not UTF-8 in line 2; convert it, e.g. iconv -f LATIN1 -t UTF-8"],
    ),
    "a character cut in two": ({"dev.de": "é\n".encode()[:1] + b"\n"}, ["dev.de: not UTF-8"]),
    "surrogates in UTF-8": ({"dev.de": b"\xed\xa0\x80\n"}, ["dev.de: not UTF-8 in line 1"]),
    "UTF-16": (
        {"train.de": "a b\nc\n".encode("utf-16")},
        ["{0}/train.de is UTF-16: convert it, iconv -f UTF-16 -t UTF-8"],
    ),
    "UTF-16 without its mark": (
        {"train.de": "a b\nc\n".encode("utf-16-le")},
        ["{0}/train.de: NUL bytes in line 1, 2, 3; ", "iconv -f UTF-16LE -t UTF-8"],
    ),
    "UTF-32": ({"train.de": "a b\nc\n".encode("utf-32")}, ["{0}/train.de is UTF-32"]),
    "carriage returns alone": (
        {"train.de": "a b\rc\r", "train.en": "A B\rC\r"},
        [
            "{0}/train.de: carriage returns alone end its lines; convert it: tr '\\r' '\\n'",
            "{0}/train.en: carriage returns alone",
        ],
    ),
    "a missing split": (
        {"test.de": None, "test.en": None},
        [
            "{0}/test.de (or test.de.gz) is missing; the folder holds dev.de, dev.en, ",
            "{0}/test.en (or test.en.gz) is missing",
        ],
    ),
    "a missing side": ({"train.en": None}, ["{0}/train.en (or train.en.gz) is missing"]),
    "a folder": ({"train.en": Path.mkdir}, ["{0}/train.en is a folder; put the file itself there"]),
    "a link to itself": ({"train.en": loop}, ["{0}/train.en is a link that leads to no file"]),
    "a link to nothing": ({"dev.en.gz": nothing, "dev.en": None}, ["dev.en.gz is a link that"]),
    "a pipe": ({"train.en": os.mkfifo}, ["{0}/train.en is no regular file"]),
    "gzip cut off": (
        {"train.de": None, "train.de.gz": PACKED[:-9]},
        ["{0}/train.de.gz cannot be read (", "replace it by a whole copy"],
    ),
    "gzip with a flipped byte": (
        {"train.de": None, "train.de.gz": PACKED[:-6] + b"\0\0" + PACKED[-4:]},
        ["{0}/train.de.gz cannot be read (CRC check failed"],
    ),
    "text called .gz": (
        {"train.de": None, "train.de.gz": "a b\nc\n"},
        ["{0}/train.de.gz is no gzip file: take .gz off its name, or fetch it again"],
    ),
    "nothing called .gz": ({"train.de": None, "train.de.gz": b""}, ["is no gzip file"]),
    "gzip not called .gz": (
        {"train.de": PACKED},
        ["{0}/train.de is packed by gzip: call it train.de.gz"],
    ),
    "another archive": (
        {"train.de": b"PK\x03\x04...", "train.en": b"\xfd7zXZ\0..."},
        ["{0}/train.de is packed by zip: unpack it", "{0}/train.en is packed by xz: unpack it"],
    ),
    "a gap among references": (
        {"test.en.1": "B\n", "test.en.3": "B\n", "dev.en.0.gz": b""},
        [
            "{0}: test.en.3 would not be read; further references are numbered test.en.1, "
            "test.en.2, ... without a gap",
            "{0}: dev.en.0.gz would not be read",
        ],
    ),
    "references out of step": (
        {"test.en.1": "B\nC\n"},
        ["misaligned: {0}/test.de has 1 lines, {0}/test.en has 1 lines, {0}/test.en.1 has 2 lines"],
    ),
    "an empty first reference": (
        {"test.en": "\n", "test.en.1": "B\n"},
        ["an empty side in line 1"],
    ),
    "names of special symbols alone": (
        {"train.en": "</s>\n<s> <unk> <pad>\n"},
        ["no word occurs 1 times in the training split; lower min_frequency"],
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_parallel_files_that_are_refused(kind: str, tmp_path: Path) -> None:
    changes, parts = REFUSED[kind]
    message = told(write(tmp_path, PARALLEL, changes))
    for part in parts:
        assert part.format(tmp_path) in message


REFUSED_LINES: dict[str, tuple[Content, str]] = {
    "a wrong field": ('{"doc": "a", "s": "x"}\n', "no field d (there are doc, s) in line 1"),
    "a thousand fields": (
        json.dumps({f"k{i}": i for i in range(1000)}) + "\n",
        "no field d, s (there are k0, k1, k2, k3, k4, k5, k6, k7, k8, k9 and 990 more) in line 1",
    ),
    "no object": (
        LINE + '["a", "x"]\n' + LINE,
        'not a JSON object in line 2; every line is to hold one, as in {"FIELD": "text", ...}',
    ),
    "one array": (
        json.dumps([{"d": "a", "s": "x"}], indent=0),
        "not a JSON object in line 1, 2, 3, 4, 5, 6; every line is to hold one",
    ),
    "a field that is no text": (
        '{"d": 3, "s": "x"}\n{"d": "a", "s": null}\n',
        "field d is neither a text nor a list of texts in line 1\n  - {0}/train.jsonl: "
        "field s is neither a text nor a list of texts in line 2",
    ),
    "a list of lists": ('{"d": "a", "s": [["x"]]}\n', "field s is neither a text nor a list"),
    "several sources": (
        '{"d": ["a", "b"], "s": "x"}\n',
        "field d holds 2 texts, not one in line 1",
    ),
    "no reference": (LINE + '{"d": "a", "s": []}\n', "an empty side in line 2"),
    "a last line cut off": (
        LINE * 2 + LINE[:-9],
        "not a JSON object in line 3, the last one; is the file whole?",
    ),
    "a field twice": (
        LINE + '{"d": "a", "s": "x", "d": "b"}\n',
        "field d stands there twice in line 2",
    ),
    "half a surrogate pair": (
        '{"d": "a\\ud83d", "s": "x"}\n',
        "field d holds '\\ud83d', which is no character in line 1",
    ),
    "an escaped NUL": (
        '{"d": "a", "s": ["\\u0000"]}\n',
        "field s holds '\\x00', which is no character",
    ),
    "a raw control character": ('{"d": "a\x1b", "s": "x"}\n', "not a JSON object in line 1"),
    "brackets without end": ("[" * 100_000 + "\n", "not a JSON object in line 1"),
    "a number of 5,000 digits": (
        '{"d": ' + "9" * 5000 + ', "s": "x"}\n',
        "field d is neither a text nor a list of texts in line 1",
    ),
    "empty lines alone": ("\n \n", "{0}/train.jsonl: no lines at all but empty ones"),
}


@pytest.mark.parametrize("kind", REFUSED_LINES)
def test_json_lines_that_are_refused(kind: str, tmp_path: Path) -> None:
    content, part = REFUSED_LINES[kind]
    message = told(write(tmp_path, LINES, {"train.jsonl": content}))
    assert f"{tmp_path / 'train.jsonl'}: " in message
    assert part.replace("{0}", str(tmp_path)) in message


def test_every_pair_may_be_left_out_of_a_split(tmp_path: Path) -> None:
    write(tmp_path, PARALLEL, {"dev.de": "\n \n", "dev.en": "A\nB\n"})
    assert f"{tmp_path / 'dev.de'} and dev.en: every pair has an empty side" in told(
        tmp_path, drop_empty=True
    )


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"max_source_tokens": 1, "min_tokens": 2}, "nothing is left of train after filtering"),
        (
            {"max_target_tokens": 1, "drop_long_evaluation": True},
            "nothing is left of dev after filtering (dev had 1 pairs); relax task.filters, which",
        ),
    ],
)
def test_everything_may_be_filtered_away(
    settings: dict[str, Any], part: str, tmp_path: Path
) -> None:
    write(tmp_path, PARALLEL, {"dev.en": "A B C\n"})
    assert part in told(tmp_path, settings={"filters": Filters(**settings)})


def test_a_reader_may_give_no_pairs() -> None:
    read = task(lambda: {"train": [Example("a", ("x",))], "dev": []})
    with pytest.raises(CorpusError, match="the corpus has no pairs at all for dev"):
        read.split("train")


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (5, "its characters alone, and the special symbols, are 12; change the tokenizer's"),
        (500, "SentencePiece cannot learn 500 pieces from the training split: it has text for at"),
    ],
)
def test_a_tokenizer_may_be_too_small_or_too_large(size: int, part: str, tmp_path: Path) -> None:
    write(tmp_path, PARALLEL, {"train.de": "a b c d e\nf g h i\n"})
    tokenizer = SentencePieceTokenizer(vocabulary_size=size)
    assert part in told(tmp_path, settings={"source_tokenizer": tokenizer})


def test_a_vocabulary_may_miss_most_of_dev(tmp_path: Path) -> None:
    write(tmp_path, PARALLEL, {"dev.de": "x y\n"})
    message = told(tmp_path, settings={"max_unknown": 0.3})
    assert "100% of the dev split's source tokens are unknown to the vocabulary of 5" in message


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"data_dir": "~nobody-here/x"}, "task.data_dir=~nobody-here/x is not a folder"),
        ({"data_dir": "x" * 5000}, "is not a folder; name the corpus's folder"),
        ({"source": "x" * 300}, "is missing; the folder holds"),
    ],
)
def test_names_may_be_impossible(settings: dict[str, str], part: str, tmp_path: Path) -> None:
    write(tmp_path, PARALLEL, {})
    with pytest.raises(CorpusError) as caught:
        text(**{"data_dir": tmp_path, "source": "de", "target": "en", **settings})
    assert part in str(caught.value)


def test_a_file_may_be_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, PARALLEL, {})
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "train.de":
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert f"{tmp_path / 'train.de'} cannot be read ([Errno 13] Permission denied" in told(tmp_path)


def test_a_folder_may_be_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("seqrl.data.files.os.listdir", refuse)
    with pytest.raises(CorpusError, match=r"train\.de.* the folder cannot be read \(Permission"):
        text(data_dir=tmp_path, source="de", target="en")


TREATED: dict[str, tuple[dict[str, Content], list[str]]] = {
    "a mark of byte order": ({"train.de": b"\xef\xbb\xbfa b\nc\n"}, ["a b", "c"]),
    "two of them": ({"train.de": b"\xef\xbb\xbf\xef\xbb\xbfa b\nc\n"}, ["a b", "c"]),
    "CRLF": ({"train.de": b"a b\r\nc\r\n"}, ["a b", "c"]),
    "CRLF in one side and a last line without end": ({"train.de": b"a b\r\nc"}, ["a b", "c"]),
    "gzip in two parts": (
        {"train.de": None, "train.de.gz": gzip.compress(b"a b\n") + gzip.compress(b"c\n")},
        ["a b", "c"],
    ),
    "a file beside its .gz": ({"train.de.gz": gzip.compress(b"old\n")}, ["a b", "c"]),
    "tabs and rows of blanks": ({"train.de": "a \t\t  b \nc\t\n"}, ["a b", "c"]),
    **{
        f"{ord(mark):04X} inside a line": ({"train.de": f"a{mark}b\nc\n"}, [f"a{mark}b", "c"])
        for mark in ("\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r", "\u00a0")
    },
    "two normal forms": ({"train.de": "e\u0301\n\u00e9\n"}, ["e\u0301", "\u00e9"]),
    "marks of direction": ({"train.de": "\u200fa\u202e b\nc\n"}, ["\u200fa\u202e b", "c"]),
    "a megabyte of words": ({"train.de": "a " * 500_000 + "\nc\n"}, ["a " * 499_999 + "a", "c"]),
    "a word of a megabyte": ({"train.de": "a" * 1_000_000 + "\nc\n"}, ["a" * 1_000_000, "c"]),
    "names of special symbols": ({"train.de": "a </s> <pad>\nc\n"}, ["a </s> <pad>", "c"]),
    "one sentence": ({"train.de": "a\n", "train.en": "A\n"}, ["a"]),
}


@pytest.mark.parametrize("kind", TREATED)
def test_lines_that_are_taken_as_documented(kind: str, tmp_path: Path) -> None:
    changes, sources = TREATED[kind]
    made = prepared(write(tmp_path, PARALLEL, changes))
    train = made.corpus["train"]
    assert [example.source for example in train] == sources
    assert [example.references[0] for example in train] == ["A B", "C"][: len(sources)] or (
        kind == "one sentence" and train[0].references == ("A",)
    )
    assert [example.line for example in train] == list(range(1, len(sources) + 1))


def test_names_of_special_symbols_are_unknown_words(tmp_path: Path) -> None:
    made = prepared(write(tmp_path, PARALLEL, TREATED["names of special symbols"][0]))
    unk = made.source_tokenizer.specials.unk
    assert [token == unk for token in made.split("train").sources[0]] == [False, True, True]
    characters = prepared(tmp_path, settings={"source_tokenizer": CharacterTokenizer()})
    assert (
        characters.source_tokenizer.decode(characters.split("train").sources[0]) == "a </s> <pad>"
    )
    pieces = SentencePieceTokenizer(vocabulary_size=9)
    split = prepared(tmp_path, settings={"source_tokenizer": pieces}).split("train")
    assert not {pieces.specials.pad, pieces.specials.eos} & set(split.sources[0])


def test_absent_references_differ_in_number(tmp_path: Path) -> None:
    more = {"test.de": "a\nb\n", "test.en": "A\nB\n", "test.en.1": "\nX\n", "test.en.2": "Y\n \n"}
    made = prepared(write(tmp_path, PARALLEL, more))
    assert [e.references for e in made.corpus["test"]] == [("A", "Y"), ("B", "X")]


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"test.de": "x\nc\nc\n", "test.en": "X\nD\nC\n", "train.de": "a b\nc\nc\n"}
            | {"train.en": "A B\nC\nC\n"},
            "task mine: 1 of 3 test pairs stand in train too, e.g. line 3 of test, which is line 2 "
            "of train: scores on them say nothing of other text",
        ),
        (
            {"dev.de": "c\n", "dev.en": "X\n", "dev.en.1": "C\n"},
            "task mine: 1 of 1 dev pairs stand in train too, e.g. line 1 of dev, which is line 2 "
            "of train: scores on them say nothing of other text",
        ),
        (
            {"train.en": "a b\nc\n"},
            "task mine: 2 of 2 train pairs have equal sides, e.g. line 1 of train: "
            "is one of the files the other's copy?",
        ),
        (
            {"train.en": "A B\n" + "C" * 10_001 + "\n"},
            "task mine: 1 of 2 train pairs have more than 10,000 characters on a side, e.g. line 2 "
            "of train: leave them out with task.filters.max_source_tokens and max_target_tokens, "
            "or memory may not suffice",
        ),
        (
            {"train.de": "a\x1b[2J b\nc\x85\n"},
            "{0}/train.de and train.en: control characters in line 1, 2; "
            "they are kept as parts of words",
        ),
        (
            {"train.en": "A B\n\ufeffC\n"},
            "{0}/train.de and train.en: control characters in line 2; "
            "they are kept as parts of words",
        ),
    ],
    ids=["trained on", "with a further reference", "copied", "long", "control", "mark inside"],
)
def test_what_is_doubtful_is_said_once(
    changes: dict[str, Content], expected: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = prepared(write(tmp_path, PARALLEL, changes))
    made.split("test")
    assert made.corpus
    assert warned(caplog) == [expected.replace("{0}", str(tmp_path))]


def test_what_is_left_out_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    changes = {"train.de": "a b\nc\n\n", "train.en": "A B\nC\nD\n"}
    settings = {"filters": Filters(max_source_tokens=1)}
    write(tmp_path, PARALLEL, changes)
    prepared(tmp_path, settings=settings, drop_empty=True)
    assert warned(caplog) == [
        f"{tmp_path / 'train.de'} and train.en: left out for an empty side: line 3",
        "task mine: task.filters leave out 1 of 2 train pairs",
    ]


def test_nothing_is_said_of_a_good_corpus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prepared(write(tmp_path, PARALLEL, {"train.en": "a\nC\n"}))  # an equal pair, no copied file
    assert warned(caplog) == []


def test_pairs_without_lines_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    one, two = Example("a", ("x",)), Example("b", ("y",))
    task(lambda: {"train": [one, two], "dev": [two], "test": [Example("b", ("x",))]}).split("dev")
    assert warned(caplog) == [
        "task mine: 1 of 1 dev pairs stand in train too, e.g. pair 1 of dev, which is pair 2 of "
        "train: scores on them say nothing of other text"
    ]


def test_the_doctor_tells_letters_from_composed_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, PARALLEL, TREATED["two normal forms"][0])
    assert data_command.main(["doctor", str(tmp_path), "--source", "de", "--target", "en"]) == 0
    assert (
        "train: letters and their accents stand apart in line 1 (not NFC); "
        "they differ from those that are one character"
    ) in capsys.readouterr().out.splitlines()
