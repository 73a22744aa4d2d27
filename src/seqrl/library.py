"""What is asked of the `transformers` library about a checkpoint before it is loaded."""

from __future__ import annotations

from os.path import expanduser
from pathlib import Path
from typing import Any

NO_CHECKPOINT = "checkpoint must be a name on the hub or a folder: model.checkpoint=NAME"
SIDES = {"source": "encoder", "target": "decoder"}


def configuration(checkpoint: str, revision: str | None) -> Any:
    """The library's configuration of a checkpoint; ValueError where there is none."""
    try:
        from transformers import AutoConfig
    except ImportError:
        raise ValueError("transformers is not installed: pip install 'seqrl[hf]'") from None
    folder = Path(checkpoint).expanduser()
    if not folder.is_dir() and checkpoint.startswith((".", "/", "~")):
        raise ValueError(f"checkpoint {checkpoint}: there is no such folder")
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise ValueError(f"checkpoint {checkpoint}: the folder has no config.json")
    try:
        return AutoConfig.from_pretrained(
            expanduser(checkpoint), revision=revision or "main", trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ValueError(f"checkpoint {checkpoint}: {first_line(error)}") from None


def places(config: Any, side: str) -> int | None:
    """Tokens that the network reads on a side; none: any number."""
    own = getattr(config, f"max_{SIDES[side]}_position_embeddings", None)
    found: int | None = getattr(config, "max_position_embeddings", None) if own is None else own
    return found


def first_line(error: BaseException) -> str:
    """What an error of the library says first."""
    return next(iter(str(error).splitlines()), type(error).__name__)
