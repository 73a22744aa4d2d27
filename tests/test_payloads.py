"""Files whose pickle would execute something: refused wherever a file is read, and not executed."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from seqrl.build import check_initialised
from seqrl.evaluation.export import ExportError, load_exported
from seqrl.identity import ConfigError
from seqrl.training.checkpoint import MAGIC, CheckpointError, load_checkpoint, load_weights


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "was-executed"


@pytest.fixture(params=["pickle", "torch", "legacy"])
def content(request: pytest.FixtureRequest, marker: Path) -> bytes:
    """The payload among tensors, in the formats that PyTorch reads."""
    state = {"policy": {"w": torch.zeros(2)}, "x": Payload(marker)}
    if request.param == "pickle":
        return pickle.dumps(state, protocol=2)
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=request.param == "torch")
    return buffer.getvalue()


def test_the_payload_works(content: bytes, marker: Path) -> None:
    try:
        torch.load(io.BytesIO(content), weights_only=False)
    except Exception:
        pickle.loads(content)
    assert marker.exists()


@pytest.mark.parametrize("signed", [True, False])
def test_a_checkpoint_with_a_payload_is_refused_though_its_checksum_is_right(
    signed: bool, content: bytes, marker: Path, tmp_path: Path
) -> None:
    path = tmp_path / "last.pt"
    trailer = MAGIC + hashlib.sha256(content).digest() if signed else b""
    for place in (path, path.with_name("last.pt.previous")):
        place.write_bytes(content + trailer)
    with pytest.raises(CheckpointError, match="no checkpoint of plain" if signed else "checksum"):
        load_checkpoint(path)
    assert not marker.exists()


def test_weights_with_a_payload_are_refused(content: bytes, marker: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="holds no whole weights"):
        load_weights(path)
    stages = {"actor": {"algorithm": {}, "from": {}}}
    config = {"init_from": str(path), "model": {}, "algorithm": {"stages": stages}}
    with pytest.raises(ConfigError, match="no whole weights"):
        check_initialised(config)
    assert not marker.exists()


def test_an_export_with_a_payload_is_refused(
    content: bytes, marker: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from seqrl.cli import export

    folder = tmp_path / "export"
    assert export.main([str(tiny_run), "--output", str(folder)]) == 0
    load_exported(folder)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ExportError, match="holds no whole exported model"):
        load_exported(folder)
    assert not marker.exists()


def test_a_checkpoint_of_the_library_with_a_payload_is_refused(
    content: bytes, marker: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    from seqrl.models.pretrained import Pretrained
    from seqrl.types import Specials

    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "library"))
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ValueError, match="library: its weights are a pickle of more than tensors"):
        Pretrained(
            source_size=8, target_size=8, specials=Specials(0, 1, 2, 3), checkpoint=str(folder)
        )
    assert not marker.exists()


def test_code_beside_a_checkpoint_of_the_library_is_refused(
    marker: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is the user asked, whom the library would ask on a terminal."""
    from seqrl.library import configuration

    monkeypatch.setattr("builtins.input", lambda *_: "y")
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "library"))
    code = f"from pathlib import Path\nPath({str(marker)!r}).touch()\n"
    (folder / "his.py").write_text(code + "class Config: pass\n")
    described = json.loads((folder / "config.json").read_text())
    described |= {"model_type": "his", "auto_map": {"AutoConfig": "his.Config"}}
    (folder / "config.json").write_text(json.dumps(described))
    with pytest.raises(ValueError, match="contains custom code"):
        configuration(str(folder), None)
    assert not marker.exists()
