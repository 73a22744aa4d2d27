"""A task: a corpus, its two vocabularies, and how its outputs are scored."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from seqrl.data import moses
from seqrl.data.batching import Split
from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.counts import TokenCounts
from seqrl.data.doubts import doubts
from seqrl.data.filters import Filters
from seqrl.data.tokenizers import EOS, SOURCE_SPECIALS, TARGET_SPECIALS, ClosedTokenizer, Tokenizer
from seqrl.oracle import Oracle
from seqrl.ranges import require

log = logging.getLogger(__name__)

DETOKENIZE = ("none", "moses")


class Task:
    """Data of one task, loaded when they are first asked for.

    name              of the task
    corpus            function of no arguments that gives the corpus
    source_tokenizer  unfitted, or fitted already; None: both sides share the target's, which
                      is then fitted on both
    target_tokenizer  likewise
    metric            what models are selected by
    scores            what is reported
    source_eos        whether sources end in EOS; they do not in ERAC's preparation
    detokenize        how natural text is made of outputs: `none` where they are natural
                      already (or cannot be made so), `moses` by the rules of `target` where
                      that is a code of two letters, else of English
    filters           which pairs are used; None: all
    max_unknown       the largest share of unknown tokens that is tolerated in dev
    oracle            what tells how likely outputs are, where the data are its samples
    data_dir, source, target
                      where the corpus is, and its two languages or fields, for information
    """

    def __init__(
        self,
        *,
        name: str,
        corpus: Callable[[], Corpus],
        target_tokenizer: Tokenizer,
        source_tokenizer: Tokenizer | None = None,
        metric: str = "bleu",
        scores: Sequence[str] = ("bleu", "sacrebleu"),
        source_eos: bool = False,
        detokenize: str | Callable[[str], str] = "none",
        filters: Filters | None = None,
        max_unknown: float = 0.3,
        oracle: Oracle | None = None,
        data_dir: str | None = None,
        source: str | None = None,
        target: str | None = None,
    ) -> None:
        require(
            callable(detokenize) or detokenize in DETOKENIZE,
            f"detokenize must be one of {', '.join(DETOKENIZE)}, not {detokenize!r}",
        )
        require(0 <= max_unknown <= 1, f"max_unknown must be between 0 and 1, not {max_unknown}")
        self.name = name
        self.metric = metric
        self.scores = tuple(scores)
        self.source_eos = source_eos
        self.oracle = oracle
        self.data_dir = data_dir
        self.source = source
        self.target = target
        self._read = corpus
        self._filters = filters or Filters()
        self._detokenize = detokenize
        self._max_unknown = max_unknown
        self._target_tokenizer = target_tokenizer
        self._source_tokenizer = target_tokenizer if source_tokenizer is None else source_tokenizer
        self._splits: dict[str, Split] = {}

    @cached_property
    def corpus(self) -> Corpus:
        """The examples that are used, as text. CorpusError where there can be none.

        What is left out, and what is doubtful about the others, is logged.
        """
        try:
            read = self._read()
        except ValueError as error:  # a setting out of range
            raise CorpusError(f"task.corpus: {error}") from error
        used = self._filters(read)
        for name, examples in used.items():
            left = len(read[name]) - len(examples)
            if left:
                share = f"{left:,} of {len(read[name]):,} {name} pairs"
                log.warning("task %s: task.filters leave out %s", self.name, share)
        for doubt in doubts(used):
            log.warning("task %s: %s", self.name, doubt)
        return used

    @property
    def source_tokenizer(self) -> Tokenizer:
        """Fitted on the training split, unless it was loaded."""
        self._fit()
        return self._source_tokenizer

    @property
    def target_tokenizer(self) -> Tokenizer:
        """Fitted on the training split, unless it was loaded."""
        self._fit()
        return self._target_tokenizer

    @property
    def target_words(self) -> tuple[str, ...] | None:
        """Those of a target vocabulary that is known whatever the data are; None where it is not.

        Reads no data.
        """
        tokenizer = self._target_tokenizer
        return tokenizer.words if isinstance(tokenizer, ClosedTokenizer) else None

    def check(self) -> None:
        """CorpusError for what is wrong whatever the corpus is. Reads no data."""
        self._source_tokenizer.check()
        self._target_tokenizer.check()

    def split(self, name: str) -> Split:
        """One of the corpus's splits as ids.

        Raises CorpusError when the corpus cannot be used or has no such split.
        """
        if name not in self._splits:
            self._splits[name] = self._encoded(name, self._examples(name))
        return self._splits[name]

    @cached_property
    def counts(self) -> TokenCounts:
        """Of the first references of the training split."""
        return TokenCounts(
            (references[0] for references in self.split("train").references),
            size=len(self.target_tokenizer),
            bos=self.target_tokenizer.specials.bos,
        )

    def unlabelled(self, sources: Sequence[str]) -> Split:
        """Sources to be decoded, in the task's own tokenisation; their references are empty.

        An empty source is read as one unknown token, so that every one has an output.
        """
        return self._encoded("input", [Example(source, ("",)) for source in sources])

    def detokenize(self, text: str) -> str:
        """Natural text of an output, which is in the task's tokenisation."""
        if callable(self._detokenize):
            return self._detokenize(text)
        if self._detokenize == "none":
            return text
        language = self.target or ""
        return moses.detokenize(text, language if len(language) == len("en") else "en")

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all examples that are used and of both vocabularies."""
        digest = hashlib.blake2b(digest_size=16)
        states = [self.source_tokenizer.state(), self.target_tokenizer.state()]
        for value in (_plain(self.corpus), states, self.source_eos):
            for part in _flat(value):
                digest.update(f"{len(part)}:".encode())
                digest.update(part)
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write both tokenizers, so that outputs can be made without the corpus."""
        self.source_tokenizer.save(folder / "source")
        self.target_tokenizer.save(folder / "target")

    def load_tokenizers(self, folder: Path) -> None:
        """Take the tokenizers that `save` wrote, in place of fitting them to the corpus."""
        self._source_tokenizer = Tokenizer.load(folder / "source")
        self._target_tokenizer = Tokenizer.load(folder / "target")
        self._splits = {}
        for name in ("fingerprint", "counts"):
            self.__dict__.pop(name, None)

    def _examples(self, name: str) -> list[Example]:
        if name not in self.corpus:
            raise CorpusError(
                f"task {self.name} has no split {name}; it has {', '.join(self.corpus)}"
            )
        return self.corpus[name]

    def _fit(self) -> None:
        if self._source_tokenizer.fitted and self._target_tokenizer.fitted:
            return
        train = self._examples("train")
        sources = [example.source for example in train]
        targets = [example.references[0] for example in train]
        if self._source_tokenizer is self._target_tokenizer:
            self._target_tokenizer.fit([*sources, *targets], specials=TARGET_SPECIALS)
        else:
            names = (*SOURCE_SPECIALS, EOS) if self.source_eos else SOURCE_SPECIALS
            self._source_tokenizer.fit(sources, specials=names)
            self._target_tokenizer.fit(targets, specials=TARGET_SPECIALS)
        self._check_coverage()

    def _check_coverage(self) -> None:
        dev = self.corpus.get("dev", [])
        problems = []
        for side, tokenizer, texts in (
            ("source", self._source_tokenizer, (example.source for example in dev)),
            ("target", self._target_tokenizer, (example.references[0] for example in dev)),
        ):
            share = unknown_share(tokenizer, texts)
            if share > self._max_unknown:
                problems.append(
                    f"{share:.0%} of the dev split's {side} tokens are unknown to the vocabulary "
                    f"of {len(tokenizer)}"
                )
        if problems:
            raise CorpusError(
                f"{' and '.join(problems)}; at most {self._max_unknown:.0%} are allowed. Lower the "
                "tokenizer's min_frequency, raise its size, check that dev is of the same kind as "
                "train, or set task.max_unknown"
            )

    def _encoded(self, name: str, examples: list[Example]) -> Split:
        source, target = self.source_tokenizer, self.target_tokenizer
        ending = [source.specials.eos] if self.source_eos else []
        return Split(
            name=name,
            sources=[(source.encode(e.source) or [source.specials.unk]) + ending for e in examples],
            references=[
                [[*target.encode(text), target.specials.eos] for text in example.references]
                for example in examples
            ],
            examples=examples,
            source_pad=source.specials.pad,
            specials=target.specials,
        )


def unknown_share(tokenizer: Tokenizer, texts: Iterable[str]) -> float:
    """Share of the texts' tokens that the vocabulary lacks, in [0, 1]."""
    unk = tokenizer.specials.unk
    total = unknown = 0
    for text in texts:
        ids = tokenizer.encode(text)
        total += len(ids)
        unknown += ids.count(unk)
    return unknown / total if total else 0.0


def _plain(corpus: Corpus) -> dict[str, list[Any]]:
    return {
        name: [[e.source, list(e.references), list(e.raw)] for e in examples]
        for name, examples in corpus.items()
    }


def _flat(value: Any) -> Iterator[bytes]:
    """The bytes of nested plain values; different values give different sequences."""
    if isinstance(value, dict):
        value = [item for pair in sorted(value.items()) for item in pair]
    if isinstance(value, list):
        yield f"[{len(value)}".encode()
        for item in value:
            yield from _flat(item)
    else:
        yield type(value).__name__.encode()
        yield value if isinstance(value, bytes) else str(value).encode()
