"""The files of a run's folder that several parts of the project know."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from seqrl.tracking.files import write_json_atomic

CONFIG, RESULT, STATUS = "config.yaml", "result.json", "status.json"
ENVIRONMENT, LOCK = "environment.json", ".lock"
POLICY = "policy.json"
"""What makes a stage's policy anew, where it is not what the configuration says of the model's."""


def stage_folder(run: Path, stage: str) -> Path:
    """Where a run keeps what one of its stages delivered."""
    return run / "checkpoints" / stage


@dataclass(frozen=True)
class Status:
    """How far a run is: `running`, `preempted`, `failed`, `diverged` or `done`, and why."""

    state: str
    reason: str

    def __str__(self) -> str:
        return f"{self.state}: {self.reason}" if self.reason else self.state


def write_status(folder: Path, state: str, reason: str | None = None) -> None:
    """Write `status.json`."""
    write_json_atomic(
        folder / STATUS,
        {
            "status": state,
            "reason": reason,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    )


def read_status(folder: Path) -> Status | None:
    """What `status.json` says; none where it is not, or says nothing."""
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        return Status(str(status["status"]), str(status.get("reason") or ""))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
