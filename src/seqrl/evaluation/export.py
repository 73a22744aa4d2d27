"""A trained model in one folder that needs neither its run nor Hydra.

model.safetensors   the policy's weights, tied ones once
model.yaml          the classes of policy and decoder with their arguments, and where the
                    model comes from
tokenizers/         of both sides
transformers/       of a policy that came from there, what that library loads

model = load_exported(Path("export"))
model.generate(["ein hund ."])
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from seqrl.data.corpus import Corpus, CorpusError
from seqrl.data.files import new_folder, write_whole
from seqrl.data.task import DETOKENIZE, Task
from seqrl.data.tokenizers import Tokenizer
from seqrl.decoding.decoder import Decoder
from seqrl.evaluation.generate import generate
from seqrl.models.base import Policy
from seqrl.models.weights import load_stored, stored_weights
from seqrl.trust import UntrustedError, located
from seqrl.types import Specials

FORMAT = 1
WEIGHTS, DESCRIPTION, TOKENIZERS = "model.safetensors", "model.yaml", "tokenizers"
TRANSFORMERS = "transformers"
PACKAGE = "seqrl."


class ExportError(Exception):
    """A folder that is no exported model, or not a whole one."""


@dataclass(frozen=True)
class ExportedModel:
    """A policy with its tokenizers and its way of decoding.

    task            knows the tokenizers and how natural text is made of outputs; it has no corpus
    longest_source  tokens that longer sources are cut to
    """

    policy: Policy[Any, Any]
    task: Task
    decoder: Decoder
    device: torch.device
    longest_source: int | None = None

    def generate(self, sources: Sequence[str], *, natural: bool = False) -> list[str]:
        """One output per source, in order; sources are in the task's tokenisation.

        natural  outputs as natural text
        """
        outputs = generate(
            self.policy,
            self.task,
            self.decoder,
            self.device,
            sources,
            longest_source=self.longest_source,
        )
        return [self.task.detokenize(text) for text in outputs] if natural else outputs


def save_exported(
    folder: Path,
    *,
    policy: Policy[Any, Any],
    model: Mapping[str, Any],
    decoding: Mapping[str, Any],
    task: Task,
    detokenize: str,
    longest_source: int | None,
    origin: Mapping[str, Any],
) -> None:
    """Write the new folder, whole or not at all.

    model, decoding  `class`, a dotted name inside seqrl, and `arguments` of its constructor;
                     those of a policy but its sizes and special ids
    detokenize       as the task was told: a word, or the dotted name of a function of seqrl
    longest_source   tokens that the task cuts sources to
    origin           plain values that say where the model comes from

    Raises ExportError for what could not be loaded, CorpusError where the folder is
    there already.
    """
    import yaml
    from safetensors.torch import save

    _class(model["class"], Policy)
    _class(decoding["class"], Decoder)
    _detokenizer(detokenize)
    source, target = task.source_tokenizer, task.target_tokenizer
    description = {
        "format": FORMAT,
        "model": dict(model),
        "sizes": {"source_size": len(source), "target_size": len(target)},
        "specials": asdict(target.specials),
        "decoding": dict(decoding),
        "task": {
            "name": task.name,
            "source_eos": task.source_eos,
            "detokenize": detokenize,
            "source": task.source,
            "target": task.target,
        },
        "longest_source": longest_source,
        "origin": dict(origin),
    }
    weights = {
        name: tensor.detach().cpu().clone().contiguous()
        for name, tensor in stored_weights(policy).items()
    }
    with new_folder(folder) as scratch:
        write_whole(scratch / WEIGHTS, save(weights))
        task.save(scratch / TOKENIZERS)
        policy.publish(scratch / TRANSFORMERS)
        target.publish(scratch / TRANSFORMERS)
        text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
        write_whole(scratch / DESCRIPTION, text.encode())


def load_exported(folder: str | Path, device: str | torch.device = "cpu") -> ExportedModel:
    """The model that `save_exported` wrote. Nothing but seqrl's own code is ever called.

    Raises ExportError where the folder holds no whole model.
    """
    import yaml
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    try:
        described = yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if described["format"] != FORMAT:
            raise ExportError(
                f"{folder} has the format {described['format']}, this seqrl reads {FORMAT}"
            )
        specials = Specials(**described["specials"])
        model, decoding = described["model"], described["decoding"]
        policy = _class(model["class"], Policy)(
            **model["arguments"], **described["sizes"], specials=specials
        )
        load_stored(policy, load((folder / WEIGHTS).read_bytes()))
        decoder = _class(decoding["class"], Decoder)(**decoding["arguments"])
        task = _task(described["task"], folder / TOKENIZERS)
        longest = described["longest_source"]
    except FileNotFoundError as error:
        raise ExportError(f"{folder} is no exported model: {error.filename} is missing") from None
    except (SafetensorError, yaml.YAMLError, KeyError, TypeError, RuntimeError) as error:
        raise ExportError(f"{folder} holds no whole exported model: {error}") from None
    device = torch.device(device)
    return ExportedModel(policy.to(device).eval(), task, decoder, device, longest)


def _task(described: Mapping[str, Any], tokenizers: Path) -> Task:
    return Task(
        corpus=_no_corpus,
        source_tokenizer=Tokenizer.load(tokenizers / "source"),
        target_tokenizer=Tokenizer.load(tokenizers / "target"),
        **{**described, "detokenize": _detokenizer(described["detokenize"])},
    )


def _no_corpus() -> Corpus:
    raise CorpusError("an exported model has no corpus")


def _class(name: str, kind: type) -> Any:
    """The class of seqrl with this dotted name; ExportError unless it is of the given kind."""
    found = _found(name)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ExportError(f"{name} is no {kind.__name__} of seqrl")
    return found


def _detokenizer(name: str) -> str | Callable[[str], str]:
    """A word that tasks know, or the function of seqrl with this dotted name."""
    if name in DETOKENIZE:
        return name
    found = _found(name)
    if not inspect.isfunction(found):
        raise ExportError(f"{name} is no function of seqrl")
    return found


def _found(name: str) -> Any:
    """The part of seqrl of this dotted name; None if there is no such thing."""
    if not name.startswith(PACKAGE):
        return None
    try:
        return located(name)
    except UntrustedError:
        return None
