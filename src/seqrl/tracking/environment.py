"""Where a run was made: code, packages, machine and command, and nothing secret."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]


def environment_record() -> dict[str, Any]:
    """Facts that plain JSON can hold; environment variables are not among them."""
    import torch

    return {
        "git": git_state(PACKAGE),
        "packages": package_versions(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": _device_name(),
        "command": list(sys.argv),
        "folder": os.getcwd(),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository that tracks `folder`, and whether files in it differ.

    None where git is absent or tracks no file of the folder: an installed package may lie
    inside the repository of another project.
    """
    if not _git(folder, "ls-files", "."):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ".")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def package_versions() -> dict[str, str]:
    """Installed versions of seqrl and of the packages that it declares, by name."""
    names = ["seqrl"]
    try:
        names += [_name(line) for line in importlib.metadata.requires("seqrl") or []]
    except importlib.metadata.PackageNotFoundError:  # run from its source without installation
        names += ["torch", "numpy"]
    versions = {}
    for name in sorted(set(names)):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _name(requirement: str) -> str:
    """The package that a requirement such as `torch>=2.10; extra == "x"` names."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, without surrounding space; None when it fails or is not there.

    Inside a hook of git, its variables would name another repository.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env=clean,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def _device_name() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
