"""What a run ends with: every policy that its stages delivered, decoded and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqrl.data.task import Task
from seqrl.decoding.decoder import Decoder
from seqrl.evaluation.decode import Evaluation, evaluate
from seqrl.models.base import Policy
from seqrl.models.weights import load_stored
from seqrl.tracking.files import write_text_atomic
from seqrl.tracking.run_folder import stage_folder
from seqrl.training.pipeline import StageResult, delivered

SPLITS = ("dev", "test")
POLICY = "policy"


def evaluate_stages(
    results: list[StageResult],
    *,
    task: Task,
    decoders: Mapping[str, Decoder],
    device: torch.device,
    build_policy: Callable[[str], Policy[Any, Any]],
    folder: Path,
) -> list[dict[str, Any]]:
    """One entry for each policy, split and way of decoding, in this order.

    The outputs are written to `checkpoints/<stage>/<split>.<decoding>.hyp.txt`, and those of
    the last policy under the first way of decoding to `<split>.hyp.txt` as well.

    build_policy  the network of a stage's policy
    """
    policies = [result for result in results if result.stage.delivers_policy]
    entries = []
    for result in policies:
        policy = build_policy(result.stage.name)
        load_stored(policy, delivered(result.folder, POLICY))
        policy.to(device)
        for split in SPLITS:
            for number, (name, decoder) in enumerate(decoders.items()):
                evaluation = evaluate(policy, task, task.split(split), decoder, device)
                text = "".join(line + "\n" for line in evaluation.hypotheses)
                own = stage_folder(folder, result.stage.name)
                write_text_atomic(own / f"{split}.{name}.hyp.txt", text)
                if result is policies[-1] and number == 0:
                    write_text_atomic(folder / f"{split}.hyp.txt", text)
                entries.append(entry(result, split, name, evaluation))
    return entries


def entry(result: StageResult, split: str, decoding: str, evaluation: Evaluation) -> dict[str, Any]:
    """One line of the results as plain values."""
    return {
        "stage": result.stage.name,
        "label": result.stage.label,
        "split": split,
        "decoding": decoding,
        "scores": {score.name: score.record for score in evaluation.scores},
        "length_ratio": round(evaluation.length_ratio, 4),
    }


def stage_summaries(results: list[StageResult]) -> dict[str, dict[str, Any]]:
    """For `result.json`: of each stage its key, whether it was reused, and its summary."""
    return {
        result.stage.name: {"key": result.key, "reused": result.reused, **result.record.summary}
        for result in results
    }


def weights_of(folder: Path, stage: str) -> dict[str, Tensor]:
    """The policy that a finished run keeps for one of its stages."""
    return delivered(stage_folder(folder, stage), POLICY)
