"""What other processes make of a built-in corpus."""

from __future__ import annotations

import os
import subprocess
import sys


def printed(name: str, train: int, hash_seed: str) -> str:
    """The training split of `seqrl.data.NAME.NAME(train=...)`, as a process prints it."""
    script = f"from seqrl.data.{name} import {name}; print({name}(train={train})['train'])"
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
