"""What the documents tell to type is accepted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqrl.cli.configuration import check_overrides

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CHOICES = r"(algorithm|reward|task|model|decoding|trainer|tracker|launcher|experiment)=\w"


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every `seqrl-train` that stands on lines of its own."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        found = re.match(r" *seqrl-train (.*)", line)
        if found:
            yield [word for word in shlex.split(found[1], comments=True) if word != "..."]


def settings(text: str) -> Iterator[list[str]]:
    """Settings inside a sentence that begin with a choice."""
    for code in re.findall(r"`([^`\n']+)`", text):
        words = code.split()
        if all(re.fullmatch(r"[\w@.]+=[^=]+", w) for w in words) and re.match(CHOICES, code):
            yield words


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_a_page_tells_to_type_is_accepted(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in [*commands(text), *settings(text)]:
        assert check_overrides(words) == [], " ".join(words)


def test_commands_and_settings_are_found() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(list(commands(text))) > 4
    assert ["reward=mix", "reward.rouge=1", "reward.repetition=0.2"] in list(settings(text))
