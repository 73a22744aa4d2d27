"""`seqrl-export RUN`: a run's model in one folder that needs neither the run nor Hydra.

    stage=NAME          a stage that delivers a policy; the last one by default
    decoding=beam5      how the exported model decodes; the run's way by default

The folder holds model.safetensors, model.yaml and both tokenizers; it is loaded with
seqrl.evaluation.export.load_exported.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seqrl.cli.runs import (
    Config,
    Model,
    Run,
    RunError,
    UsageError,
    changed,
    command_parser,
    done,
    guarded,
    load_model,
    longest_source,
    open_run,
    taken,
)

CHANGEABLE = ("decoding",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Gives 0 when done, 1 when failed, 2 for a wrong command line."""
    parser = command_parser("seqrl-export", __doc__, "stage=, decoding=, ...")
    parser.add_argument("--output", type=Path, help="new folder; default: RUN/export")
    chosen = parser.parse_intermixed_args(arguments)
    return guarded(lambda: export_run(chosen))


def export_run(chosen: argparse.Namespace) -> int:
    """Write the folder."""
    own, overrides = taken(chosen.overrides, {"stage": ""})
    run = open_run(chosen.run)
    stage = run.stage(own["stage"] or None)
    output = chosen.output or run.folder / "export"
    if output.exists():
        raise UsageError(f"{output} exists already; remove it, or name another --output")
    config = changed(run, overrides, chosen.config_dir, allowed=(*CHANGEABLE, *own))
    model = load_model(run, stage, {**config, "device": "cpu"})

    from seqrl.evaluation.export import ExportError

    try:
        _save(output, run, model)
    except ExportError as error:
        raise RunError(str(error)) from None
    return done({"export": output})


def _save(output: Path, run: Run, model: Model) -> None:
    from seqrl.evaluation.export import save_exported

    config = model.config
    described = made(config["model"]["policy"], ("_recursive_", "reads"))
    described["arguments"] = model.policy.arguments(described["arguments"])
    save_exported(
        output,
        policy=model.policy,
        model=described,
        decoding=made(config["decoding"], ()),
        task=model.task,
        detokenize=detokenizer(config["task"]["detokenize"]),
        longest_source=longest_source(config),
        origin={
            "run": str(run.folder),
            "algorithm": config["algorithm"]["name"],
            "stage": model.stage,
            "label": run.label(model.stage),
            "seed": config["seed"],
        },
    )


def detokenizer(value: str | Config) -> str:
    """How the task makes natural text: a word, or the name of a function without settings."""
    if isinstance(value, str):
        return value
    own = sorted(set(value) - {"_target_", "_partial_"})
    if own:
        raise RunError(f"task.detokenize cannot be exported with its settings {', '.join(own)}")
    return str(value["_target_"])


def made(node: Config, ignored: Sequence[str]) -> dict[str, Any]:
    """A configuration's object as its class and the arguments of its constructor."""
    arguments = {k: v for k, v in node.items() if k not in ("_target_", *ignored)}
    return {"class": node["_target_"], "arguments": arguments}
