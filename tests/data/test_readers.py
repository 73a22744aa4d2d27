import gzip
import json
from pathlib import Path

import pytest

from seqrl.data.corpus import CorpusError, Example
from seqrl.data.hub import hub
from seqrl.data.jsonl import jsonl
from seqrl.data.preparation import natural_sentences
from seqrl.data.text import text


def write(folder: Path, **files: str | bytes) -> Path:
    """Files with these contents; `__` in a name stands for a dot."""
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def good(folder: Path) -> Path:
    return write(
        folder,
        train__de="a b\nc\n", train__en="A B\nC\n",
        dev__de="a\n", dev__en="A\n",
        test__de="c\n", test__en="C\n",
    )  # fmt: skip


def read(folder: Path, **settings: object):
    return text(data_dir=folder, source="de", target="en", **settings)


def message(function, *args, **kwargs) -> str:
    with pytest.raises(CorpusError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def test_text_pairs_lines_of_the_two_files(tmp_path):
    corpus = read(good(tmp_path))
    assert corpus == {
        "train": [Example("a b", ("A B",)), Example("c", ("C",))],
        "dev": [Example("a", ("A",))],
        "test": [Example("c", ("C",))],
    }


def test_text_reads_gz_windows_line_ends_byte_order_marks_and_unended_last_lines(tmp_path):
    good(tmp_path)
    (tmp_path / "dev.en").unlink()
    (tmp_path / "dev.en.gz").write_bytes(gzip.compress(b"A\n"))
    write(tmp_path, train__de=b"\xef\xbb\xbfa  b \r\nc", test__de="\tc\tx \n")
    corpus = read(tmp_path)
    assert [example.source for example in corpus["train"]] == ["a b", "c"]
    assert corpus["dev"][0].references == ("A",)
    assert corpus["test"][0].source == "c x"


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\x85", "\r"])
def test_only_newlines_separate_lines(tmp_path, separator):
    write(good(tmp_path), train__de=f"a{separator}b\nc\n")
    assert [e.source for e in read(tmp_path)["train"]] == [f"a{separator}b", "c"]


def test_further_and_natural_references(tmp_path):
    write(
        good(tmp_path),
        test__de="c\nd\n", test__en="c1\nd1\n", test__en__1="c2\n\n", test__en__2="c3\nd3\n",
        test__raw__en="C1.\nD1.\n",
    )  # fmt: skip
    first, second = read(tmp_path)["test"]
    assert first == Example("c", ("c1", "c2", "c3"), ("C1.",))
    assert second == Example("d", ("d1", "d3"), ("D1.",))


def test_moses_tokens_keep_the_natural_references(tmp_path):
    write(good(tmp_path), test__de="Ja, Anna.\n", test__en="She's here, Anna!\n")
    example = read(tmp_path, tokenize="moses", lowercase=True)["test"][0]
    assert example.source == "ja , anna ."
    assert example.references == ("she &apos;s here , anna !",)
    assert example.raw == ("She's here, Anna!",)
    assert read(tmp_path, natural=True)["test"][0].raw == ("She's here, Anna!",)
    assert read(tmp_path)["test"][0].raw == ()


def test_splits_can_be_chosen(tmp_path):
    good(tmp_path)
    (tmp_path / "train.de").unlink()
    assert set(read(tmp_path, splits=["test"])) == {"test"}


def test_all_problems_are_told_at_once(tmp_path):
    good(tmp_path)
    write(tmp_path, train__de="a\n\n\nb\n", train__en="A\nB\nC\nD\n")
    write(tmp_path, dev__de="a\nb\n")
    (tmp_path / "test.de").unlink()
    (tmp_path / "test.en").write_bytes(b"fine\n\xff\xfe\nfine\n\xe9\n")
    told = message(read, tmp_path)
    assert f"{tmp_path / 'train.de'} and train.en: an empty side in line 2, 3" in told
    assert f"{tmp_path / 'dev.de'} has 2 lines, {tmp_path / 'dev.en'} has 1 lines" in told
    assert f"{tmp_path / 'test.de'} (or test.de.gz) is missing; the folder holds dev.de" in told
    assert f"{tmp_path / 'test.en'}: not UTF-8 in line 2, 4" in told


def test_empty_sides_can_be_dropped(tmp_path):
    write(good(tmp_path), train__de="a\n\n\nb\n", train__en="A\nB\nC\n \n")
    assert read(tmp_path, drop_empty=True)["train"] == [Example("a", ("A",))]


def test_files_without_lines_and_damaged_archives(tmp_path):
    write(good(tmp_path), dev__de="", dev__en="")
    (tmp_path / "test.de").unlink()
    (tmp_path / "test.de.gz").write_bytes(gzip.compress(b"c\n" * 1000)[:-12])
    told = message(read, tmp_path)
    assert "no lines at all" in told
    assert "test.de.gz cannot be read" in told


def test_settings_that_are_missing_are_named(tmp_path):
    assert "task.data_dir=DIR" in message(read, None)
    assert "not a folder" in message(read, tmp_path / "nowhere")
    assert "task.source" in message(text, data_dir=tmp_path, source=None, target="en")
    with pytest.raises(ValueError, match="tokenize"):
        read(good(tmp_path), tokenize="spacy")


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def json_files(folder: Path, **changed: str) -> Path:
    plain = lines({"d": "a b", "s": "x"})
    files = {"train__jsonl": plain, "dev__jsonl": plain, "test__jsonl": plain}
    return write(folder, **{**files, **changed})


def read_json(folder: Path, **settings: object):
    return jsonl(data_dir=folder, source="d", target="s", **settings)


def test_jsonl_takes_texts_lists_and_a_field_of_further_references(tmp_path):
    records = [
        {"d": "a\nb", "s": ["x", "y", ""]},
        {"d": "c", "s": "z", "more": ["w", "v"]},
        {"d": ["e"], "s": "z", "more": None},
    ]
    json_files(tmp_path, test__jsonl=lines(*records[:2]) + "\n" + lines(records[2]))
    assert read_json(tmp_path, further="more")["test"] == [
        Example("a b", ("x", "y")),
        Example("c", ("z", "w", "v")),
        Example("e", ("z",)),
    ]
    assert read_json(tmp_path)["test"][1].references == ("z",)


def test_jsonl_gz_and_natural_text(tmp_path):
    json_files(tmp_path)
    (tmp_path / "dev.jsonl").rename(tmp_path / "dev.json")
    packed = gzip.compress(lines({"d": "It's", "s": ["So!", "Ah."]}).encode())
    (tmp_path / "dev.jsonl.gz").write_bytes(packed)
    example = read_json(tmp_path, tokenize="moses", lowercase=True)["dev"][0]
    assert example == Example("it &apos;s", ("so !", "ah ."), ("So!", "Ah."))


def test_line_breaks_are_blanks_or_separate_the_sentences_of_references(tmp_path):
    record = {"d": "One.\r\nTwo.", "s": ["It is. \n\nIt WAS.\r", "It."]}
    json_files(tmp_path, test__jsonl=lines(record))
    assert read_json(tmp_path, natural=True)["test"] == [
        Example("One. Two.", ("It is. It WAS.", "It."), ("It is.   It WAS.", "It.")),
    ]
    told_apart = read_json(tmp_path, sentences=True, tokenize="moses", lowercase=True)["test"]
    assert told_apart == [
        Example("one . two .", ("it is . <n> it was .", "it ."), ("It is.\nIt WAS.", "It.")),
    ]
    assert natural_sentences("<n> it is. <n> <n> it was. <n>") == "it is.\nit was."


def test_jsonl_problems_name_lines(tmp_path):
    broken = lines({"d": "a", "s": "x"}) + "{\n" + lines({"d": "a"}, [1], {"d": 3, "s": "x"})
    more = lines({"d": ["a", "b"], "s": "x"}, {"d": "a", "s": []}, {"d": "a", "s": ""})
    told = message(read_json, json_files(tmp_path, train__jsonl=broken + more, dev__jsonl=""))
    assert "not a JSON object in line 2, 4" in told
    assert "no field s (there are d) in line 3" in told
    assert "field d is neither a text nor a list of texts in line 5" in told
    assert "field d holds 2 texts, not one in line 6" in told
    assert "an empty side in line 7, 8" in told
    assert "dev.jsonl: no lines at all" in told


@pytest.mark.usefixtures("offline_cache")
def test_hub_loads_what_the_datasets_library_loads(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    record = lines({"en": "A dog.", "de": "Ein Hund."})
    write(folder, train__jsonl=record * 3, validation__jsonl=record, test__jsonl=record * 2)
    corpus = hub(path=str(folder), source="de", target="en", tokenize="moses", lowercase=True)
    assert {name: len(split) for name, split in corpus.items()} == {"train": 3, "dev": 1, "test": 2}
    assert corpus["dev"][0] == Example("ein hund .", ("a dog .",), ("A dog.",))
    told = message(hub, path=str(folder), source="fr", target="en")
    assert "no field fr (there are en, de) in row 1" in told
    (folder / "test.jsonl").unlink()
    told = message(hub, path=str(folder), source="de", target="en")
    assert f"the folder {folder} holds no split test that can be loaded" in told


@pytest.mark.usefixtures("offline_cache")
def test_hub_failures_name_the_address_and_the_way_around(tmp_path):
    told = message(hub, path=str(tmp_path / "nothing"), source="de", target="en")
    assert "https://huggingface.co/datasets/" in told
    assert "task.data_dir=DIR" in told
