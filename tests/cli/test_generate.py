"""`seqrl-generate`, on a run that was really trained: its corpus is not needed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqrl.cli.generate import main, portions, read_lines
from seqrl.cli.runs import RunError


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy whose configuration names a corpus that is gone."""
    copy = Path(shutil.copytree(tiny_run, tmp_path / "seed1"))
    config = copy / "config.yaml"
    lines = config.read_text().splitlines()
    gone = [line.split("data_dir:")[0] + "data_dir: /gone" for line in lines if "data_dir:" in line]
    assert len(gone) == 2
    others = iter(gone)
    config.write_text("\n".join(next(others) if "data_dir:" in x else x for x in lines) + "\n")
    return copy


class Input(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")


@pytest.fixture
def answer(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> object:
    """Runs the command on some input; the output."""

    def command(data: bytes, *arguments: str) -> bytes:
        monkeypatch.setattr(sys, "stdin", Input(data))
        assert main([str(run), *arguments]) == 0
        shown = capfdbinary.readouterr()
        assert shown.err == b""
        return shown.out

    return command


def test_one_line_out_for_each_line_in_in_order(answer: object, run: Path, tiny_data: Path) -> None:
    assert callable(answer)
    sources = (tiny_data / "test.de").read_bytes()
    expected = (run / "test.hyp.txt").read_bytes()
    assert answer(sources) == expected
    assert answer(sources, "--lines", "4") == expected
    assert answer(sources.rstrip(b"\n")) == expected
    assert answer(sources.replace(b"\n", b"\r\n")) == expected
    assert len(set(expected.splitlines())) > 2


def test_empty_lines_have_empty_outputs(answer: object) -> None:
    assert callable(answer)
    alone = answer(b"a b\n")
    assert alone.strip()
    assert answer(b"\na b\n \n\na  b\n") == b"\n" + alone + b"\n\n" + alone
    assert answer(b"\n\n") == b"\n\n"
    assert answer(b"") == b""


def test_a_mark_of_byte_order_is_no_part_of_the_first_word(answer: object) -> None:
    assert callable(answer)
    assert answer("\ufeffa b\n".encode()) == answer(b"a b\n")


def test_a_space_of_unicode_is_a_part_of_its_word_as_in_training(answer: object) -> None:
    assert callable(answer)
    assert answer("a\u00a0b c\n".encode()) == answer(b"unknown c\n")


def test_control_characters_reach_files_and_no_terminal(
    run: Path, monkeypatch: pytest.MonkeyPatch, answer: object
) -> None:
    path = run / "tokenizers" / "target" / "tokenizer.json"
    state = json.loads(path.read_text())
    evil = [f"{symbol}\x1b[2J" if symbol in "uvwxyz" else symbol for symbol in state["symbols"]]
    path.write_text(json.dumps(state | {"symbols": evil}))
    assert callable(answer)
    exact = answer(b"a b\n").decode()
    assert "\x1b[2J" in exact
    outer, inner = os.openpty()
    with os.fdopen(inner, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert answer(b"a b\n") == b""
        read = os.read(outer, 4096).decode()
    os.close(outer)
    assert read == exact.replace("\x1b", r"\x1b").replace("\n", "\r\n")


def test_unknown_words_and_separators_of_unicode_are_no_lines(answer: object) -> None:
    assert callable(answer)
    assert answer("ü\u2028a\x0c\x85b\n".encode()).count(b"\n") == 1


def test_stage_and_decoding_can_be_chosen(answer: object, run: Path, tiny_data: Path) -> None:
    assert callable(answer)
    sources = (tiny_data / "test.de").read_bytes()
    actor = run / "checkpoints" / "actor" / "test.greedy.hyp.txt"
    assert answer(sources, "stage=actor") == actor.read_bytes()
    assert answer(b"a b c d\n", "decoding.max_length=1") == b"\n"
    assert answer(sources, "decoding=beam5", "decoding.size=1") == answer(sources)


def test_input_is_prepared_as_asked(answer: object) -> None:
    assert callable(answer)
    plain = answer(b"a b c\n")
    assert answer(b"A b C\n", "--lowercase") == plain
    assert answer(b"A b C\n") != plain or answer(b"X b X\n") == answer(b"A b C\n")
    # Moses parts the comma from its word, which leaves one unknown token between two words
    assert answer(b"a, b\n", "--tokenize", "moses") == answer(b"a , b\n")


def test_natural_outputs_need_no_tokens_to_be_put_together(answer: object) -> None:
    assert callable(answer)
    assert answer(b"a b c\n", "--natural") == answer(b"a b c\n")  # detokenize: none


def test_bytes_that_are_no_text_are_named_by_their_line() -> None:
    with pytest.raises(RunError, match="line 2 of the input is not UTF-8"):
        list(read_lines(io.BytesIO(b"fine\n\xff\n")))


def test_lines_are_read_in_portions() -> None:
    assert list(portions("abcde", 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(portions("", 2)) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["task.source=x"], "task.source=x: cannot be changed here"),
        (["stage=critic"], "critic delivers no policy"),
        (["--lines", "0"], "--lines must be at least 1, not 0"),
    ],
)
def test_mistakes(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main([str(run), *arguments]) == 2
    shown = capsys.readouterr()
    assert told in shown.err
    assert shown.out == ""


def test_a_reader_that_stops_early_is_no_error(run: Path) -> None:
    command = "import sys; from seqrl.cli.generate import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", command, str(run), "--lines", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write(b"a b\n" * 3)
    process.stdin.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
