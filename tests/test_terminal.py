"""Text on its way to a terminal, and to files and pipes."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from seqrl.terminal import Messages, printable, say, shown

EVIL = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb"
HARMLESS = r"a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zwölf Boxkämpfer, 你好, नमस्ते, مرحبا ▁a@@", "Zwölf Boxkämpfer, 你好, नमस्ते, مرحبا ▁a@@"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("bell\x07 back\x08 csi\x9b31m del\x7f", r"bell\x07 back\x08 csi\x9b31m del\x7f"),
        ("a\r\nb\u2028c", r"a\r\nb\u2028c"),
        ("\u202eright to left\u200f", r"\u202eright to left\u200f"),
        ("\ufeffmark \udcff", r"\ufeffmark \udcff"),
        (
            "tab\tnbsp\u00a0wide\u3000zwnj\u200czwj\u200d",
            "tab\tnbsp\u00a0wide\u3000zwnj\u200czwj\u200d",
        ),
    ],
)
def test_text_from_a_corpus_cannot_steer_a_terminal(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.fixture
def terminal() -> Iterator[tuple[io.TextIOWrapper, Callable[[], str]]]:
    """A stream to a pseudo-terminal, and what has come out of it so far."""
    outer, inner = os.openpty()
    with os.fdopen(inner, "w", encoding="utf-8", newline="\n") as stream:
        yield stream, lambda: os.read(outer, 1 << 16).decode().replace("\r\n", "\n")
    os.close(outer)


def test_a_terminal_gets_visible_escapes_and_its_lines(
    terminal: tuple[io.TextIOWrapper, Callable[[], str]],
) -> None:
    stream, out = terminal
    say(f"{EVIL}\nzwei\tübrig", stream, flush=True)
    assert out() == f"{HARMLESS}\nzwei\tübrig\n"
    logger = logging.getLogger("seqrl.test")
    handler = Messages(stream)
    logger.addHandler(handler)
    try:
        logger.warning("%s in %s", EVIL, "train.de")
    finally:
        logger.removeHandler(handler)
    assert out() == f"{HARMLESS} in train.de\n"


def test_files_and_pipes_get_the_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(EVIL, io.StringIO()) == EVIL
    say(ValueError(EVIL))
    assert capsys.readouterr().out == f"{EVIL}\n"


def test_a_message_has_nothing_before_it() -> None:
    """Whoever sets up logging: `basicConfig` has a form of its own for handlers without one."""
    program = (
        "import logging, sys; from seqrl.terminal import Messages; "
        "logging.basicConfig(handlers=[Messages(sys.stdout)]); logging.warning('said')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"said\n", b"")
