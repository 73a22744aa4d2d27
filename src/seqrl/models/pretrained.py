"""Encoder-decoders of the `transformers` library (Marian, T5, BART, ...) behind our contract.

The library's encoder, decoder and projection are called one by one, and its keys and values kept
as plain tensors: rollouts, searches and algorithms are ours, as for every other network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os.path import expanduser
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from seqrl.library import NO_CHECKPOINT, SIDES, configuration, first_line, places
from seqrl.models.base import Policy
from seqrl.models.projection import BARRED
from seqrl.ranges import require
from seqrl.types import Specials, token_places

Pairs = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values [N, A, t, H / A] of every layer of the decoder."""

RATES = ("dropout", "dropout_rate", "attention_dropout", "activation_dropout")
"""What configurations call their rates of dropout; T5 has one, `dropout_rate`."""

PROBES = ([3, 1, 2], [2, 3, 1])
"""Tokens that a new network is tried with, of a source and of an output."""


@dataclass(frozen=True)
class PretrainedMemory:
    """The encoded source of B sentences.

    hidden [B, S, H], mask [B, S]; pairs of the decoder's attention to the source
    """

    hidden: Tensor
    mask: Tensor
    pairs: Pairs

    def select(self, rows: Tensor) -> PretrainedMemory:
        return PretrainedMemory(self.hidden[rows], self.mask[rows], selected(self.pairs, rows))


@dataclass(frozen=True)
class PretrainedState:
    """Pairs of the tokens that were read, the first ones' included; none before the first step."""

    pairs: Pairs = ()

    def select(self, rows: Tensor) -> PretrainedState:
        return PretrainedState(selected(self.pairs, rows))


def selected(pairs: Pairs, rows: Tensor) -> Pairs:
    """The pairs of these rows."""
    return tuple((keys[rows], values[rows]) for keys, values in pairs)


class Pretrained(Policy[PretrainedMemory, PretrainedState]):
    """A checkpoint that `AutoModelForSeq2SeqLM` loads, in float32.

    checkpoint    its name on the Hugging Face hub, or its folder
    revision      of a name on the hub: branch, tag or commit
    dropout       all rates of dropout; None: the checkpoint's own
    bar_specials  whether padding and BOS are no actions, as `suppress_tokens` makes them for
                  the library's `generate`
    architecture  in place of a checkpoint: the plain values of its configuration, `model_type`
                  among them; weights are drawn
    first         with it: the tokens that the decoder reads in place of BOS; None: the
                  configuration's

    Outputs start as the checkpoint was trained to start them: in place of BOS the decoder reads
    `decoder_start_token_id` and then what its tokenizer puts before targets, or else
    `forced_bos_token_id`. LayerDrop is turned off. ValueError for what cannot be used.
    """

    barred: Tensor
    first: Tensor

    def __init__(
        self,
        *,
        source_size: int,
        target_size: int,
        specials: Specials,
        checkpoint: str | None = None,
        revision: str | None = None,
        dropout: float | None = None,
        bar_specials: bool = True,
        architecture: Mapping[str, Any] | None = None,
        first: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        require(dropout is None or 0 <= dropout < 1, f"dropout must lie in [0, 1), not {dropout}")
        require(
            (checkpoint is None) is not (architecture is None),
            NO_CHECKPOINT,
        )
        config = encoder_decoder(checkpoint, revision, architecture)
        if dropout is not None:
            config.update({name: dropout for name in RATES if hasattr(config, name)})
        self.model = made(config, checkpoint, revision)
        for name in self.model._keys_to_ignore_on_save or ():  # Marian's sinusoids, which are given
            self.model.get_parameter(name).requires_grad_(False)
        head, table = self.model.get_output_embeddings(), self.model.get_input_embeddings()
        require(isinstance(head, nn.Linear), self._unknown())
        sizes = table.num_embeddings, head.out_features
        require(
            source_size <= sizes[0] and target_size <= sizes[1],
            f"the tokenizer has {source_size} and {target_size} tokens, the checkpoint {sizes[0]} "
            f"and {sizes[1]}: they do not belong together",
        )
        self.trained = checkpoint is not None
        self.specials = specials
        self.target_size = target_size
        self.feature_size = head.in_features
        self.scale = 1.0
        self._first = first_tokens(self.model, specials) if first is None else list(first)
        barred = list(specials.no_actions) if bar_specials else []
        self.register_buffer("barred", torch.tensor(barred, dtype=torch.long), persistent=False)
        self.register_buffer("first", torch.tensor(self._first), persistent=False)
        self._places = {side: places(config, side) for side in SIDES}
        written = self._places["target"]
        self.longest = None if written is None else written - len(self._first) + 1
        rates = [float(getattr(config, name)) for name in RATES if hasattr(config, name)]
        # the library has dropout that is no module: this one switches it, see `_network`
        self.dropout = nn.Dropout(max(rates, default=0.0))
        if not self.first.is_meta:
            self._find_scale()

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in given.items() if k not in ("checkpoint", "revision")}
        architecture = self.model.config.to_dict()
        architecture.pop("_name_or_path", None)
        return {**kept, "architecture": architecture, "first": list(self._first)}

    def publish(self, folder: Path) -> None:
        self.model.save_pretrained(folder)

    def encode(self, source: Tensor, mask: Tensor) -> PretrainedMemory:
        self._check_length(source.shape[1], "source")
        encoder = self._network().get_encoder()
        hidden = encoder(input_ids=source, attention_mask=mask.long()).last_hidden_state
        # the pairs do not depend on what is read: any token makes the decoder compute them
        start = self.first[:1].expand(len(source), 1)
        _, cache = self._read(PretrainedMemory(hidden, mask, ()), PretrainedState(), start)
        return PretrainedMemory(hidden, mask, pairs_of(cache.cross_attention_cache))

    def features(
        self, memory: PretrainedMemory, inputs: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        tokens = self._started(inputs)
        self._check_length(tokens.shape[1], "target")
        hidden, _ = self._read(memory, PretrainedState(), tokens)
        hidden = hidden[:, len(self.first) - 1 :]
        return hidden if mask is None else hidden.flatten(0, 1)[token_places(mask)]

    def project(self, features: Tensor) -> Tensor:
        logits = self.model.get_output_embeddings()(features)
        bias = getattr(self.model, "final_logits_bias", None)
        if bias is not None:
            logits = logits + bias.squeeze(0)
        logits = logits[..., : self.target_size]
        barred: Tensor = logits.index_fill(-1, self.barred, BARRED)
        return barred

    def start(self, memory: PretrainedMemory) -> PretrainedState:
        return PretrainedState()

    def step(
        self, memory: PretrainedMemory, state: PretrainedState, token: Tensor
    ) -> tuple[Tensor, PretrainedState]:
        words = token.unsqueeze(1)
        words = words if state.pairs else self._started(words)
        known = state.pairs[0][0].shape[2] if state.pairs else 0
        self._check_length(known + words.shape[1], "target")
        hidden, cache = self._read(memory, state, words)
        return self.project(hidden[:, -1]), PretrainedState(pairs_of(cache.self_attention_cache))

    def _started(self, inputs: Tensor) -> Tensor:
        """Inputs [N, T] with the checkpoint's first tokens in place of BOS."""
        return torch.cat([self.first.expand(len(inputs), -1), inputs[:, 1:]], dim=1)

    def _read(
        self, memory: PretrainedMemory, state: PretrainedState, tokens: Tensor
    ) -> tuple[Tensor, Any]:
        """What `project` reads, [N, T, H], at tokens [N, T] after the state's, and all pairs."""
        from transformers import DynamicCache, EncoderDecoderCache

        network = self._network()
        cache = EncoderDecoderCache(
            DynamicCache(state.pairs or None), DynamicCache(memory.pairs or None)
        )
        read = network.get_decoder()(
            input_ids=tokens,
            encoder_hidden_states=memory.hidden,
            encoder_attention_mask=memory.mask.long(),
            past_key_values=cache,
            use_cache=True,
        )
        hidden = read.last_hidden_state
        return hidden if self.scale == 1 else hidden * self.scale, read.past_key_values

    def _network(self) -> Any:
        """The library's model, in training mode where `dropout` is."""
        if self.model.training is not self.dropout.training:
            self.model.train(self.dropout.training)
        return self.model

    def _check_length(self, length: int, side: str) -> None:
        most = self._places[side]
        if most is not None and length > most:
            raise ValueError(
                f"{'a source' if side == 'source' else 'an output'} has {length} tokens, the "
                f"checkpoint reads {most}: set model.max_tokens or decoding.max_length"
            )

    @torch.no_grad()
    def _find_scale(self) -> None:
        """What the library multiplies features by: T5 where tables are tied, by 1 / sqrt(H).

        ValueError where the parts, put together, are not the whole.
        """
        training = self.training
        self.eval()
        source, inputs = (torch.tensor([probe]) for probe in PROBES)
        tokens = self._started(inputs)
        try:
            whole = self._network()(input_ids=source, decoder_input_ids=tokens).logits
            expected = whole[:, len(self.first) - 1 :, : self.target_size]
            expected = expected.index_fill(-1, self.barred, BARRED)
            memory = self.encode(source, torch.ones_like(source, dtype=torch.bool))
            features = self.features(memory, inputs)
        except (AttributeError, TypeError):
            raise ValueError(self._unknown()) from None
        scales = (1.0, self.feature_size**-0.5)
        fits = [s for s in scales if _close(self.project(features * s), expected)]
        require(bool(fits), self._unknown())
        self.scale = next(iter(fits), 1.0)
        self.train(training)

    def _unknown(self) -> str:
        return f"{type(self.model).__name__} is no encoder-decoder of a kind that is known here"


def _close(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-3, atol=1e-3)


def encoder_decoder(
    checkpoint: str | None, revision: str | None, architecture: Mapping[str, Any] | None
) -> Any:
    """The library's configuration of a checkpoint or an architecture, without LayerDrop."""
    if checkpoint is not None:
        config = configuration(checkpoint, revision)
    else:
        from transformers import AutoConfig

        config = AutoConfig.for_model(**(architecture or {}))
    require(
        bool(config.is_encoder_decoder),
        f"checkpoint must be an encoder-decoder; {config.model_type} is none",
    )
    config.update(dict.fromkeys(("encoder_layerdrop", "decoder_layerdrop"), 0.0))
    return config


def made(config: Any, checkpoint: str | None, revision: str | None) -> Any:
    """The model with its weights; on the meta device, or without a checkpoint, without them."""
    from safetensors import SafetensorError
    from transformers import AutoModelForSeq2SeqLM, GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    if checkpoint is None:
        return AutoModelForSeq2SeqLM.from_config(config)
    place, revision = expanduser(checkpoint), revision or "main"
    if torch.get_default_device().type == "meta":
        model = AutoModelForSeq2SeqLM.from_config(config)
        with suppress(OSError):  # older checkpoints have these settings in their configuration
            model.generation_config = GenerationConfig.from_pretrained(place, revision=revision)
        return model
    try:
        model, found = AutoModelForSeq2SeqLM.from_pretrained(
            place,
            config=config,
            revision=revision,
            dtype=torch.float32,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except UnpicklingError:
        raise ValueError(
            f"checkpoint {checkpoint}: its weights are a pickle of more than tensors, which may "
            "execute anything and is not loaded; safetensors are"
        ) from None
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ValueError(f"checkpoint {checkpoint}: {first_line(error)}") from None
    missing = sorted(found["missing_keys"])
    require(not missing, f"checkpoint {checkpoint}: its weights lack {', '.join(missing[:3])}")
    return model.train()


def first_tokens(model: Any, specials: Specials) -> list[int]:
    """The tokens that every output of the checkpoint starts with, before its own.

    After the decoder's first one there may be a second: the one that its tokenizer puts before
    targets, such as a language, or else the one that is forced.
    """
    settings = model.generation_config
    start = settings.decoder_start_token_id
    start = settings.bos_token_id if start is None else start
    require(start is not None, "the checkpoint does not say what its decoder reads first")
    own = specials.bos not in (start, specials.pad)
    second = specials.bos if own else settings.forced_bos_token_id
    return [start] if second is None else [start, second]


def pairs_of(cache: Any) -> Pairs:
    """The keys and values that a cache of the library holds."""
    return tuple((layer.keys, layer.values) for layer in cache.layers)
