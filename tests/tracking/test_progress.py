"""The display: what it says, how often, and that text from a corpus cannot steer it."""

from __future__ import annotations

import io
import math
import mmap
import re
import sys

import pytest

import seqrl.tracking.progress as progress_module
from seqrl.tracking.progress import Measure, Progress, duration, number, resident_bytes


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def strftime(self, _: str) -> str:
        return "12:00:00"


def values(**named: float) -> Measure:
    return lambda: named


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
    progress.start("actor", total=1000)
    for step in range(1, 31):
        clock.now += 1
        progress.advance(step, 12345, values(loss=2 / step))
    assert stream.getvalue().splitlines() == [
        "12:00:00  actor 0/1000 0%  ETA -:--:--  1.5 GiB",
        "12:00:00  actor 10/1000 1%  ETA 0:16:30  12,345 tok/s  loss 0.2  1.5 GiB",
        "12:00:00  actor 20/1000 2%  ETA 0:16:20  12,345 tok/s  loss 0.1  1.5 GiB",
        "12:00:00  actor 30/1000 3%  ETA 0:16:10  12,345 tok/s  loss 0.0667  1.5 GiB",
    ]


def test_what_is_measured_is_asked_for_only_when_it_is_shown(clock: Time) -> None:
    progress = Progress(stream=io.StringIO(), interval=10)
    progress.start("actor", total=1000)
    asked = []
    for step in range(1, 101):
        clock.now += 0.5
        progress.advance(step, 10, lambda step=step: asked.append(step) or {})  # type: ignore[misc]
    assert asked == [20, 40, 60, 80, 100]


def test_a_validation_has_a_line_and_its_chosen_score_stays(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, interval=10)
    progress.start("actor", total=10)
    progress.advance(2, 10, values(loss=3.0))
    progress.validated(2, {"wer": 50.0, "per": 13.456, "length_ratio": 0.98923}, "per")
    clock.now += 10
    progress.advance(3, 10, values(loss=2.0))
    progress.validated(4, {"td_error": 0.5}, "return_error")
    progress.finish()
    assert stream.getvalue().splitlines()[1:] == [
        "12:00:00  actor 2/10 20%  dev per 13.46 wer 50 length_ratio 0.9892",
        "12:00:00  actor 3/10 30%  ETA 0:00:23  2 tok/s  loss 2  dev per 13.46  1.5 GiB",
        "12:00:00  actor 4/10 40%  dev td_error 0.5",
        "12:00:00  actor 4/10 40%  ETA 0:00:15  2 tok/s  loss 2  1.5 GiB",
    ]


def test_an_ordinary_line_fits_into_120_columns(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.start("joint", total=2880)
    progress.validated(1, {"bleu": 81.46, "sacrebleu": 22.17, "nll": 1.234}, "bleu")
    clock.now += 60
    progress.advance(1440, 500_000, values(loss=-12.3456, critic=0.123456, reward=0.312345))
    assert len(stream.getvalue().splitlines()[-1]) <= 120


def test_the_speed_is_that_of_late(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, interval=10)
    progress.start("actor", total=1000)
    for step in range(1, 41):
        clock.now += 10
        progress.advance(step, 1000 if step <= 20 else 100, dict)
    speeds = [line.split("  ")[3] for line in stream.getvalue().splitlines()[1:]]
    assert (speeds[19], speeds[27], speeds[39]) == ("100 tok/s", "10 tok/s", "10 tok/s")


def test_the_rest_of_a_resumed_stage_is_estimated_from_its_own_speed(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream, interval=5)
    progress.start("critic", total=1000)
    progress.resumed(900)
    clock.now += 20
    progress.advance(910, 100, dict)
    assert "continuing at update 900" in stream.getvalue()
    assert "critic 910/1000 91%  ETA 0:03:00  5 tok/s" in stream.getvalue()


def test_stages_follow_each_other_with_their_own_values(clock: Time) -> None:
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress.start("actor", total=2)
    progress.advance(2, 1, values(loss=1.0))
    clock.now += 1
    progress.start("critic", total=4)
    progress.finish()
    progress.finish()
    stages = [line.split("  ")[1] for line in stream.getvalue().splitlines()]
    assert stages == ["actor 0/2 0%", "actor 2/2 100%", "critic 0/4 0%"]
    assert "loss" not in stream.getvalue().splitlines()[-1]


def test_a_terminal_gets_one_bar_with_all_that_is_known(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=200)
    for step in range(1, 101):
        clock.now += 0.1
        progress.advance(step, 20, values(loss=0.5, reward=31.25))
    progress.finish()
    last = screen(terminal).rstrip("\n").splitlines()[-1]
    facts = r"ETA 0:00:10  200 tok/s  loss 0\.5  reward 31\.2  1\.5 GiB"
    assert re.search(rf"joint .* 100/200 +{facts}", last)
    assert "\x1b[?25h" in terminal.getvalue(), "the cursor is shown again"


def test_the_bar_is_drawn_a_few_times_a_second(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=10_000)
    for step in range(10_000):
        clock.now += 0.001
        progress.advance(step, 1, dict)
    assert 30 <= terminal.getvalue().count("joint") <= 50


def test_messages_stand_above_the_bar_as_they_are(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=10)
    progress.message("[bold]not markup[/bold] :smile: " + "word " * 60 + "end\nevil \x1b[2J\x07")
    progress.finish()
    shown = screen(terminal)
    assert "[bold]not markup[/bold] :smile: " in shown
    assert "word end\n" in shown
    assert r"evil \x1b[2J\x07" in shown
    assert "\x1b[2J" not in terminal.getvalue()
    assert clock.now == 1000


def test_a_validation_stands_above_the_bar(clock: Time, terminal: Terminal) -> None:
    progress = Progress(stream=terminal)
    progress.start("joint", total=10)
    progress.validated(5, {"bleu": 23.14, "nll": 1.5}, "bleu")
    progress.finish()
    shown = screen(terminal)
    assert "12:00:00  joint 5/10 50%  dev bleu 23.14 nll 1.5\n" in shown
    last = shown.rstrip("\n").splitlines()[-1]
    assert "dev bleu 23.14  1.5 GiB" in last
    assert "nll" not in last
    assert clock.now == 1000


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_the_bar_never_wraps(
    clock: Time, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    progress = Progress(stream=terminal)
    progress.start("joint", total=28800)
    clock.now += 60
    progress.advance(14400, 10**6, values(**{f"critic{index}": 1.0 for index in range(20)}))
    progress.finish()
    lines = screen(terminal).replace("\r", "\n").splitlines()
    assert max(map(len, lines)) <= columns
    drawn = [line for line in lines if line.strip()]
    assert all(line.startswith("jo") for line in drawn), "every drawing is one line"
    if columns >= 80:
        assert all(line.startswith("joint ━") for line in drawn)
        assert "14400/28800 ETA 0:01:00  16,667 tok/s  critic0 1" in drawn[-1]
    assert "…" in drawn[-1]


def test_a_dumb_terminal_gets_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    progress = Progress(stream=terminal)
    progress.start("actor", total=1)
    progress.finish()
    assert "\x1b" not in terminal.getvalue()


def test_an_ascii_stream_gets_escapes_and_no_error() -> None:
    raw = io.BytesIO()
    progress = Progress(stream=io.TextIOWrapper(raw, encoding="ascii"))
    progress.start("größe", total=1)
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
    progress.start("actor", total=10)
    stream.is_broken = True
    progress.validated(1, {"bleu": 1.0}, "bleu")
    progress.message("text")
    progress.finish()
    progress.start("critic", total=10)
    progress.finish()
    print("still written")
    assert sys.stdout is stdout


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="interval must be positive, not 0"):
        Progress(interval=0)


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
