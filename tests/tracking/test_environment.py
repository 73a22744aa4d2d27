"""The environment record: true, plain, and without secrets."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seqrl.tracking.environment import environment_record, git_state, package_versions


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "code.py").write_text("x = 1\n")
    (folder / ".gitignore").write_text("site-packages/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_the_record_says_where_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["seqrl-train", "algorithm=mle", "seed=3"])
    record = environment_record()
    assert record["command"] == ["seqrl-train", "algorithm=mle", "seed=3"]
    assert record["python"] == platform.python_version()
    assert record["packages"]["torch"] == importlib.metadata.version("torch")
    assert record["threads"] == torch.get_num_threads()
    assert record["cpus"] == os.cpu_count()
    assert record["folder"] == os.getcwd()
    assert record["device"]
    assert json.loads(json.dumps(record)) == record


def test_no_environment_variable_reaches_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret-0123456789")
    monkeypatch.setenv("SOMETHING_ELSE", "secret-9876543210")
    text = json.dumps(environment_record())
    assert "secret-" not in text
    assert "SOMETHING_ELSE" not in text


def test_declared_packages_are_listed_with_their_versions() -> None:
    versions = package_versions()
    assert {"seqrl", "torch", "numpy", "hydra-core", "sacrebleu", "safetensors"} <= versions.keys()
    assert all(versions[name] == importlib.metadata.version(name) for name in versions)


def test_git_tells_commit_and_changes(repository: Path) -> None:
    package = repository / "package"
    commit = git(repository, "rev-parse", "HEAD")
    assert git_state(package) == {"commit": commit, "dirty": False}
    (repository / "notes.txt").write_text("beside the package")
    assert git_state(package) == {"commit": commit, "dirty": False}
    (package / "new.py").write_text("y = 2\n")
    assert git_state(package) == {"commit": commit, "dirty": True}
    (package / "new.py").unlink()
    (package / "code.py").write_text("x = 2\n")
    assert git_state(package) == {"commit": commit, "dirty": True}


def test_a_hook_of_git_does_not_mislead(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    state = git_state(repository / "package")
    assert state is not None
    assert state["commit"] == git(repository, "rev-parse", "HEAD")


def test_a_package_inside_a_foreign_repository_has_no_commit(repository: Path) -> None:
    installed = repository / "site-packages" / "seqrl"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("x = 1\n")
    assert git_state(installed) is None


def test_outside_of_git_there_is_no_commit(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(repository / "package") is None
