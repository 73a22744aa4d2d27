"""The page stands alone, and shows text as text."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from run_folders import configuration, make_run

from seqrl.reports.aggregate import find_runs, read_run
from seqrl.reports.page import html
from seqrl.reports.report import sweep_report
from seqrl.reports.table_spec import TableSpec

HOSTILE = "<script>alert($1$)</script>"


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())


@pytest.fixture
def page(tmp_path: Path) -> str:
    for tau in (0.1, 0.2):
        for seed in (1, 2):
            config = configuration(seed, tau, algorithm=HOSTILE)
            config["task"]["name"] = HOSTILE
            folder = make_run(tmp_path / f"{tau}/seed{seed}", config, 20.0, label=HOSTILE)
            (folder / "metrics.jsonl").write_text(
                '{"stage": "joint", "step": 1, "dev/bleu": 3.0, "train/reward": 1.0}\n'
            )
            command = ["/bin/seqrl-train", f"algorithm.tau={tau}", f"task={HOSTILE}"]
            (folder / "environment.json").write_text(json.dumps({"command": command}))
    spec = TableSpec(title=HOSTILE, split=("test",), baseline="algorithm.tau=0.1", note=HOSTILE)
    return html(sweep_report([read_run(run) for run in find_runs([tmp_path])], spec))


def test_text_is_shown_as_text(page: str) -> None:
    assert "<script" not in page
    parsed = Tags(page)
    assert parsed.text.count(HOSTILE) >= 2 + 2 * 3 + 1  # title, heading, cells, note
    cells = [tag for tag, _ in parsed.tags if tag == "td"]
    assert len(cells) == 2 * 14


def test_nothing_is_fetched_from_elsewhere(page: str) -> None:
    tags = Tags(page).tags
    assert {tag for tag, _ in tags} >= {"table", "img", "style"}
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "a"}
    sources = [attributes.get("src") or "" for tag, attributes in tags if tag == "img"]
    assert len(sources) == 3
    assert "href" not in page
    assert not re.search(r"https?:|url\(|@import", re.sub(r'src="data:[^"]*"', "", page))
    for source in sources:
        head, _, data = source.partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")


def test_the_commands_are_there_once(page: str) -> None:
    text = "\n".join(Tags(page).text).splitlines()
    commands = [line for line in text if line.startswith("seqrl-train")]
    assert commands == [f"seqrl-train algorithm.tau={tau} 'task={HOSTILE}'" for tau in (0.1, 0.2)]


def test_what_there_is_nothing_of_is_left_out(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "seed1", configuration(1), 20.0)
    tags = Tags(html(sweep_report([read_run(folder)])))
    assert "Runs on toy" in tags.text
    assert not [tag for tag, _ in tags.tags if tag in ("img", "details")]
