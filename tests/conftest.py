"""Makes the helpers of this folder (`tabular`) importable, and one tiny trained run usable."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tiny import TINY, WORDS, Figures

# submitit configures logging when it is imported, which closes the handler that rouge-score's
# logging has, and with it the stream that pytest captures into; first of all, it finds none.
with suppress(ImportError):
    import submitit  # noqa: F401


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parallel text: 120, 12 and 15 sentences of one to five words, translated word by word."""
    folder = tmp_path_factory.mktemp("tiny-data")
    choice = random.Random(1)
    for split, size in (("train", 120), ("dev", 12), ("test", 15)):
        sources = [choice.choices("abcdef", k=choice.randint(1, 5)) for _ in range(size)]
        targets = [[WORDS[word] for word in words] for words in sources]
        for language, lines in (("de", sources), ("en", targets)):
            text = "".join(" ".join(words) + "\n" for words in lines)
            (folder / f"{split}.{language}").write_text(text)
    return folder


@pytest.fixture(scope="session")
def tiny_overrides(tiny_data: Path) -> list[str]:
    """`TINY` and where its data are; other folders' conftest may hide this one from imports."""
    return [*TINY, f"task.data_dir={tiny_data}"]


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the `transformers` library for `tiny_data`, with random weights."""
    pytest.importorskip("transformers")
    from checkpoints import marian

    sources, targets = ((tiny_data / f"train.{side}").read_text() for side in ("de", "en"))
    folder = tmp_path_factory.mktemp("tiny-checkpoint") / "marian"
    return marian(folder, sources.splitlines(), targets.splitlines())


@pytest.fixture(scope="session")
def tiny_run(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of `seqrl-train algorithm=erac`; copy it to change it."""
    outputs = tmp_path_factory.mktemp("tiny-run")
    overrides = ["algorithm=erac", *TINY, f"task.data_dir={tiny_data}", f"outputs={outputs}"]
    done = subprocess.run(
        [sys.executable, "-c", "from seqrl.cli.train import main; main()", *overrides],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = outputs.glob("text/erac/*/seed1")
    return folder


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """What a test measured, for the tables at the end of `make test-faults`."""
    return lambda table, name, value: record_property("figure", [table, name, value])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tables: dict[str, dict[str, float]] = defaultdict(dict)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for kind, content in getattr(report, "user_properties", []):
                if kind == "figure" and report.when == "call":
                    table, name, value = content
                    values = tables[table]
                    most = name.startswith("most")
                    values[name] = (
                        max(values.get(name, value), value) if most else values.get(name, 0) + value
                    )
    for table, values in tables.items():
        listed = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        terminalreporter.write_line(f"{table}: {listed}")
