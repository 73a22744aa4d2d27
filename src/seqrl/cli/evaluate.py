"""`seqrl-evaluate RUN`: decode a split with a run's model and score it.

    split=test          train, dev or test
    stage=NAME          a stage that delivers a policy; the last one by default
    decoding=beam5      a way of decoding of conf/decoding; the run's by default
    decoding.size=10    and its settings
    task.data_dir=DIR   where the corpus is now; other settings of the task likewise
    device=cuda         auto by default

The hypotheses, in the task's tokenisation, and the scores are written to
RUN/evaluations/<split>.<decoding>.hyp.txt and .json.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqrl.cli.runs import (
    Config,
    Run,
    RunError,
    UsageError,
    changed,
    command_parser,
    decoding_name,
    done,
    guarded,
    load_model,
    one_line,
    open_run,
    taken,
)
from seqrl.cli.settings import nearest
from seqrl.terminal import say

SPLITS = ("train", "dev", "test")
CHANGEABLE = ("decoding", "task", "device", "threads")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed, 2 for a wrong command line."""
    overrides = "split=, stage=, decoding=, task.data_dir=, device=, ..."
    parser = command_parser("seqrl-evaluate", __doc__, overrides)
    parser.add_argument("--output", type=Path, help="folder to write to; default: RUN/evaluations")
    chosen = parser.parse_intermixed_args(arguments)
    return guarded(lambda: evaluate_run(chosen))


def evaluate_run(chosen: argparse.Namespace) -> int:
    """Decode, score, print and write."""
    own, overrides = taken(chosen.overrides, {"split": "test", "stage": ""})
    if own["split"] not in SPLITS:
        raise UsageError(f"split={own['split']}: no such split; {nearest(own['split'], SPLITS)}")
    run = open_run(chosen.run)
    stage = run.stage(own["stage"] or None)
    config = changed(run, overrides, chosen.config_dir, allowed=(*CHANGEABLE, *own))
    entry, hypotheses = _evaluated(run, stage, config, own["split"])

    from seqrl.reports.run_report import result_table
    from seqrl.tracking.files import write_json_atomic, write_text_atomic

    name = file_name(run, stage, config, own["split"])
    folder = chosen.output or run.folder / "evaluations"
    texts, scores = folder / f"{name}.hyp.txt", folder / f"{name}.json"
    try:
        write_text_atomic(texts, "".join(f"{one_line(text)}\n" for text in hypotheses))
        write_json_atomic(scores, {**entry, "run": str(run.folder), "overrides": overrides})
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error}; name another --output") from None
    say(result_table([entry]))
    print()
    return done({"hypotheses": texts, "scores": scores})


def _evaluated(
    run: Run, stage: str, config: Config, split: str
) -> tuple[dict[str, Any], list[str]]:
    """The line of the results, as in `result.json`, and the hypotheses."""
    model = load_model(run, stage, config, split=split)
    examples = model.task.split(split)

    from seqrl.evaluation.decode import evaluate

    evaluation = evaluate(model.policy, model.task, examples, model.decoder, model.device)
    entry = {
        "stage": stage,
        "label": run.label(stage),
        "split": split,
        "decoding": decoding_name(run, config),
        "scores": {score.name: score.record for score in evaluation.scores},
        "length_ratio": round(evaluation.length_ratio, 4),
        "sentences": len(examples),
    }
    return entry, evaluation.hypotheses


def file_name(run: Run, stage: str, config: Config, split: str) -> str:
    """<split>.<decoding>, after the stage and the task where they are not the run's own."""
    parts = [split, decoding_name(run, config)]
    if stage != run.stage(None):
        parts.insert(0, stage)
    if config["task"]["name"] != run.config["task"]["name"]:
        parts.insert(0, str(config["task"]["name"]))
    return ".".join(parts)
