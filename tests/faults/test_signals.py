"""A request to stop: what was learned is saved, exit code 75, no stack trace, whatever goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from children import Child, Undisturbed, leftovers, progress

from seqrl.training.checkpoint import load_checkpoint
from tiny import Figures

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PHASES = {
    "configuration": ("seqrl.build", "check"),
    "reading data": ("seqrl.data.task", "Task._examples"),
    "preparing data": ("seqrl.data.task", "Task._encoded"),
    "building": ("seqrl.build", "Batches"),
    "step": ("seqrl.training.trainer", "Trainer._step"),
    "decoding of dev": ("seqrl.decoding.decoder", "Beam.__call__"),
    "scores of dev": ("seqrl.evaluation.decode", "corpus_scores"),
    "checkpoint write": ("torch", "save"),
    "best weights": ("seqrl.training.trainer", "save_weights"),
    "end of a stage": ("seqrl.training.store", "StageStore.finish"),
    "merging metrics": ("seqrl.training.pipeline", "merge_metrics"),
    "final evaluation": ("seqrl.training.results", "evaluate"),
    "curves": ("seqrl.cli.running", "plot_curves"),
    "start of W&B": ("seqrl.tracking.wandb_mirror", "WandbMirror._begin"),
    "finish of W&B": ("seqrl.tracking.wandb_mirror", "WandbMirror.finish"),
}
"""By phase, a function that is called in it."""

ALWAYS = {
    ("preparing data", signal.SIGUSR1),
    ("step", signal.SIGTERM),
}
"""What is tried in `make test` too."""

OVERRIDES = ("algorithm=erac", "trainer.guards=null", "decoding=beam5", "decoding.max_length=8")


def signal_in(module: str, name: str, call: int, numbers: list[int]) -> None:
    """Have the process send itself signals as this call of a function begins, and note when."""
    owner: Any = import_module(module)
    *classes, last = name.split(".")
    for part in classes:
        owner = getattr(owner, part)
    original = getattr(owner, last)
    calls = 0

    def signalled(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            update = getattr(arguments[0], "update", None) if last == "_step" else None
            Path("sent").write_text(json.dumps([time.time(), update]))
            for number in numbers:
                os.kill(os.getpid(), number)
        return original(*arguments, **named)

    setattr(owner, last, signalled)


def stopped(child: Child, figures: Figures, folder: Path) -> bool:
    """Whether a child that was told to stop did so as it should; false where it was done before."""
    code = child.wait()
    text = child.text
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text
    if code == 0:
        return False
    assert code == 75, text
    assert "stopped on request; the same command continues" in text
    assert list(leftovers(folder)) == []
    figures("signals", "signals", 1)
    return True


def status_of(whole: Undisturbed, folder: Path) -> str:
    path = folder / whole.run.relative_to(whole.folder) / "status.json"
    return str(json.loads(path.read_text())["status"])


@pytest.fixture(scope="module")
def whole(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(tmp_path_factory.mktemp("undisturbed") / "whole", tiny_data, *OVERRIDES)


def calls_of(phase: str, rng: random.Random) -> int:
    """Which call of the phase's function: one of those that every run has."""
    return rng.randint(1, {"step": 14, "decoding of dev": 8, "checkpoint write": 12}.get(phase, 1))


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        pytest.param(
            phase,
            number,
            marks=[] if (phase, number) in ALWAYS else pytest.mark.faults,
            id=f"{phase}-{number.name}",
        )
        for i, phase in enumerate(PHASES)
        for j, number in enumerate(SIGNALS)
    ],
)
def test_a_signal_in_any_phase_stops_the_run_which_continues(
    phase: str,
    number: signal.Signals,
    whole: Undisturbed,
    tmp_path: Path,
    figures: Figures,
) -> None:
    if "W&B" in phase:
        pytest.importorskip("wandb")
    rng = random.Random(f"{phase} {number}")
    folder = tmp_path / "stopped"
    more = ["tracker=wandb"] if "W&B" in phase else []
    prepare = partial(signal_in, *PHASES[phase], calls_of(phase, rng), [int(number)])
    child = Child([*whole.arguments, *more], folder, prepare)
    assert stopped(child, figures, folder), child.text
    sent, update = json.loads((folder / "sent").read_text())
    waited = time.time() - sent
    figures("signals", "most seconds from signal to exit", waited)
    assert waited < 10 or "W&B" in phase
    if phase == "step":
        assert update + 1 in progress(folder).values() or update == 4
    if phase != "configuration":
        assert status_of(whole, folder) == "preempted"
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert whole.differing(folder) == []


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("part", [pytest.param(k, marks=pytest.mark.faults) for k in range(5)])
def test_signals_at_random_moments(
    number: signal.Signals, part: int, whole: Undisturbed, tmp_path: Path, figures: Figures
) -> None:
    """Seven of each kind and part; several in one run, which then is the run that had none."""
    rng = random.Random(f"{number} {part}")
    left, runs = 7, 0
    while left:
        folder = tmp_path / f"stopped{runs}"
        runs += 1
        for _ in range(200):
            child = Child(whole.arguments, folder)
            child.begun()
            time.sleep(0.01)
            moment = time.monotonic() + rng.uniform(0, whole.seconds + 3)
            if left:
                child.until(lambda moment=moment: time.monotonic() > moment)
                child.send(number)
            sent = time.monotonic()
            if not stopped(child, figures, folder):
                break
            waited = time.monotonic() - sent
            figures("signals", "most seconds from signal to exit", waited)
            assert waited < 10
            left -= 1
        assert whole.differing(folder) == []


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        *(pytest.param(n, marks=pytest.mark.faults) for n in (signal.SIGTERM, signal.SIGUSR1)),
    ],
)
def test_a_second_signal_ends_it_at_once(
    number: signal.Signals, whole: Undisturbed, tmp_path: Path, figures: Figures
) -> None:
    folder = tmp_path / "stopped"
    step = PHASES["step"]
    child = Child(whole.config, folder, partial(signal_in, *step, 3, [int(number)] * 2))
    assert child.wait() == -number
    assert "Traceback" not in child.text
    assert progress(folder) == dict.fromkeys(progress(folder), 2)  # not that of the third
    figures("signals", "second signals", 1)
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert whole.differing(folder) == []


def test_a_validation_that_is_broken_off_is_made_anew(whole: Undisturbed, tmp_path: Path) -> None:
    """The update before it is saved, and not made twice."""
    folder = tmp_path / "stopped"
    number = int(signal.SIGTERM)
    dev = PHASES["scores of dev"]
    child = Child(whole.config, folder, partial(signal_in, *dev, 1, [number]))
    assert child.wait() == 75, child.text
    (last,) = folder.glob("out/.stages/*/last.pt")
    state = load_checkpoint(last)
    assert (state["update"], state["due"], state["best_update"]) == (3, True, 0)
    child = Child(whole.config, folder)
    assert child.wait() == 0, child.text
    assert whole.differing(folder) == []
