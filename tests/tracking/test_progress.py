"""The display: what it says, how often, and that text from a corpus cannot steer it."""

from __future__ import annotations

import io
import math
import mmap
import re
import sys

import pytest

import seqrl.tracking.progress as progress_module
from seqrl.tracking.progress import Progress, duration, number, printable, resident_bytes


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def strftime(self, _: str) -> str:
        return "12:00:00"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(progress_module, "time", clock)
    monkeypatch.setattr(progress_module, "memory", lambda: "1.5 GiB")
    return clock


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "150")
    return Terminal()


def screen(terminal: Terminal) -> str:
    """What was written, without the sequences that move and colour."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())


def test_plain_lines_come_at_their_interval(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, interval=10)
    progress.start("actor", total=1000, done=0)
    for step in range(1, 31):
        clock.now += 1
        progress.advance(step, {"loss": 2 / step, "tokens/s": 12345.6})
    assert stream.getvalue().splitlines() == [
        "12:00:00  actor 0/1000 0%  ETA -:--:--  1.5 GiB",
        "12:00:00  actor 10/1000 1%  loss 0.2  tokens/s 12,346  ETA 0:16:30  1.5 GiB",
        "12:00:00  actor 20/1000 2%  loss 0.1  tokens/s 12,346  ETA 0:16:20  1.5 GiB",
        "12:00:00  actor 30/1000 3%  loss 0.06667  tokens/s 12,346  ETA 0:16:10  1.5 GiB",
    ]


def test_a_dev_score_is_shown_at_once_and_stays(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, interval=10)
    progress.start("actor", total=10, done=0)
    progress.advance(1, {"loss": 3.0})
    progress.advance(2, {"dev/bleu": 23.14})
    progress.advance(3, {})
    progress.finish()
    lines = stream.getvalue().splitlines()[1:]
    assert [line.split("  ")[1:4] for line in lines] == [
        ["actor 2/10 20%", "loss 3", "dev/bleu 23.14"],
        ["actor 3/10 30%", "loss 3", "dev/bleu 23.14"],
    ]
    assert clock.now == 1000


def test_the_rest_of_a_resumed_stage_is_estimated_from_its_own_speed(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, interval=5)
    progress.start("critic", total=1000, done=900)
    clock.now += 20
    progress.advance(910, {})
    assert "critic 910/1000 91%  ETA 0:03:00" in stream.getvalue()


def test_stages_follow_each_other_with_their_own_values(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.start("actor", total=2, done=0)
    progress.advance(2, {"loss": 1.0})
    clock.now += 1
    progress.start("critic", total=4, done=0)
    progress.finish()
    progress.finish()
    stages = [line.split("  ")[1] for line in stream.getvalue().splitlines()]
    assert stages == ["actor 0/2 0%", "actor 2/2 100%", "critic 0/4 0%"]
    assert "loss" not in stream.getvalue().splitlines()[-1]


def test_a_terminal_gets_one_bar_with_all_that_is_known(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=200, done=0)
    for step in range(1, 101):
        clock.now += 0.1
        progress.advance(step, {"loss": 0.5, "reward": 31.25})
    progress.finish()
    last = screen(terminal).rstrip("\n").splitlines()[-1]
    assert re.search(r"joint .* 100/200 +loss 0\.5  reward 31\.25  ETA 0:00:10  1\.5 GiB", last)
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is shown again"


def test_the_bar_is_drawn_a_few_times_a_second(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=10_000, done=0)
    for step in range(10_000):
        clock.now += 0.001
        progress.advance(step, {})
    assert 30 <= terminal.getvalue().count("joint") <= 50


def test_messages_stand_above_the_bar_as_they_are(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=10, done=0)
    progress.message("[bold]not markup[/bold] :smile: " + "word " * 60 + "end\nevil \x1b[2J\x07")
    progress.finish()
    shown = screen(terminal)
    assert "[bold]not markup[/bold] :smile: " in shown
    assert "word end\n" in shown
    assert r"evil \x1b[2J\x07" in shown
    assert "\x1b[2J" not in terminal.getvalue()
    assert clock.now == 1000


def test_a_long_line_does_not_break_the_bar(
    clock: Time, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    progress = Progress(stream=terminal)
    progress.start("joint", total=10, done=0)
    progress.advance(1, {f"dev/metric{index}": 1.0 for index in range(20)})
    assert all(len(line) <= 80 for line in screen(terminal).replace("\r", "\n").splitlines())
    assert "…" in screen(terminal)
    assert clock.now == 1000


def test_a_dumb_terminal_gets_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    progress = Progress(stream=terminal)
    progress.start("actor", total=1, done=0)
    progress.finish()
    assert "\x1b" not in terminal.getvalue()


def test_an_ascii_stream_gets_escapes_and_no_error() -> None:
    raw = io.BytesIO()
    progress = Progress(stream=io.TextIOWrapper(raw, encoding="ascii"))
    progress.start("größe", total=1, done=0)
    progress.message("Grüße 你好 \udc80")
    assert b"gr\\xf6\\xdfe 0/1" in raw.getvalue()
    assert b"Gr\\xfc\\xdfe \\u4f60\\u597d \\udc80\n" in raw.getvalue()


class Broken(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal
        self.is_broken = False

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        if self.is_broken:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_display_that_breaks_stops_nothing(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Broken(is_terminal)
    stdout = sys.stdout
    progress = Progress(stream=stream)
    progress.start("actor", total=10, done=0)
    stream.is_broken = True
    progress.advance(1, {"dev/bleu": 1.0})
    progress.message("text")
    progress.finish()
    progress.start("critic", total=10, done=0)
    progress.finish()
    print("still written")
    assert sys.stdout is stdout


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="interval must be positive, not 0"):
        Progress(interval=0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Zwölf Boxkämpfer, 你好, नमस्ते, مرحبا ▁a@@", "Zwölf Boxkämpfer, 你好, नमस्ते, مرحبا ▁a@@"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("bell\x07 back\x08 csi\x9b31m del\x7f", r"bell\x07 back\x08 csi\x9b31m del\x7f"),
        ("a\r\nb\u2028c", r"a\r\nb\u2028c"),
        ("\u202eright to left", r"\u202eright to left"),
        ("\ufeffmark \udcff", r"\ufeffmark \udcff"),
        (
            "tab\tnbsp\u00a0wide\u3000zwnj\u200czwj\u200d",
            "tab\tnbsp\u00a0wide\u3000zwnj\u200czwj\u200d",
        ),
    ],
)
def test_text_from_a_corpus_cannot_steer_a_terminal(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.042134, "0.04213"),
        (23.1, "23.1"),
        (12345.6, "12,346"),
        (-1500, "-1,500"),
        (1e-7, "1e-07"),
        (3e12, "3e+12"),
        (math.nan, "nan"),
        (0, "0"),
    ],
)
def test_numbers_are_short(value: float, expected: str) -> None:
    assert number(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0:00:00"), (59.6, "0:01:00"), (3661, "1:01:01"), (360_000, "100:00:00")],
)
def test_durations_have_hours_minutes_seconds(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_the_resident_set_grows_with_what_is_held() -> None:
    before = resident_bytes()
    with mmap.mmap(-1, 200_000_000) as held:  # pages that no earlier test has freed
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1
        assert 150_000_000 < resident_bytes() - before < 250_000_000
