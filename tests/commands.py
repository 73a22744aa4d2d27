"""Our commands, run as a user does."""

from __future__ import annotations

import os
import subprocess
import sys


def command(name: str, *arguments: str, text: str | None = None) -> str:
    """What `seqrl-NAME` prints, given `text` to read; it must end well."""
    done = subprocess.run(
        [sys.executable, "-c", f"from seqrl.cli.{name} import main; main()", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
