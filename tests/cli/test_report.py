"""`seqrl-report`, on a run that was really trained."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqrl.cli.report import main


def test_a_table_of_a_run(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_run), "--split", "test"]) == 0
    lines = capsys.readouterr().out.splitlines()
    entries = json.loads((tiny_run / "result.json").read_text())["scores"]
    tested = [entry for entry in entries if entry["split"] == "test"]
    assert [entry["label"] for entry in tested] == ["MLE", "ERAC"]
    for line, entry in zip(lines[2:4], tested, strict=True):
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        values = [f"{score['value']:.2f}" for score in entry["scores"].values()]
        assert cells == [
            *("text", "erac", entry["label"], "test", "greedy", "1"),
            *values,
            f"{entry['length_ratio']:.3f}",
            cells[-1],
        ]
        assert 0 <= float(cells[-1]) < 5
    assert any(line.startswith("sacrebleu: nrefs:1|case:mixed") for line in lines)


def test_folders_above_runs_and_a_plot(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "curves.png"
    assert main([str(tiny_run.parents[2]), "--csv", "--plot", str(picture)]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("task,algorithm,identity,")
    assert f",{tiny_run.parent.name},".join(["text,erac", ""]) in shown.out
    assert picture.is_file()
    assert str(picture) in shown.err


def test_a_page(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "new" / "page.html"
    assert main([str(tiny_run), "--html", str(page)]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"page: {page}\n"
    assert shown.out.startswith("| task")
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2  # no setting varies
    assert "algorithm=erac task=text" in text


def test_latex(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_run), "--latex"]) == 0
    assert r"\end{tabular}" in capsys.readouterr().out


def test_what_cannot_be_shown(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    assert "neither a run nor a folder of runs" in capsys.readouterr().err
    copy = Path(shutil.copytree(tiny_run, tmp_path / "seed1"))
    (copy / "result.json").unlink()
    (copy / "status.json").write_text('{"status": "running", "reason": null}')
    assert main([str(copy)]) == 1
    assert f"  {copy} (running)\n" in capsys.readouterr().err
    assert main([str(copy), "--incomplete"]) == 1
    assert "no finished run has such scores (runs are running)" in capsys.readouterr().err
    assert main([str(tiny_run), "--split", "tset"]) == 1


def test_torch_is_not_needed(tiny_run: Path) -> None:
    code = (
        "import sys; from seqrl.cli.report import main\n"
        f"assert main([{str(tiny_run)!r}]) == 0\n"
        "print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "False\n"


def test_a_picture_of_no_known_kind_is_told(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tiny_run), "--plot", str(tmp_path / "curves.xyz")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"--plot {tmp_path / 'curves.xyz'}: Format 'xyz' is not supported")
    assert len(error.splitlines()) == 1


def test_a_reader_who_has_seen_enough_is_no_failure(tiny_run: Path) -> None:
    """The pipe is closed before the table is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from seqrl.cli.report import main; main()", str(tiny_run)],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_baseline(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tiny_run), "--split", "test", "--baseline", "MLE", "--csv"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    scores = [line for line in lines if line["score"] == "bleu"]
    assert [line["baseline"] for line in scores] == ["yes", ""]
    difference = float(scores[1]["mean"]) - float(scores[0]["mean"])
    assert float(scores[1]["difference"]) == pytest.approx(difference)
    assert (scores[1]["pairs"], scores[1]["p"]) == ("1", "")
    assert main([str(tiny_run), "--baseline", "raml"]) == 2
    assert "  algorithm=erac, policy MLE\n" in capsys.readouterr().err


def test_a_table_described_in_a_file(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.yaml"
    path.write_text("report: {title: A table, final: true, split: test}\nseed: 1\n")
    assert main([str(tiny_run), "--table", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "## A table"
    assert sum(line.startswith("| text") for line in lines) == 1
    path.write_text("report: {titel: A table}\n")
    assert main([str(tiny_run), "--table", str(path)]) == 2
    assert f"{path}: report has no titel; there are title," in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.yaml", "cannot be read"),
        ("multi30", "did you mean multi30k"),
        ("bare.yaml", "no node"),
    ],
)
def test_a_table_that_is_not_described(
    tiny_run: Path,
    tmp_path: Path,
    name: str,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bare.yaml").write_text("seed: 1\n")
    assert main([str(tiny_run), "--table", name]) == 2
    assert problem in capsys.readouterr().err


def test_two_runs_are_compared_on_their_outputs(
    tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--compare", str(tiny_run), str(tiny_run)]) == 0
    shown = capsys.readouterr().out.splitlines()
    entries = json.loads((tiny_run / "result.json").read_text())["scores"]
    bleu = entries[-1]["scores"]["bleu"]["value"]
    assert shown[2].split()[:2] == ["bleu", f"{bleu:.2f}"]
    assert shown[2].split()[-2:] == ["+0.00", "1.000"]
    assert shown[-1] == f"B: {tiny_run} (ERAC, test, greedy)"


def test_outputs_that_cannot_be_compared(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def compared(run: Path, *options: str) -> tuple[int, str]:
        code = main(["--compare", str(tiny_run), str(run), *options])
        return code, capsys.readouterr().err

    copy = Path(shutil.copytree(tiny_run, tmp_path / "seed1"))
    assert compared(copy, "--decoding", "beam7") == (
        2,
        f"{tiny_run}: there are no outputs of test beam7; there are dev greedy, test greedy\n",
    )
    path = next((copy / "checkpoints").glob("joint/test.*.hyp.txt"))
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line}\n" for line in lines[1:]))
    code, error = compared(copy)
    assert (code, error) == (1, f"{path} has 14 lines, but test 15 examples\n")
    path.write_text("u v w\n" * 15)
    code, error = compared(copy)
    assert code == 1
    assert "the corpus is no longer the one that it was scored on" in error
    (copy / "result.json").unlink()
    assert compared(copy)[0] == 1
    assert compared(tmp_path)[0] == 2


@pytest.mark.parametrize(
    "arguments", [[], ["RUN", "--compare", "A", "B"], ["--compare", "A", "B", "--csv"]]
)
def test_what_does_not_go_together(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2
