import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from seqrl.cli.data import main
from seqrl.data.corpus import Corpus, CorpusError, Example
from seqrl.data.filters import Filters
from seqrl.data.multi30k import multi30k
from seqrl.data.phrases import phrases
from seqrl.data.task import Task
from seqrl.data.tokenizers import CharacterTokenizer, SentencePieceTokenizer, WordTokenizer
from seqrl.types import Specials

CONF = Path(__file__).parents[2] / "conf" / "task"


def configuration(name: str, **changed: object) -> DictConfig:
    """A task's file where it stands in a whole configuration, without what others read in it."""
    config = OmegaConf.create({"task": OmegaConf.load(CONF / f"{name}.yaml")})
    config.task.pop("defaults", None)
    config.task.pop("budget", None)
    config.task.update(changed)
    return config.task


def corpus() -> Corpus:
    return {
        "train": [Example("b a a", ("x y",)), Example("a", ("x",))],
        "dev": [Example("a b", ("y x", "x"), ("Y, X.",))],
        "test": [Example("a c", ("x z",))],
    }


def task(read=corpus, **settings) -> Task:
    plain = {"source_tokenizer": WordTokenizer(), "target_tokenizer": WordTokenizer()}
    return Task(name="toy", corpus=read, **{**plain, **settings})


def test_splits_hold_the_ids_of_all_references():
    split = task().split("dev")  # source: pad unk a b; target: pad unk bos eos x y
    assert split.sources == [[2, 3]]
    assert split.references == [[[5, 4, 3], [4, 3]]]
    assert split.examples == corpus()["dev"]
    assert split.source_pad == 0
    assert split.specials == Specials(0, 1, 2, 3)
    assert task().split("test").sources == [[2, 1]]


def test_sources_end_in_eos_when_asked():
    split = task(source_eos=True).split("train")
    assert split.sources == [[4, 3, 3, 2], [3, 2]]  # pad unk eos a b


def test_one_tokenizer_for_both_sides_is_fitted_on_both():
    shared = task(source_tokenizer=None)
    assert shared.source_tokenizer is shared.target_tokenizer
    assert len(shared.target_tokenizer) == 4 + 4
    assert shared.split("dev").sources == [[4, 6]]  # a: 3, x: 2, b and y: 1


def test_nothing_is_read_before_it_is_needed():
    reads = []

    def read() -> Corpus:
        reads.append(1)
        return corpus()

    lazy = task(read)
    assert not reads
    for name in ("train", "dev", "test", "dev"):
        lazy.split(name)
    assert len(reads) == 1


def test_vocabularies_are_of_the_filtered_training_split():
    short = task(filters=Filters(max_source_tokens=1), max_unknown=0.9)
    assert len(short.source_tokenizer) == 3
    assert len(short.split("train")) == 1
    assert len(short.split("dev")) == 1


def test_poor_coverage_is_refused():
    tokenizers = {"source_tokenizer": WordTokenizer(max_size=1)}
    with pytest.raises(CorpusError, match=r"50% of the dev split's source tokens .* of 3; .*30%"):
        task(**tokenizers).split("dev")
    assert task(**tokenizers, max_unknown=0.5).split("dev").sources == [[2, 1]]


def test_unknown_splits_are_named():
    with pytest.raises(CorpusError, match="no split valid; it has train, dev, test"):
        task().split("valid")


def test_fingerprint_is_a_function_of_the_data():
    def changed(**splits):
        return lambda: {**corpus(), **splits}

    base = task().fingerprint
    assert base == task(metric="rouge", max_unknown=0.9).fingerprint
    others = [
        task(changed(test=[Example("a c", ("x",))])).fingerprint,
        task(changed(dev=[Example("a b", ("y x", "x"))])).fingerprint,
        task(changed(dev=[Example("a b", ("y x",), ("x", "Y, X."))])).fingerprint,
        task(source_tokenizer=WordTokenizer(min_frequency=2), max_unknown=1).fingerprint,
        task(source_tokenizer=CharacterTokenizer()).fingerprint,
        task(filters=Filters(max_source_tokens=1), max_unknown=1).fingerprint,
        task(source_eos=True).fingerprint,
    ]
    assert len({base, *others}) == len(others) + 1


def test_fingerprint_does_not_depend_on_the_process():
    code = "import test_task; print(test_task.task().fingerprint)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == task().fingerprint


@pytest.mark.parametrize(
    "tokenizer", [WordTokenizer, partial(SentencePieceTokenizer, vocabulary_size=6)]
)
def test_stored_tokenizers_need_no_corpus(tmp_path, tokenizer):
    whole = task(source_tokenizer=tokenizer(), target_tokenizer=WordTokenizer())
    whole.save(tmp_path)

    def no_corpus() -> Corpus:
        raise CorpusError("gone")

    stored = task(no_corpus, source_tokenizer=tokenizer())
    stored.load_tokenizers(tmp_path)
    split = stored.unlabelled(["a b", "", "b"])
    assert split.sources[0] == whole.split("dev").sources[0]
    assert split.sources[1] == [whole.source_tokenizer.specials.unk]
    assert split.references == [[[3]]] * 3
    assert stored.target_tokenizer.decode([4, 5, 3]) == "x y"
    with pytest.raises(CorpusError, match="gone"):
        stored.split("dev")


def test_detokenize_makes_natural_text():
    tokens = "he said : &quot; it &apos;s a t-shirt , isn &apos;t it ? &quot;"
    assert task().detokenize(tokens) == tokens
    natural = "he said: \"it's a t-shirt, isn't it?\""
    assert task(detokenize="moses", target="en").detokenize(tokens) == natural
    assert task(detokenize="moses", target="summary").detokenize(tokens) == natural


def test_settings_are_checked():
    with pytest.raises(ValueError, match="detokenize"):
        task(detokenize="spacy")
    with pytest.raises(ValueError, match="max_unknown"):
        task(max_unknown=30)


@pytest.mark.parametrize("name", ["multi30k", "iwslt14", "text", "jsonl"])
def test_configurations_build_a_task(name, tmp_path):
    built = instantiate(configuration(name, data_dir=str(tmp_path), source="de", target="en"))
    assert built.name == name
    assert (built.data_dir, built.source, built.target) == (str(tmp_path), "de", "en")
    with pytest.raises(CorpusError, match=re.escape(str(tmp_path))):
        built.split("train")


def files(folder: Path) -> Path:
    for split, source, target in (
        ("train", "a b\na\na\n", "x y\nx\nx\n"),
        ("dev", "a c\n", "x\n"),
        ("test", "a\nb\n", "x\ny\n"),
    ):
        (folder / f"{split}.de").write_text(source)
        (folder / f"{split}.en").write_text(target)
    return folder


def test_text_configuration_reads_files(tmp_path):
    where = {"data_dir": str(files(tmp_path)), "source": "de", "target": "en"}
    built = instantiate(configuration("text", **where, max_unknown=0.5))
    assert built.split("test").sources == [[2], [3]]


def test_doctor_tells_sizes_coverage_and_duplicates(tmp_path, capsys):
    assert main(["doctor", str(files(tmp_path)), "--source", "de", "--target", "en"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "train: 3 pairs, 3 references, "
        "source 1.3 tokens (longest 2), target 1.3 tokens (longest 2)",
        "dev: 1 pairs, 1 references, source 2.0 tokens (longest 2), target 1.0 tokens (longest 1)",
        "test: 2 pairs, 2 references, source 1.0 tokens (longest 1), target 1.0 tokens (longest 1)",
        "source vocabulary: 2 words that occur at least 1 times, "
        "50.0% of dev unknown, 0.0% of test unknown",
        "target vocabulary: 2 words that occur at least 1 times, "
        "0.0% of dev unknown, 0.0% of test unknown",
        "train: 1 pairs occur more than once",
        "dev: 0 sources stand in train too, 0 of them with the same target",
        "test: 1 sources stand in train too, 1 of them with the same target",
        "doubtful: 1 of 2 test pairs stand in train too, e.g. line 1 of test, which is line 2 of "
        "train: scores on them say nothing of other text",
    ]


def test_doctor_reads_json_lines(tmp_path, capsys):
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.jsonl").write_text('{"d": "A b", "s": ["x", "y"]}\n')
    options = ["--source", "d", "--target", "s", "--lowercase", "--splits", "train"]
    assert main(["doctor", str(tmp_path), *options]) == 0
    assert capsys.readouterr().out.startswith("train: 1 pairs, 2 references, source 2.0 tokens")


def test_commands_fail_with_one_message_and_the_promised_codes(tmp_path, capsys):
    assert main(["doctor", str(tmp_path), "--source", "de", "--target", "en"]) == 1
    assert "train.de (or train.de.gz) is missing" in capsys.readouterr().err
    (tmp_path / ".stages").mkdir()
    (tmp_path / "stages.json").write_text("{")
    assert main(["gc", "--outputs", str(tmp_path)]) == 1
    assert "does not say which stages its run uses" in capsys.readouterr().err
    for wrong in ([], ["prepare", "gutenberg"], ["doctor", str(tmp_path)]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2
    capsys.readouterr()
    doctor, gc = ["doctor", "none", "--source", "de", "--target", "en"], ["gc", "--outputs", "none"]
    for wrong in (doctor, gc):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2
        assert capsys.readouterr().err.endswith(": none is not a folder\n")


def test_prepare_multi30k_from_what_datasets_can_load(tmp_path, capsys, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    folder = tmp_path / "hub"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text('{"en": "A dog.", "de": "Ein „Hund“."}\n' * 2)
    output = tmp_path / "multi30k"
    assert main(["prepare", "multi30k", "--output", str(output), "--path", str(folder)]) == 0
    assert "train 2 pairs (expected 29,000, -28,998)" in capsys.readouterr().out
    expected = Example("ein &quot; hund &quot; .", ("a dog .",), ("A dog.",))
    for settings in (
        {"data_dir": output},
        {"data_dir": output, "variant": "raw"},
        {"data_dir": output / "tok"},
        {"path": str(folder)},
    ):
        assert multi30k(**settings) == {s: [expected] * 2 for s in ("train", "dev", "test")}
    natural = Example("Ein „Hund“.", ("A dog.",), ("A dog.",))
    for settings in ({"data_dir": output}, {"path": str(folder)}):
        found = multi30k(**settings, variant="natural")
        assert found == {s: [natural] * 2 for s in ("train", "dev", "test")}
    with pytest.raises(ValueError, match="variant"):
        multi30k(variant="cased")


@pytest.mark.skipif("SEQRL_DATA" not in os.environ, reason="SEQRL_DATA is not set")
def test_multi30k_has_the_published_sizes_and_vocabularies():
    folder = Path(os.environ["SEQRL_DATA"]) / "multi30k"
    built = instantiate(configuration("multi30k", data_dir=str(folder)))
    assert len(built.source_tokenizer) == 5_380
    assert len(built.target_tokenizer) == 4_568
    sizes = {name: len(built.split(name)) for name in ("train", "dev", "test")}
    assert sizes == {"train": 29_000, "dev": 1_014, "test": 1_000}
    first = built.split("test").examples[0]
    assert first.raw == ("A man in an orange hat starring at something.",)
    assert built.detokenize(first.references[0]) == first.raw[0].lower()


def test_a_corpus_that_refuses_its_settings_is_an_error_of_the_corpus() -> None:
    task = Task(name="none", corpus=partial(phrases, train=-1), target_tokenizer=WordTokenizer())
    with pytest.raises(CorpusError, match=r"task\.corpus: train=-1"):
        task.split("train")
