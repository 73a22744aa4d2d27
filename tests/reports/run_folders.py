"""Folders of runs as trainings leave them, of made-up scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml


def configuration(seed: int, tau: float = 0.04, algorithm: str = "erac") -> dict[str, Any]:
    stages = {"joint": {"seed": seed, "algorithm": {"tau": tau}}}
    return {
        "seed": seed,
        "device": f"cuda:{seed}",
        "outputs": "outputs",
        "task": {"name": "toy", "metric": "bleu"},
        "algorithm": {"name": algorithm, "tau": tau, "stages": stages},
    }


def make_run(
    folder: Path,
    config: dict[str, Any],
    bleu: float | None = None,
    *,
    status: dict[str, Any] | None = None,
    signature: str = "v1",
    seconds: float = 90,
    label: str = "ER|AC",
) -> Path:
    """A run's folder; finished where there is a score."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if status is not None:
        (folder / "status.json").write_text(json.dumps(status))
    if bleu is not None:
        entries = [
            {
                "stage": "joint",
                "label": label,
                "split": split,
                "decoding": "beam5",
                "scores": {"bleu": {"value": value, "signature": signature}},
                "length_ratio": 1.0,
            }
            for split, value in (("dev", bleu + 1), ("test", bleu))
        ]
        stages = {name: {"seconds": 60 * n} for name, n in (("actor", 1), ("joint", seconds / 60))}
        result = {"status": "done", "stages": stages, "scores": entries}
        (folder / "result.json").write_text(json.dumps(result))
    return folder
