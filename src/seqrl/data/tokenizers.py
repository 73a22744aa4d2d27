"""From text to ids and back; each side of a task has its own tokenizer."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from os.path import expanduser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from seqrl.data.corpus import CorpusError
from seqrl.data.files import write_whole
from seqrl.library import NO_CHECKPOINT, configuration, first_line, places
from seqrl.ranges import require
from seqrl.types import Specials

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<s>", "</s>"
SOURCE_SPECIALS = (PAD, UNK)
TARGET_SPECIALS = (PAD, UNK, BOS, EOS)
FILES = "files"
"""The folder of what a tokenizer of another library consists of."""
_SETTINGS = "tokenizer_config.json"
_PLACES = ("is_local", "local_files_only", "name_or_path")
"""What `transformers` notes of where a tokenizer came from."""
LONGEST = 1 << 20
"""Bytes of a line from which SentencePiece still learns."""
_UNLIMITED = 1 << 30
"""More tokens than any text has."""
_BLANK = "\u2581"
"""What SentencePiece has in the place of a blank."""


def specials_of(names: Sequence[str]) -> Specials:
    """Ids of the special symbols, which stand in this order at the start of a vocabulary."""
    known = (PAD, UNK, BOS, EOS)
    if len(set(names)) < len(names) or not {PAD, UNK} <= set(names) <= set(known):
        raise ValueError(
            f"special symbols must be {PAD} and {UNK}, and may be {BOS} and {EOS}, each once; "
            f"not {', '.join(names)}"
        )
    return Specials(*(names.index(name) if name in names else -1 for name in known))


class Tokenizer(ABC):
    """Text to ids and back. Configured unfitted; `fit` learns the vocabulary.

    Special symbols have the first ids, in the order in which `fit` was given them. Their
    names have no meaning inside a text: `</s>` in a sentence is an unknown token.
    """

    kind: ClassVar[str]
    of_texts: ClassVar[tuple[str, ...]] = ()
    """Entries of `state` that say what is done with texts, not what ids mean."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()

    @property
    def fitted(self) -> bool:
        return bool(self._names)

    @property
    def specials(self) -> Specials:
        """Ids of the special symbols. Raises RuntimeError before `fit`."""
        if not self._names:
            raise RuntimeError("this tokenizer has no vocabulary yet: fit it, or load a state")
        return specials_of(self._names)

    def fit(self, lines: Iterable[str], *, specials: Sequence[str]) -> None:
        """Learn the vocabulary of the lines.

        Raises CorpusError when the lines do not give one.
        """
        specials_of(specials)
        self._learn(lines, tuple(specials))
        self._names = tuple(specials)

    @abstractmethod
    def _learn(self, lines: Iterable[str], specials: tuple[str, ...]) -> None:
        """Learn everything but the names of the special symbols."""

    @abstractmethod
    def __len__(self) -> int:
        """V, special symbols included."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of the tokens of a text, without BOS or EOS."""

    @abstractmethod
    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The symbol of each id, special ones included."""

    @abstractmethod
    def _join(self, ids: list[int]) -> str:
        """The text of ids among which are no special ones but UNK."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text up to the first EOS, in the task's tokenisation; padding and BOS left out."""
        special = self.specials
        kept = []
        for token in ids:
            if token == special.eos:
                break
            if token not in (special.pad, special.bos):
                kept.append(token)
        return self._join(kept)

    def state(self) -> dict[str, Any]:
        """Everything that `from_state` needs, as plain values."""
        return {"kind": self.kind, "specials": list(self._names), **self._vocabulary()}

    def check(self) -> None:  # noqa: B027
        """CorpusError for what is wrong whatever the corpus is."""

    def same_ids(self, other: Tokenizer) -> bool:
        """Whether ids mean to the other what they mean here, so that weights can be exchanged."""
        own, others = (
            {name: value for name, value in one.state().items() if name not in one.of_texts}
            for one in (self, other)
        )
        return own == others

    @abstractmethod
    def _vocabulary(self) -> dict[str, Any]:
        """What was learned, as plain values."""

    @classmethod
    @abstractmethod
    def _restored(cls, state: Mapping[str, Any]) -> Self:
        """A tokenizer that has learned what `_vocabulary` gave."""

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> Tokenizer:
        """The tokenizer whose `state()` this is."""
        kinds: tuple[type[Tokenizer], ...] = (
            WordTokenizer,
            ClosedTokenizer,
            CharacterTokenizer,
            SentencePieceTokenizer,
            PretrainedTokenizer,
        )
        kind = next((kind for kind in kinds if kind.kind == state["kind"]), None)
        if kind is None:
            known = ", ".join(kind.kind for kind in kinds)
            raise ValueError(f"no tokenizer is called {state['kind']!r}; there are {known}")
        tokenizer = kind._restored(state)
        tokenizer._names = tuple(state["specials"])
        return tokenizer

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`, and `tokenizer.model` or a folder of files where it has them."""
        folder.mkdir(parents=True, exist_ok=True)
        state = self.state()
        model = state.pop("model", None)
        if model is not None:
            write_whole(folder / "tokenizer.model", model)
        _write(folder / FILES, state.pop("files", {}))
        text = json.dumps(state, ensure_ascii=False, indent=0)
        write_whole(folder / "tokenizer.json", text.encode())

    def publish(self, folder: Path) -> None:  # noqa: B027 - most come from no library
        """Write the tokenizer as the library that it comes from reads it, if there is one."""

    @staticmethod
    def load(folder: Path) -> Tokenizer:
        """The tokenizer that `save` wrote into the folder."""
        state = json.loads((folder / "tokenizer.json").read_bytes())
        model = folder / "tokenizer.model"
        if model.exists():
            state["model"] = model.read_bytes()
        if (folder / FILES).is_dir():
            state["files"] = _contents(folder / FILES)
        return Tokenizer.from_state(state)


class _SymbolTokenizer(Tokenizer):
    """One id for each symbol that is frequent enough, the frequent ones first."""

    separator: ClassVar[str]

    def __init__(self, *, min_frequency: int = 1, max_size: int | None = None) -> None:
        super().__init__()
        require(min_frequency >= 1, f"min_frequency must be at least 1, not {min_frequency}")
        require(max_size is None or max_size >= 1, f"max_size must be at least 1, not {max_size}")
        self.min_frequency = min_frequency
        self.max_size = max_size
        self._symbols: list[str] = []
        self._ids: dict[str, int] = {}

    @abstractmethod
    def _split(self, text: str) -> Iterable[str]:
        """The symbols of a text."""

    def _learn(self, lines: Iterable[str], specials: tuple[str, ...]) -> None:
        counts = Counter(symbol for line in lines for symbol in self._split(line))
        frequent = [
            symbol
            for symbol, count in counts.items()
            if count >= self.min_frequency and symbol not in (PAD, UNK, BOS, EOS)
        ]
        if not frequent:
            raise CorpusError(
                f"no {self.kind} occurs {self.min_frequency} times in the training split; "
                "lower min_frequency, or check the tokenisation"
            )
        frequent.sort(key=lambda symbol: (-counts[symbol], symbol))
        self._number([*specials, *frequent[: self.max_size]], len(specials))

    def _number(self, symbols: list[str], specials: int) -> None:
        self._symbols = symbols
        self._ids = {symbol: i for i, symbol in enumerate(symbols) if i >= specials}

    def __len__(self) -> int:
        return len(self._symbols)

    def encode(self, text: str) -> list[int]:
        unk = self.specials.unk
        return [self._ids.get(symbol, unk) for symbol in self._split(text)]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [self._symbols[i] for i in ids]

    def _join(self, ids: list[int]) -> str:
        return self.separator.join(self.tokens(ids))

    def _vocabulary(self) -> dict[str, Any]:
        return {"symbols": list(self._symbols)}

    @classmethod
    def _restored(cls, state: Mapping[str, Any]) -> Self:
        tokenizer = cls()
        tokenizer._number(list(state["symbols"]), len(state["specials"]))
        return tokenizer


class WordTokenizer(_SymbolTokenizer):
    """Tokens are what stands between blanks.

    min_frequency  rarer words are unknown
    max_size       only so many words, the most frequent ones; special symbols not counted

    Words of equal frequency are in alphabetical order.
    """

    kind = "word"
    separator = " "

    def _split(self, text: str) -> Iterable[str]:
        return (word for word in text.split(" ") if word)


class ClosedTokenizer(_SymbolTokenizer):
    """Tokens are words known beforehand, in the order given, whether they occur or not."""

    kind = "closed"
    separator = " "

    def __init__(self, *, words: Sequence[str]) -> None:
        super().__init__()
        require(len(words) >= 1, "words must be at least one")
        require(len(set(words)) == len(words), "words must differ from each other")
        self.words = tuple(words)

    def _learn(self, lines: Iterable[str], specials: tuple[str, ...]) -> None:
        self._number([*specials, *self.words], len(specials))

    def _split(self, text: str) -> Iterable[str]:
        return text.split()

    @classmethod
    def _restored(cls, state: Mapping[str, Any]) -> Self:
        tokenizer = cls(words=state["symbols"][len(state["specials"]) :])
        tokenizer._number(list(state["symbols"]), len(state["specials"]))
        return tokenizer


def numbers(*, size: int) -> ClosedTokenizer:
    """Tokens are the numbers from 0 to `size` - 1."""
    require(size >= 1, f"size must be at least 1, not {size}")
    return ClosedTokenizer(words=[str(number) for number in range(size)])


class CharacterTokenizer(_SymbolTokenizer):
    """Tokens are characters, blanks included."""

    kind = "character"
    separator = ""

    def _split(self, text: str) -> Iterable[str]:
        return text


class SentencePieceTokenizer(Tokenizer):
    """Subwords of Kudo and Richardson (2018), learned from the training split.

    vocabulary_size  V, special symbols included
    model_type       `unigram` or `bpe`
    symbols          words of the text that are one piece each, whatever their frequency

    Text is not normalised. One thread, no sampling: the same text gives the same model.
    """

    kind = "sentencepiece"
    model_types = ("unigram", "bpe")

    def __init__(
        self, *, vocabulary_size: int, model_type: str = "unigram", symbols: Sequence[str] = ()
    ) -> None:
        super().__init__()
        require(vocabulary_size >= 5, f"vocabulary_size must be at least 5, not {vocabulary_size}")
        require(
            model_type in self.model_types,
            f"model_type must be one of {', '.join(self.model_types)}, not {model_type!r}",
        )
        self.vocabulary_size = vocabulary_size
        self.model_type = model_type
        self.symbols = tuple(symbols)
        self._model = b""

    def _learn(self, lines: Iterable[str], specials: tuple[str, ...]) -> None:
        from sentencepiece import SentencePieceTrainer

        ids = specials_of(specials)
        model = BytesIO()
        try:
            SentencePieceTrainer.train(
                sentence_iterator=iter(lines),
                model_writer=model,
                vocab_size=self.vocabulary_size,
                model_type=self.model_type,
                pad_id=ids.pad,
                unk_id=ids.unk,
                bos_id=ids.bos,
                eos_id=ids.eos,
                pad_piece=PAD,
                unk_piece=UNK,
                bos_piece=BOS,
                eos_piece=EOS,
                unk_surface=UNK,
                user_defined_symbols=[f"{_BLANK}{symbol}" for symbol in self.symbols],
                normalization_rule_name="identity",
                character_coverage=1.0,
                max_sentence_length=LONGEST,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            most = re.search(r"value <= (\d+)", str(error))
            least = re.search(r"required_chars\. \d+ vs (\d+)", str(error))
            why = f"it has text for at most {most[1]}" if most else str(error)
            if least:
                why = f"its characters alone, and the special symbols, are {least[1]}"
            if "sentences_.empty()" in str(error):
                why = f"every line is longer than {LONGEST:,} bytes"
            raise CorpusError(
                f"SentencePiece cannot learn {self.vocabulary_size} pieces from the training "
                f"split: {why}; change the tokenizer's vocabulary_size"
            ) from error
        self._load(model.getvalue())

    def _load(self, model: bytes) -> None:
        from sentencepiece import SentencePieceProcessor

        self._model = model
        self._processor = SentencePieceProcessor(model_proto=model)

    def __len__(self) -> int:
        return int(self._processor.get_piece_size()) if self._model else 0

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._processor.encode(text)
        return ids

    def tokens(self, ids: Sequence[int]) -> list[str]:
        return [self._processor.id_to_piece(int(i)) for i in ids]

    def _join(self, ids: list[int]) -> str:
        text: str = self._processor.decode(list(map(int, ids)))
        return text

    def _vocabulary(self) -> dict[str, Any]:
        return {"model_type": self.model_type, "model": self._model}

    @classmethod
    def _restored(cls, state: Mapping[str, Any]) -> Self:
        from sentencepiece import SentencePieceProcessor

        size = SentencePieceProcessor(model_proto=state["model"]).get_piece_size()
        tokenizer = cls(vocabulary_size=size, model_type=state["model_type"])
        tokenizer._load(state["model"])
        return tokenizer


class PretrainedTokenizer(Tokenizer):
    """One side of the tokenizer that belongs to a checkpoint of the `transformers` library.

    checkpoint  its name on the Hugging Face hub, or its folder
    side        `source`, whose ids are what the checkpoint's encoder reads, its special tokens
                among them; or `target`, whose ids have none
    revision    of a name on the hub: branch, tag or commit
    prefix      what every source begins with
    max_tokens  longer texts are cut to so many ids, special ones and EOS included; None: as many
                as the checkpoint reads
    source_language, target_language  of a tokenizer that has several, as it calls them; None:
                those that it starts with

    Nothing is learned. BOS is what the checkpoint's tokenizer puts before targets, or padding
    where that is nothing: no text holds either. Tokens that the network has no row for, such as
    the masks of some BARTs, are unknown.
    """

    kind = "pretrained"
    of_texts = ("prefix", "max_tokens", "limits")
    sides = ("source", "target")

    def __init__(
        self,
        *,
        checkpoint: str | None,
        side: str,
        revision: str | None = None,
        prefix: str = "",
        max_tokens: int | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> None:
        super().__init__()
        require(side in self.sides, f"side must be source or target, not {side!r}")
        require(
            max_tokens is None or max_tokens >= 2,
            f"max_tokens must be at least 2, not {max_tokens}",
        )
        require(bool(checkpoint), NO_CHECKPOINT)
        self.checkpoint = str(checkpoint)
        self.side = side
        self.revision = revision
        self.prefix = prefix
        self.max_tokens = max_tokens
        languages = {"src_lang": source_language, "tgt_lang": target_language}
        self.languages = {name: code for name, code in languages.items() if code is not None}
        self._names = TARGET_SPECIALS

    def check(self) -> None:
        len(self)
        _ = self.specials

    def publish(self, folder: Path) -> None:
        _write(folder, self._files)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        """The files that `transformers` makes the tokenizer of; they do not say where it was."""
        library = _library()
        try:
            tokenizer = self._read(library)
        except Exception as error:  # of many kinds, where files are missing or others'
            raise CorpusError(
                f"the tokenizer of {self.checkpoint} cannot be read: {first_line(error)}"
            ) from None
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        words = {w for w in words if not (w[:1] == "<" and w[-1:] == ">")}
        if len(words) <= 1:  # the library makes an empty one where there are no files
            raise CorpusError(f"{self.checkpoint} has no tokenizer: save it beside the weights")
        if self.languages:
            self._check_languages(tokenizer)
            tokenizer = self._read(library, **self.languages)
        with TemporaryDirectory() as scratch:
            tokenizer.save_pretrained(scratch)
            files = _contents(Path(scratch))
        described = json.loads(files[_SETTINGS])
        own = {name: value for name, value in described.items() if name not in _PLACES}
        return files | {_SETTINGS: json.dumps(own, ensure_ascii=False, indent=0).encode()}

    def _read(self, library: Any, **languages: str) -> Any:
        return library.AutoTokenizer.from_pretrained(
            expanduser(self.checkpoint),
            revision=self.revision or "main",
            trust_remote_code=False,
            **languages,
        )

    def _check_languages(self, tokenizer: Any) -> None:
        """CorpusError where the tokenizer has no choice of languages, or not these."""
        if not hasattr(tokenizer, "src_lang"):
            raise CorpusError(f"the tokenizer of {self.checkpoint} has no choice of languages")
        known = {*tokenizer.all_special_tokens, *getattr(tokenizer, "lang_code_to_id", ())}
        for code in self.languages.values():
            if code not in known:
                close = [one for one in sorted(known) if one.startswith(code[:2])]
                raise CorpusError(
                    f"the tokenizer of {self.checkpoint} has no language {code}"
                    + (f"; did you mean {' or '.join(close)}?" if close else "")
                )

    @cached_property
    def _limits(self) -> tuple[int, int]:
        """V, and the most ids of a text with its special ones: what tokenizer and network allow."""
        known = self._tokenizer
        try:
            config = configuration(self.checkpoint, self.revision)
        except ValueError as error:
            raise CorpusError(str(error)) from None
        rows = getattr(config, "vocab_size", None) or len(known)
        lost = [i for i in range(rows, len(known)) if i not in known.all_special_ids]
        if lost:
            raise CorpusError(
                f"{self.checkpoint}: the tokenizer has {len(known)} tokens, the network {rows}; "
                "they do not belong together"
            )
        asked = known.model_max_length if self.max_tokens is None else self.max_tokens
        return min(rows, len(known)), min(asked, places(config, self.side) or asked, _UNLIMITED)

    @cached_property
    def _tokenizer(self) -> Any:
        library = _library()
        with TemporaryDirectory() as scratch:
            _write(Path(scratch), self._files)
            tokenizer = library.AutoTokenizer.from_pretrained(
                scratch, split_special_tokens=True, trust_remote_code=False
            )
        if getattr(tokenizer, "separate_vocabs", False):
            raise CorpusError(f"{self.checkpoint} has a vocabulary for each side: not supported")
        if tokenizer.pad_token_id is None or tokenizer.eos_token_id is None:
            raise CorpusError(f"the tokenizer of {self.checkpoint} has no padding or no EOS")
        if max(tokenizer("").input_ids, default=0) >= len(tokenizer):  # M2M-100's languages
            raise CorpusError(
                f"the tokenizer of {self.checkpoint} has more tokens than it counts: not supported"
            )
        return tokenizer

    @cached_property
    def _before(self) -> list[int]:
        """What the tokenizer puts before targets."""
        found: list[int] = self._tokenizer(text_target="").input_ids
        ends = [place for place, i in enumerate(found) if i == self._tokenizer.eos_token_id]
        before = found[: ends[-1]] if ends else found
        if "tgt_lang" in self.languages and not before:
            raise CorpusError(
                f"the tokenizer of {self.checkpoint} puts no language before targets: what the "
                "checkpoint's decoder reads first cannot be chosen"
            )
        return before

    @cached_property
    def _specials(self) -> Specials:
        known = self._tokenizer
        pad, eos, unk = known.pad_token_id, known.eos_token_id, known.unk_token_id
        bos = next((i for i in reversed(self._before) if i != eos), pad)
        return Specials(pad=pad, unk=pad if unk is None else unk, bos=bos, eos=eos)

    @property
    def specials(self) -> Specials:
        return self._specials

    def _learn(self, lines: Iterable[str], specials: tuple[str, ...]) -> None:
        raise CorpusError("the tokenizer of a checkpoint learns nothing")

    def __len__(self) -> int:
        return self._limits[0]

    def __getstate__(self) -> dict[str, Any]:
        """Without what holds on to files that are gone."""
        state = {**self.__dict__, "_files": self._files, "_limits": self._limits}
        state.pop("_tokenizer", None)
        return state

    def encode(self, text: str) -> list[int]:
        size, most = self._limits
        special = self.specials
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        if self.side == "source":
            barred: tuple[int, ...] = (special.pad,)
            found = self._tokenizer(self.prefix + text, truncation=True, max_length=most).input_ids
        else:
            barred = (special.pad, special.bos, special.eos)
            found = self._tokenizer(text_target=text, add_special_tokens=False).input_ids
            found = found[: most - len(self._before) - 1]
        return [special.unk if i in barred or i >= size else i for i in found]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        found: list[str] = self._tokenizer.convert_ids_to_tokens([int(i) for i in ids])
        return found

    def _join(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)
        return text

    def _vocabulary(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "prefix": self.prefix,
            "max_tokens": self.max_tokens,
            "limits": list(self._limits),
            "files": dict(self._files),
        }

    @classmethod
    def _restored(cls, state: Mapping[str, Any]) -> Self:
        options = {name: state[name] for name in ("side", "prefix", "max_tokens")}
        tokenizer = cls(checkpoint="a saved tokenizer", **options)
        tokenizer.__dict__["_files"] = dict(state["files"])
        tokenizer.__dict__["_limits"] = tuple(state["limits"])
        return tokenizer


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / name, content)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _library() -> Any:
    """The `transformers` library; CorpusError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise CorpusError(
            "the tokenizer of a checkpoint needs transformers: pip install 'seqrl[hf]'"
        ) from None
    return transformers
