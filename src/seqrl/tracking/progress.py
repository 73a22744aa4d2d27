"""What a person sees while a stage trains: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from seqrl.ranges import require
from seqrl.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Measure = Callable[[], Mapping[str, float]]

REDRAW = 0.25
"""Seconds between two drawings of the bar."""

WINDOW = 240
"""Drawings that the estimate of the remaining time looks back on."""

RECENT = 8
"""Drawings that the speed looks back on."""


class Progress:
    """The progress of one stage after another.

    stream    where to write, standard output by default
    interval  seconds between two plain lines, where `stream` is no terminal

    `advance` is called at every update and returns at once unless something is due. A stream
    that cannot be written to ends the display and never the training.
    """

    def __init__(self, *, stream: TextIO | None = None, interval: float = 30.0) -> None:
        require(interval > 0, f"interval must be positive, not {interval}")
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._pause = REDRAW if self._is_terminal else interval
        self._bar: Bar | None = None
        self._stage = ""
        self._total = 0
        self._step = 0
        self._tokens = 0
        self._measure: Measure = dict
        self._values: Mapping[str, float] = {}
        self._score = ""  # the last one that the stage is selected by
        self._history: deque[tuple[float, int, int]] = deque(maxlen=WINDOW)  # time, step, tokens
        self._due = 0.0
        self._shown = -1  # the step that was last shown

    def start(self, stage: str, total: int) -> None:
        """Begin a stage of `total` updates."""
        self.finish()
        self._stage = printable(stage)
        self._total = total
        self._step = self._tokens = 0
        self._measure = dict
        self._values = {}
        self._score = ""
        self._history.clear()
        if self._is_terminal:
            self._bar = _new_bar(self._stream)
            self._bar.add_task(self._stage, total=total, values="")
            self._guarded(self._bar.start)
        self._show()

    def resumed(self, step: int) -> None:
        """The stage goes on after `step` updates, which were made before."""
        self._step = step
        self._history.clear()
        self.message(f"continuing at update {step}")
        self._show()

    def advance(self, step: int, tokens: int, measure: Measure) -> None:
        """`step` updates are done, the last one with so many tokens.

        `measure` is asked for the values to show, by name, only when they are shown: on a
        device they have to be waited for.
        """
        self._step = step
        self._tokens += tokens
        self._measure = measure
        if time.monotonic() >= self._due:
            self._show()

    def validated(self, step: int, scores: Mapping[str, float], selected: str) -> None:
        """Show the scores of the development set, in a line of their own.

        `selected` is the name of the one that stays in sight.
        """
        self._step = step
        first = {name: value for name, value in scores.items() if name == selected}
        self._score = f"dev {_listed(first)}" if first else ""
        facts = [self._place(), f"dev {_listed({**first, **scores})}"]
        self.message("  ".join([time.strftime("%H:%M:%S"), *facts]))

    def message(self, text: str) -> None:
        """Show lines of text, above the bar if there is one."""
        lines = "\n".join(printable(line) for line in text.split("\n"))
        bar = self._bar
        if bar is None:
            self._print(lines)
        else:
            self._guarded(lambda: bar.console.out(self._encodable(lines), highlight=False))

    def finish(self) -> None:
        """End the stage: show where it stands and release the terminal."""
        if not self._stage:
            return
        if self._bar is not None or self._step != self._shown:
            self._show()
        if self._bar is not None:
            self._guarded(self._bar.stop)
        self._bar = None
        self._stage = ""

    def _show(self) -> None:
        now = time.monotonic()
        self._due = now + self._pause
        self._shown = self._step
        self._history.append((now, self._step, self._tokens))
        self._values = self._measure() or self._values
        facts = [f"ETA {duration(self._remaining())}", *self._speed()]
        facts += [f"{name} {number(value, digits=3)}" for name, value in self._values.items()]
        facts += [*filter(None, [self._score]), memory()]
        if self._bar is None:
            self._print("  ".join([time.strftime("%H:%M:%S"), self._place(), *facts]))
        else:
            bar, text = self._bar, self._encodable("  ".join(facts))
            bar.update(bar.task_ids[0], completed=self._step, values=text)
            self._guarded(bar.refresh)

    def _place(self) -> str:
        share = f"{self._step / self._total:.0%}" if self._total else "-"
        return f"{self._stage} {self._step}/{self._total} {share}"

    def _remaining(self) -> float | None:
        """Seconds that the rest takes at the speed of the last drawings, if that is known."""
        (first_time, first_step, _), (last_time, last_step, _) = self._history[0], self._history[-1]
        if last_step <= first_step:
            return None
        pace = (last_time - first_time) / (last_step - first_step)
        return max(0, self._total - last_step) * pace

    def _speed(self) -> list[str]:
        """Tokens a second of late, if that is known."""
        earlier = self._history[max(0, len(self._history) - 1 - RECENT)]
        seconds, tokens = self._history[-1][0] - earlier[0], self._history[-1][2] - earlier[2]
        return [f"{tokens / seconds:,.0f} tok/s"] if tokens and seconds else []

    def _print(self, text: str) -> None:
        self._guarded(lambda: print(self._encodable(text), file=self._stream, flush=True))

    def _encodable(self, text: str) -> str:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def _guarded(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (OSError, ValueError):  # a full disk, a closed pipe, a closed stream
            self._give_up()

    def _give_up(self) -> None:
        if self._bar is not None:
            self._bar.console.quiet = True
            self._bar.stop()  # gives standard output back to others
        self._bar = None
        self._is_terminal = False
        self._stream = open(os.devnull, "w")  # noqa: SIM115


def number(value: float, digits: int = 4) -> str:
    """So many significant digits, thousands separated: 0.04213, 23.1, 12,345."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds as H:MM:SS."""
    if seconds is None:
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def memory() -> str:
    """What CUDA tensors take, if there are any, else the resident set of this process."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return f"{torch.cuda.memory_allocated() / 2**30:.1f} GiB"
    return f"{resident_bytes() / 2**30:.1f} GiB"


def resident_bytes() -> int:
    """Memory that this process holds, now where the system says so, else at its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _new_bar(stream: TextIO) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Column

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            raise  # where rich would end the process

    return Progress(
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn(
            "{task.fields[values]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),  # the rest of the line
        ),
        console=Screen(file=stream),
        auto_refresh=False,
        expand=True,
    )


def _listed(values: Mapping[str, float]) -> str:
    return " ".join(f"{name} {number(value)}" for name, value in values.items())
