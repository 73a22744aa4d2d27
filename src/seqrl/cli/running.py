"""One run from a checked configuration to its table: what `seqrl-train` does after Hydra."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import torch
from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from seqrl.build import (
    build_decoder,
    build_network,
    build_stages,
    build_task,
    choose_device,
    described_policy,
    vocabularies,
)
from seqrl.cli.interruption import STOPPED, Interruption
from seqrl.cli.runs import show, shown_before
from seqrl.cli.train import EXIT_CONFIG, EXIT_DIVERGED, EXIT_DONE, EXIT_FAILED, EXIT_PREEMPTED
from seqrl.data.corpus import CorpusError
from seqrl.data.task import Task
from seqrl.decoding.decoder import Decoder, Greedy
from seqrl.identity import Config, ConfigError, needed_stages, run_folder
from seqrl.memory import OutOfMemory
from seqrl.reports.run_report import plot_curves
from seqrl.terminal import Messages, say
from seqrl.tracking.environment import environment_record, package_versions
from seqrl.tracking.files import naming, remove_leftovers, write_json_atomic, write_text_atomic
from seqrl.tracking.metrics_log import MetricsError
from seqrl.tracking.progress import Progress
from seqrl.tracking.run_folder import (
    CONFIG,
    ENVIRONMENT,
    LOCK,
    POLICY,
    RESULT,
    stage_folder,
    write_status,
)
from seqrl.tracking.wandb_mirror import WandbMirror
from seqrl.training.checkpoint import CheckpointError
from seqrl.training.pipeline import Pipeline, Stage
from seqrl.training.ranks import Lost, Ranks, joined, process_count
from seqrl.training.results import evaluate_stages, stage_summaries
from seqrl.training.stopping import Preempted, within
from seqrl.training.store import STAGES, StageStore, WaitEnded, wait_for
from seqrl.training.trainer import Diverged, NotMeasured

STORAGE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST),
}
"""What is wrong with a disk or a folder, and with no program."""


def run_training(config: Config) -> int:
    """Train, evaluate and report; the exit code. Finished runs answer at once."""
    logging.basicConfig(level=logging.WARNING, handlers=[Messages(sys.stdout)])
    try:
        folder = run_folder(config)
    except ConfigError as error:
        say(f"configuration:\n{error}", sys.stderr)
        return EXIT_CONFIG
    with joined(partial(write_status, folder, "failed")) as ranks:
        try:
            ranks.first(lambda: folder.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            say(f"outputs={config['outputs']}: {error}", sys.stderr)
            return EXIT_CONFIG
        with Interruption() as interruption:
            try:
                with ranks.held(waited_for(folder / LOCK, interruption)):
                    return _run(config, folder, interruption, ranks)
            except WaitEnded:  # what the folder says is the other process's
                print("stopped on request while waiting; the same command continues")
                return EXIT_PREEMPTED
            except OSError as error:
                if not of_storage(error):
                    raise
                say(storage_problem(error), sys.stderr)
                return EXIT_FAILED


def of_storage(error: BaseException) -> TypeGuard[OSError]:
    """Whether a disk or a folder is to blame."""
    return isinstance(error, OSError) and error.errno in STORAGE


def storage_problem(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}; the same command continues what is saved"


def _run(config: Config, folder: Path, interruption: Interruption, ranks: Ranks) -> int:
    """The run, whose folder is ours; the exit code."""
    if ranks.first(lambda: shown_before(folder)):
        return EXIT_DONE
    upload = Upload(folder, interruption)
    outcome = partial(_failed, folder, ranks, upload)
    try:
        ranks.first(lambda: begin(folder))
        result = train(config, folder, interruption, ranks, upload)
    except CorpusError as error:
        return outcome("failed", f"data: {error}", EXIT_FAILED)
    except (CheckpointError, MetricsError, OutOfMemory, Lost) as error:
        return outcome("failed", str(error), EXIT_FAILED)
    except (ConfigError, NotMeasured) as error:
        return outcome("failed", f"configuration:\n{error}", EXIT_CONFIG)
    except Diverged as error:
        return outcome("diverged", str(error), EXIT_DIVERGED)
    except (Preempted, WaitEnded):
        return outcome("preempted", STOPPED, EXIT_PREEMPTED)
    except BaseException as error:
        if of_storage(error):
            return outcome("failed", storage_problem(error), EXIT_FAILED)
        if ranks.is_first:
            write_status(folder, "failed", repr(error))
            with contextlib.suppress(Preempted):
                upload.finish("failed")
        raise
    if ranks.is_first:
        write_status(folder, "done")
        show(folder, result)
    return EXIT_DONE


@contextlib.contextmanager
def waited_for(path: Path, stopped: Callable[[], bool]) -> Iterator[None]:
    """The run's lock; says so when another process holds it. Raises WaitEnded, see `wait_for`."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process, which is at the same run ({path.parent})", flush=True)
        wait_for(lock, stopped)
    try:
        yield
    finally:
        lock.release()


def begin(folder: Path) -> None:
    """Clear away what a killed process left half-written, and say that the run is under way."""
    remove_leftovers(folder)
    write_status(folder, "running")


class Upload:
    """W&B's copy of a run, of the first process, that is finished once whatever becomes of it.

    mirror  none before `train` has begun it, and after it is finished
    """

    def __init__(self, folder: Path, interruption: Interruption) -> None:
        self.mirror: WandbMirror | None = None
        self._folder = folder
        self._interruption = interruption

    def finish(self, outcome: str) -> None:
        """Upload the best weights, and wait for that.

        Raises Preempted when the first request to stop comes meanwhile; after one before, the
        second ends the process.
        """
        mirror, self.mirror = self.mirror, None
        if mirror is None:
            return
        asked = self._interruption()
        with contextlib.nullcontext() if asked else self._interruption.at_once():
            for weights in sorted(self._folder.glob("checkpoints/*/best.safetensors")):
                mirror.artifact(f"{weights.parent.name}-best", [weights])
            mirror.finish(outcome)


def train(
    config: Config, folder: Path, interruption: Interruption, ranks: Ranks, upload: Upload
) -> dict[str, Any]:
    """Train and evaluate a run in its folder; what `result.json` then holds."""
    began = time.monotonic()
    manage_memory()
    if config.get("deterministic"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA begins
        torch.use_deterministic_algorithms(True)
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    ranks.first(
        lambda: write_text_atomic(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))
    )
    device = choose_device(config["device"])
    at_once = interruption.at_once
    task = ranks.alike(lambda: within(at_once, lambda: build_task(config)))
    stages = {n: s for n, s in needed_stages(config).items() if "policy" in s["optimizers"]}
    ranks.first(lambda: within(at_once, lambda: describe(config, folder, task, stages)))

    def prepare() -> list[Stage]:
        with at_once():
            built = build_stages(config, task, device, interruption, at_once, ranks)
            if ranks.is_first:
                upload.mirror = build_mirror(config, folder)
            return built

    built = ranks.alike(prepare)
    root = Path(config["outputs"]) / STAGES if config["reuse"] else folder / STAGES
    pipeline = Pipeline(
        folder=folder,
        store=StageStore(root),
        progress=Progress(),
        mirror=upload.mirror,
        preempted=interruption,
        at_once=at_once,
        ranks=ranks,
    )
    results = pipeline.run(built)
    sizes = vocabularies(task)

    def evaluate() -> list[dict[str, Any]]:
        with at_once():
            entries = evaluate_stages(
                results,
                task=task,
                decoders=final_decoders(config),
                device=device,
                build_policy=lambda name: build_network(config, "policy", sizes, 0, stages[name]),
                folder=folder,
            )
            with naming(folder / "curves.png"):
                plot_curves(folder / "metrics.jsonl", folder / "curves.png", score=task.metric)
            return entries

    entries = ranks.first(evaluate)
    ranks.first(lambda: upload.finish("done"))
    result = {
        "status": "done",
        "stages": stage_summaries(results),
        "scores": entries,
        "seconds": round(time.monotonic() - began, 1),
        "versions": package_versions(),
    }
    ranks.first(lambda: write_json_atomic(folder / RESULT, result))
    return result


def describe(config: Config, folder: Path, task: Task, stages: dict[str, Config]) -> None:
    """Write down what the run is made of. Reads the data."""
    processes = {"processes": process_count()} if process_count() > 1 else {}
    write_json_atomic(folder / ENVIRONMENT, environment_record() | processes)
    task.save(folder / "tokenizers")
    for name, stage in stages.items():
        described = described_policy(config, task, stage)
        if described != config["model"]["policy"]:
            write_json_atomic(stage_folder(folder, name) / POLICY, described)


def manage_memory() -> None:
    """Have the libraries below PyTorch keep what is used again, and no more.

    The C library reuses large blocks instead of returning each to the system: otherwise every
    tensor of the vocabulary's width is mapped anew at every update, and the page faults cost a
    fifth of a critic's update on the CPU. Does nothing but with glibc.

    oneDNN remembers the code of 64 products instead of 1,024. It compiles one for every shape,
    of which batches have thousands, and each holds memory of its own: with `precision=bf16` on a
    CPU, RAML grew by 5 MiB an update to several times its size, and slowed down.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)


def final_decoders(config: Config) -> dict[str, Decoder]:
    """The chosen way of decoding, and greedy beside it where its outputs can differ at all."""
    chosen = build_decoder(config)
    if isinstance(chosen, Greedy):
        return {"greedy": chosen}
    name = str(config["decoding"]["_target_"]).rpartition(".")[2].lower()
    decoders: dict[str, Decoder] = {f"{name}{config['decoding'].get('size', '')}": chosen}
    if config["model"].get("conditional", True):
        decoders["greedy"] = Greedy(max_length=chosen.max_length)
    return decoders


def build_mirror(config: Config, folder: Path) -> WandbMirror | None:
    tracker = config["tracker"]
    if tracker["mode"] == "disabled":
        return None
    name = f"{config['task']['name']}-{config['algorithm']['name']}"
    return WandbMirror(
        folder=folder,
        mode=tracker["mode"],
        project=tracker["project"],
        name=f"{name}-{folder.parent.name}-{folder.name}",
        group=tracker.get("group"),
        config={k: v for k, v in config.items() if k != "tracker"},
        run_id=f"{name}-{folder.parent.name}-{folder.name}",
    )


def _failed(folder: Path, ranks: Ranks, upload: Upload, state: str, text: str, code: int) -> int:
    """Write down and say how the run has ended, which an upload does not change."""
    if ranks.is_first:
        with contextlib.suppress(OSError):  # it may be the disk that has failed
            write_status(folder, state, text)
        say(f"diverged: {text}" if state == "diverged" else text, sys.stderr)
    with contextlib.suppress(Lost, Preempted):  # others wait for the upload
        ranks.first(lambda: upload.finish(state))
    if ranks.is_first:
        print(f"run: {folder}")
    return code
