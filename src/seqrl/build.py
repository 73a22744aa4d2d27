"""The composition root: a resolved configuration becomes objects.

Nothing to the right of this module knows Hydra. A stage's algorithm is built from its yaml
node; what exists only at run time reaches it, and the proposals and baselines inside it, by the
names of their constructors' parameters: the networks of `model` (`policy`, `critic`, ...) and of
the stage (`networks`), `reward`, and `counts` of the training data.
"""

from __future__ import annotations

import copy
import inspect
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from yaml import YAMLError

from seqrl.data.batching import Batches
from seqrl.data.counts import TokenCounts
from seqrl.data.task import Task
from seqrl.data.tokenizers import Tokenizer
from seqrl.decoding.decoder import Decoder
from seqrl.identity import (
    Config,
    ConfigError,
    checkpoint_hashes,
    early_problems,
    external_start,
    file_hash,
    foreign_code,
    needed_stages,
    renamed,
    shape_problems,
    starts_of,
    task_node,
    weights_file,
)
from seqrl.melody import SYMBOLS
from seqrl.metrics.corpus import METRICS
from seqrl.metrics.direction import DESCRIPTIVE, MELODIES
from seqrl.models.base import Policy
from seqrl.ranges import is_number, require, unmet
from seqrl.rewards.base import Reward
from seqrl.schedules import Schedule
from seqrl.tracking.run_folder import CONFIG, POLICY, stage_folder
from seqrl.training.checkpoint import CheckpointError, load_weights
from seqrl.training.guards import Guards
from seqrl.training.pipeline import Reporter, Stage, load_start, stage_keys
from seqrl.training.ranks import ALONE, Ranks, local_number, process_count
from seqrl.training.stopping import AtOnce
from seqrl.training.trainer import StageSettings, Trainer
from seqrl.training.validation import DevValidation
from seqrl.trust import SPECIAL, UntrustedError, located, made, refused
from seqrl.types import Specials, derived_seed

FORMATS = 1
"""Version of what stored stages mean; a change makes earlier ones unusable."""

MadeT = TypeVar("MadeT")

CORPUS = {
    "data_dir": "the folder of the corpus",
    "source": "the language or field of the sources, such as de",
    "target": "the language or field of the targets, such as en",
}
"""The settings of a task that say what is read, and what they must be."""


KEPT = ("_target_", "_recursive_", "reads")
"""What the description of a network says beside the arguments of its constructor."""

TRAINER = ("max_epochs", "guards")
"""The trainer's settings beside those of stages."""

NO_COUNTS = TokenCounts([], size=8, bos=2)


@dataclass(frozen=True)
class Vocabularies:
    """Sizes and special ids that networks need."""

    source: int
    target: int
    specials: Specials


PLAIN = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
"""Annotations of parameters, and what such values are called."""

HANDLED = (*SPECIAL, "reads", "token_scale", "budget")
"""What stands beside arguments and reaches no constructor."""


def build(node: Config, **extra: Any) -> Any:
    """What the node describes; `extra` arguments reach the constructor as they are.

    UntrustedError where the node has something called that it may not.
    """
    problems = refused(node)
    if problems:
        raise UntrustedError("\n".join(problems))
    return made({**node, "_partial_": True})(**extra) if extra else made(node)


def build_with(node: Config, available: Mapping[str, Any]) -> Any:
    """What the node describes, and all objects inside it, each given what it asks for by name."""
    inner = {key: _inside(value, available) for key, value in node.items() if _holds(value)}
    asked = {name: available[name] for name in missing_arguments(node) if name in available}
    own = {key: value for key, value in node.items() if key not in inner}
    return build({**own, "_partial_": True})(**inner, **asked)


def _holds(value: Any) -> bool:
    """Whether the value is an object's description, or a mapping of such."""
    return isinstance(value, dict) and (
        is_object(value) or any(is_object(inner) for inner in value.values())
    )


def _inside(value: Config, available: Mapping[str, Any]) -> Any:
    """What such a value becomes."""
    if is_object(value):
        return build_with(value, available)
    return {key: build_with(inner, available) for key, inner in value.items()}


def is_object(node: Any) -> bool:
    """Whether the node describes an object."""
    return isinstance(node, dict) and "_target_" in node


def missing_arguments(node: Config) -> list[str]:
    """The parameters of an object's constructor that its node does not set."""
    parameters = inspect.signature(located(node["_target_"])).parameters
    return [name for name in parameters if name not in node]


def asked_for(node: Any) -> set[str]:
    """The missing arguments of an object and of all objects inside it."""
    if not is_object(node):
        return set()
    return set(missing_arguments(node)).union(*map(asked_for, node.values()))


def build_task(config: Config) -> Task:
    task = build(task_node(config))
    if not isinstance(task, Task):
        raise ValueError(f"must describe a task, not a {type(task).__name__}")
    return task


def build_decoder(config: Config) -> Decoder:
    decoder = build(config["decoding"])
    if not isinstance(decoder, Decoder):
        raise ValueError(f"must describe a way of decoding, not a {type(decoder).__name__}")
    return decoder


def build_network(
    config: Config, name: str, sizes: Vocabularies, seed: int, stage: Config | None = None
) -> Policy[Any, Any]:
    """A network of `model`, or of a stage, its weights a function of (seed, name)."""
    node = dict(network_node(config, name, stage or {}))
    reads = node.pop("reads")
    require(reads in ("source", "reference"), f"reads must be source or reference, not {reads!r}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "weights", name))
        network: Policy[Any, Any] = build(
            node,
            source_size=sizes.source if reads == "source" else sizes.target,
            target_size=sizes.target,
            specials=sizes.specials,
        )
    return network


def sized_network(
    config: Config, name: str, sizes: Vocabularies, seed: int, stage: Config
) -> Policy[Any, Any]:
    """A network for the data; ConfigError where their sizes are not what it needs."""
    try:
        return build_network(config, name, sizes, seed, stage)
    except ValueError as error:
        raise ConfigError(f"model.{name}: {error}") from None


def vocabularies(task: Task) -> Vocabularies:
    target = task.target_tokenizer
    return Vocabularies(len(task.source_tokenizer), len(target), target.specials)


def choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device={name}: must be auto, cpu, cuda or cuda:NUMBER") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={name}: PyTorch finds no CUDA device here")
    number = local_number()
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    if number is None:
        if (device.index or 0) >= count:
            raise ConfigError(
                f"device={name}: must be at most cuda:{count - 1}; there is no other here"
            )
        return device
    if device.index is not None:
        raise ConfigError(f"device={name}: each of several processes has a CUDA device of its own")
    if number >= count:
        raise ConfigError(f"there are more processes than CUDA devices ({count}) here")
    return torch.device("cuda", number)


def stage_networks(config: Config, stage: Config) -> list[str]:
    """The networks that the stage's algorithm, or what is inside it, asks for."""
    asked = asked_for(stage["algorithm"])
    known = [name for name, node in config["model"].items() if is_object(node)]
    return [name for name in dict.fromkeys([*known, *own_networks(stage)]) if name in asked]


def own_networks(stage: Config) -> Config:
    """Networks that only the stage has, or changes of those of `model`."""
    return stage.get("networks") or {}


def network_node(config: Config, name: str, stage: Config) -> Config:
    """The description of a network: `model`'s, the stage's, or that of the run it comes from.

    What a stage says of a network of `model` changes its settings, or is another class's whole
    description.
    """
    usual: Config = config["model"].get(name) or {}
    own: Config = own_networks(stage).get(name, {})
    if usual and own.get("_target_", usual["_target_"]) != usual["_target_"]:
        return own
    run = external_start(config, stage, name)
    return usual | own if run is None else run_network(run, name)


def build_algorithm(
    config: Config,
    stage: Config,
    networks: Mapping[str, nn.Module],
    task: Task | None = None,
) -> Any:
    """The stage's algorithm with what it, and what is inside it, asks for.

    task  none: there are no data yet
    """
    asked = asked_for(stage["algorithm"])
    available: dict[str, Any] = dict(networks)
    if "reward" in asked:
        available["reward"] = build_reward(config, stage, task)
    if "counts" in asked:
        available["counts"] = NO_COUNTS if task is None else task.counts
    return build_with(stage["algorithm"], available)


def build_optimizers(stage: Config) -> dict[str, Any]:
    """The factory of each learner's optimizer; null stands for a learner that there is not."""
    return {name: build(node) for name, node in stage["optimizers"].items() if node is not None}


def build_lr_schedule(stage: Config) -> Schedule | None:
    node = stage.get("lr_schedule")
    schedule: Schedule | None = None if node is None else build(node)
    return schedule


def start_problems(config: Config, name: str) -> dict[str, str]:
    """By network of the stage, what is wrong with what it comes from, if something is."""
    stages = config["algorithm"]["stages"]
    earlier = list(stages)[: list(stages).index(name)]
    listed = f"earlier stages are {', '.join(earlier)}" if earlier else "there is no earlier stage"
    problems = {}
    for network, source in (stages[name]["from"] or {}).items():
        start = starts_of(config, stages[name]).get(network)
        if source is None:
            told = f"{network} must come from a stage or a finished run, not from null; {listed}"
        elif start is None:
            try:
                run_network(str(source), network)
                weights_file(str(source))
                continue
            except ConfigError as error:
                told = f"{error}; {listed}"
        elif start.stage not in earlier:
            told = f"{network}={source}: {start.stage} is no earlier stage; {listed}"
        else:
            nodes = stages[start.stage]["optimizers"].items()
            learned = [n for n, node in nodes if node is not None]
            if start.network in learned:
                continue
            choices = " or ".join(f"{start.stage}.{n}" for n in learned)
            told = f"{network}={source}: the stage learns no {start.network}; {choices}"
        problems[network] = told
    return problems


def run_network(run: str, name: str, stage: str | None = None) -> Config:
    """The description of a policy of a finished run, which is to be the network `name`.

    ConfigError where there is no such run, or it has something called that it may not.

    stage  that delivered it; none: the last one
    """
    path = place = Path(run) / CONFIG
    try:
        if path.is_file():
            own = weights_file(run).parent if stage is None else stage_folder(Path(run), stage)
            places = [own / POLICY, Path(run) / POLICY, path]
            place = next(file for file in places if file.is_file())
        read: Any = OmegaConf.to_container(OmegaConf.load(place), resolve=False)
        node: Config = read if place != path else read["model"]["policy"]
        require(is_object(node), "no description of a network")
    except (OSError, KeyError):
        raise ConfigError(
            f"{name}={run}: neither a stage of this algorithm nor a run's folder"
        ) from None
    except (YAMLError, OmegaConfBaseException, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{name}={run}: {place.name} is damaged: {root_cause(error)}") from None
    problems = refused(node)
    if problems:
        raise ConfigError("\n".join(f"{name}={run}: {place.name}: {text}" for text in problems))
    return node


def described_policy(config: Config, task: Task, stage: Config) -> Config:
    """The description of a stage's policy that makes it anew from nothing outside the run."""
    node = network_node(config, "policy", stage)
    with torch.device("meta"):
        policy = build_network(config, "policy", vocabularies(task), 0, stage)
    named = {name: node[name] for name in KEPT if name in node}
    return named | policy.arguments({k: v for k, v in node.items() if k not in named})


def build_reward(config: Config, stage: Config, task: Task | None = None) -> Reward:
    """The reward at the stage's scale; `token_scale` is there for stages to refer to.

    task  whose text and training references a reward may ask for, and its target words as far as
          they are known without data; none: there is no task yet
    """
    node = config["reward"] | stage.get("reward", {})

    def text(ids: Sequence[int]) -> str:
        return "" if task is None else task.target_tokenizer.decode(ids)

    def training() -> list[list[int]]:
        return [] if task is None else [own[0] for own in task.split("train").references]

    available: dict[str, Any] = {"text": text, "training": training}
    if task is not None:
        available["words"] = task.target_words
    reward: Reward = build_with({k: v for k, v in node.items() if k != "token_scale"}, available)
    return reward


def build_settings(config: Config, stage: Config) -> StageSettings:
    """The stage's settings under the trainer's caps."""
    trainer = config["trainer"]
    most = trainer["max_epochs"]
    require(most is None or is_number(most), f"max_epochs must be a number or null, not {most}")
    names = {field.name for field in fields(StageSettings)}
    values = {k: v for k, v in (trainer | stage).items() if k in names}
    if most is not None:
        values["epochs"] = min(stage["epochs"], most)
    if trainer["validate_every"] is not None:
        values["validate_every"] = trainer["validate_every"]
    if stage.get("max_steps") and trainer["max_steps"]:
        values["max_steps"] = min(stage["max_steps"], trainer["max_steps"])
    if values.get("decay_learners") is not None:
        values["decay_learners"] = tuple(values["decay_learners"])
    return StageSettings(**values)


def build_guards(config: Config, stage: Config, trained: Collection[str]) -> Guards:
    """The stage's guards; runs that were configured without any have none.

    trained  the networks that were trained before the stage
    """
    guards = Guards(**(config["trainer"].get("guards") or {}))
    return guards.suited(learns="policy" in stage["optimizers"], trained="policy" in trained)


def stage_description(config: Config, stage: Config, fingerprint: str) -> dict[str, Any]:
    """All that can change what the stage becomes, except the stages that it starts from.

    Settings at their default are left out, so that a new one does not disown stored stages.
    """
    settings = build_settings(config, stage)
    unimportant = {"label", "from", "reward", "log_every", "save_every"}
    names = {field.name for field in fields(StageSettings)} | unimportant
    description: dict[str, Any] = {
        "formats": FORMATS,
        "stage": {k: v for k, v in stage.items() if k not in names and v is not None},
        "settings": {
            field.name: getattr(settings, field.name)
            for field in fields(settings)
            if field.name not in unimportant and getattr(settings, field.name) != field.default
        },
        "networks": renamed(
            {n: network_node(config, n, stage) for n in stage_networks(config, stage)},
            checkpoint_hashes(config),
        ),
        "data": fingerprint,
        "decoding": config["decoding"],
    }
    if "reward" in asked_for(stage["algorithm"]):
        description["reward"] = config["reward"] | stage.get("reward", {})
    code = foreign_code([description["stage"], description["networks"], description.get("reward")])
    if code:
        description["code"] = code
    loaded = {n: external_start(config, stage, n) for n in description["networks"]}
    files = {n: file_hash(weights_file(run)) for n, run in loaded.items() if run is not None}
    if files:
        description["loaded"] = files
    if initialised(config, stage):
        description["init_from"] = file_hash(weights_file(config["init_from"]))
    return description


def initialised(config: Config, stage: Config) -> list[str]:
    """The networks that `init_from` starts: `model`'s, unless a stage or a run gives them."""
    if config["init_from"] is None:
        return []
    try:
        known = {name.partition(".")[0] for name in load_weights(weights_file(config["init_from"]))}
    except CheckpointError as error:
        problem = str(error).splitlines()[0]
        raise ConfigError(f"init_from={config['init_from']}: {problem}") from None
    others = {*own_networks(stage), *(stage["from"] or {})}
    return [n for n in stage_networks(config, stage) if n in known and n not in others]


def check_initialised(config: Config) -> None:
    """ConfigError where `init_from` is nothing, or has nothing for any stage."""
    if config["init_from"] is None:
        return
    try:
        weights_file(config["init_from"])
    except ConfigError as error:
        raise ConfigError(f"init_from={error}") from None
    stages = needed_stages(config).values()
    if not any(initialised(config, stage) for stage in stages):
        raise ConfigError(
            f"init_from={config['init_from']}: no weights of a network that comes from no stage"
        )


def build_stages(
    config: Config,
    task: Task,
    device: torch.device,
    preempted: Callable[[], bool],
    at_once: AtOnce = nullcontext,
    ranks: Ranks = ALONE,
) -> list[Stage]:
    """The run's stages in order. Reads the data, for its fingerprint."""
    return [
        _stage(
            config,
            name,
            task.fingerprint,
            _preparer(config, stage, task, device, preempted, at_once, ranks),
        )
        for name, stage in needed_stages(config).items()
    ]


def planned_keys(config: Config) -> dict[str, str]:
    """By stage, a key that is equal where runs share the stage. Reads no data.

    It is not the key of the stage's folder, which covers the data themselves.
    """

    def prepare(*_: Any) -> Trainer:
        raise NotImplementedError("a stage that is planned only")

    data = json.dumps(task_node(config), sort_keys=True)
    return stage_keys([_stage(config, name, data, prepare) for name in needed_stages(config)])


def _stage(config: Config, name: str, fingerprint: str, prepare: Callable[..., Trainer]) -> Stage:
    stage = config["algorithm"]["stages"][name]
    return Stage(
        name=name,
        label=stage["label"],
        delivers_policy="policy" in stage["optimizers"],
        starts=starts_of(config, stage),
        description=stage_description(config, stage, fingerprint),
        prepare=prepare,
    )


def _preparer(
    config: Config,
    stage: Config,
    task: Task,
    device: torch.device,
    preempted: Callable[[], bool],
    at_once: AtOnce,
    ranks: Ranks,
) -> Callable[[Path, Mapping[str, Mapping[str, Tensor]], Reporter], Trainer]:
    def prepare(
        folder: Path, starts: Mapping[str, Mapping[str, Tensor]], reporter: Reporter
    ) -> Trainer:
        seed = stage["seed"]
        networks = {
            name: sized_network(config, name, vocabularies(task), seed, stage)
            for name in stage_networks(config, stage)
        }
        for name, weights in starts.items():
            load_start(networks[name], weights, name)
        for name, network in networks.items():
            run = external_start(config, stage, name)
            if run is not None:
                _initialise({"policy": network}, Path(run), task)
        trained = {*starts, *(name for name, network in networks.items() if network.trained)}
        given = initialised(config, stage)
        if given:
            _initialise({n: networks[n] for n in given}, Path(config["init_from"]), task)
        trained.update(given)
        for network in networks.values():
            network.to(device)
        start = None
        if "policy" in trained and "policy" in stage["optimizers"]:
            # now: later the weights are a checkpoint's. A policy may not begin as its prior
            before = networks.get("prior", networks["policy"])
            start = copy.deepcopy(before).requires_grad_(False).eval()
        algorithm = build_algorithm(config, stage, networks, task)
        settings = build_settings(config, stage)
        return Trainer(
            algorithm=algorithm,
            optimizers=build_optimizers(stage),
            lr_schedule=build_lr_schedule(stage),
            settings=settings,
            batches=Batches(
                task.split("train"),
                size=settings.batch_size,
                unit=settings.batch_unit,
                seed=seed,
            ),
            validation=DevValidation(
                task=task,
                decoder=build_decoder(config),
                device=device,
                seed=derived_seed(seed, "dev"),
                reward=build_reward(config, {}, task),
                start=start,
                samples_path=folder / "samples.txt",
            ),
            reporter=reporter,
            folder=folder,
            device=device,
            seed=seed,
            start=bool(trained) and ("policy" in trained or "policy" not in stage["optimizers"]),
            preempted=preempted,
            at_once=at_once,
            guards=build_guards(config, stage, trained),
            ranks=ranks,
        )

    return prepare


def _initialise(networks: Mapping[str, nn.Module], start: Path, task: Task) -> None:
    """Load the weights of a run or file into these networks.

    Weights of a run belong to its vocabularies: ConfigError when the task's are others.
    """
    if (start / "tokenizers").is_dir():
        for side, own in (("source", task.source_tokenizer), ("target", task.target_tokenizer)):
            if not own.same_ids(Tokenizer.load(start / "tokenizers" / side)):
                raise ConfigError(f"{start}: its {side} vocabulary is not this task's")
    path = weights_file(str(start))
    try:
        weights = load_weights(path)
        for name, network in networks.items():
            prefix = f"{name}."
            own_weights = {
                k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)
            }
            if not own_weights:
                raise ConfigError(f"{start}: no weights of {name} in {path}")
            load_start(network, own_weights, name)
    except (CheckpointError, ValueError) as error:
        raise ConfigError(f"{start}: {str(error).splitlines()[0]}") from None


class Problems:
    """What is wrong with a configuration: messages, each with the places where it holds."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._wrong: list[str] = []

    def follow(self, value: object) -> None:
        """Say no more of a wrong value, and of no errors but ranges: it may be their cause."""
        self._wrong += [f", not {value}", f", not {value!r}"]

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, message: str, place: str | None = None) -> None:
        places = self._found.setdefault(message, [])
        if place is not None and place not in places:
            places.append(place)

    def attempt(
        self, place: str, make: Callable[..., MadeT], *arguments: Any, only_ranges: bool = False
    ) -> MadeT | None:
        """What is made, to try others with; None where it cannot be.

        only_ranges  no other error is a problem, since the arguments are not what they will be
        """
        made = None
        with unmet() as messages:
            try:
                made = make(*arguments)
            except ConfigError as error:
                self.add(str(error))
            except Exception as error:
                if not messages and not only_ranges and not self._wrong:
                    messages.append(root_cause(error))
        for message in messages:
            if not message.endswith(tuple(self._wrong)):
                self.add(message, place)
        return made

    def check(self) -> None:
        """Raise a ConfigError that lists all problems, if there are any."""
        if self._found:
            told = [
                f"{', '.join(places)}: {message}" if places else message
                for message, places in self._found.items()
            ]
            raise ConfigError("\n".join(told))


def check(config: Config) -> None:
    """Build everything once at a tiny size and without data; ConfigError lists all problems."""
    problems = Problems()
    attempt = problems.attempt
    for problem in shape_problems(config):
        problems.add(problem)
    problems.check()
    for problem in early_problems(config):
        problems.add(problem)
    for place in ("task", "model", "reward", "decoding", "algorithm"):
        for key, value, told in mistyped(config[place], place):
            problems.add(f"{key}={value}: {told}")
            problems.follow(value)
    unknown = set(config["trainer"]) - {f.name for f in fields(StageSettings)} - {*TRAINER}
    for name in sorted(unknown):
        problems.add(f"trainer.{name}: no such setting")
    task = attempt("task", build_task, config)
    attempt("task", check_corpus, config)
    if task is not None and not problems:
        attempt("model.tokenizers" if "tokenizers" in config["model"] else "task", task.check)
    for name in dict.fromkeys([config["task"]["metric"], *config["task"]["scores"]]):
        if name not in METRICS:
            problems.add(f"task: no metric {name}; there are {', '.join(METRICS)}")
        elif task is not None and not judged(name, task):
            problems.add(f"task: {name} is of another task: {NEEDED[name]}")
    if config["task"]["metric"] in DESCRIPTIVE:
        problems.add(f"task: no model can be selected by {config['task']['metric']}")
    decoder = attempt("decoding", build_decoder, config)
    attempt("reward", build_reward, config, {}, task)
    attempt("device", choose_device, config["device"])
    attempt("init_from", check_initialised, config)
    sizes = Vocabularies(8, 8, Specials(0, 1, 0, 3))  # BOS may be padding; nothing is longer then
    with torch.device("meta"):
        networks = {
            name: attempt(f"model.{name}", build_network, config, name, sizes, 0)
            for name, node in config["model"].items()
            if is_object(node)
        }
        policy = networks.get("policy")
        if policy and decoder and decoder.max_length > (policy.longest or decoder.max_length):
            problems.add(
                f"decoding.max_length={decoder.max_length}: model.policy writes at most "
                f"{policy.longest} tokens; set decoding.max_length={policy.longest} or less"
            )
        for name, stage in needed_stages(config).items():
            place = f"algorithm.stages.{name}"
            attempt(place, build_settings, config, stage)
            attempt(f"{place}.lr_schedule", build_lr_schedule, stage)
            for network, told in start_problems(config, name).items():
                problems.add(f"{place}.from.{told}")
                stage = {**stage, "from": {k: v for k, v in stage["from"].items() if k != network}}
            attempt("trainer.guards", build_guards, config, stage, stage["from"] or {})
            own_policy = own_networks(stage).get("policy")
            if own_policy and "_target_" not in own_policy:
                problems.add("networks: policy is model's, and the same in all stages", place)
            needed = attempt(place, stage_networks, config, stage) or []
            special = {n for n in needed if external_start(config, stage, n)} | {
                *own_networks(stage)
            }
            own = {
                network: networks[network]
                if network in networks and network not in special
                else attempt(f"{place}.networks", build_network, config, network, sizes, 0, stage)
                for network in needed
            }
            stand_ins = {network: nn.Linear(1, 1) for network in needed if own[network] is None}
            algorithm = attempt(
                place, build_algorithm, config, stage, own | stand_ins, only_ranges=bool(stand_ins)
            )
            if algorithm is not None:
                _check_optimizers(problems, place, stage, algorithm)
                reason = algorithm.indivisible() if process_count() > 1 else None
                if reason is not None:
                    problems.add(f"several processes cannot share the stage: {reason}", place)
    problems.check()


NEEDED = {
    "oracle_nll": "it needs an oracle that made the data",
    **dict.fromkeys((*MELODIES, "melody_reward"), "it needs melodies"),
}
"""What scores ask of the task, beside outputs and references."""


def judged(score: str, task: Task) -> bool:
    """Whether the task has what a score needs."""
    if score == "oracle_nll":
        return task.oracle is not None
    return score not in NEEDED or task.target_words == SYMBOLS


def mistyped(node: Any, place: str) -> list[tuple[str, Any, str]]:
    """Arguments that constructors do not take: key, value, and what is wrong with them.

    Of their types only the plain ones are looked at; text may be a number.
    """
    if not isinstance(node, dict):
        return []
    wrong = [entry for key, value in node.items() for entry in mistyped(value, f"{place}.{key}")]
    if not is_object(node):
        return wrong
    parameters: Mapping[str, inspect.Parameter] = {}
    with suppress(Exception):  # what is no object of ours is told where it is built
        parameters = inspect.signature(located(node["_target_"])).parameters
    any_name = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    name = str(node["_target_"]).rpartition(".")[2]
    for key, value in node.items():
        if key in parameters:
            told = _unfit(value, str(parameters[key].annotation))
        elif key != "_args_" and (not parameters or any_name or key in HANDLED):
            told = None
        else:
            told = f"{name} takes no {key}; it takes {', '.join(parameters)}"
        if told is not None:
            wrong.append((f"{place}.{key}", value, told))
    return wrong


def _unfit(value: Any, annotation: str) -> str | None:
    """What a parameter of plain types must be, where the value is something else."""
    kinds = set(annotation.split(" | "))
    if not kinds <= {*PLAIN, "None"} or "str" in kinds:
        return None
    fits = type(value).__name__ in kinds or (type(value) is int and "float" in kinds)
    if fits or (value is None and "None" in kinds):
        return None
    named = " or ".join(PLAIN[kind] for kind in annotation.split(" | ") if kind in PLAIN)
    return f"must be {named}{' or null' if 'None' in kinds else ''}"


def check_corpus(config: Config) -> None:
    """ConfigError for what no corpus can be read with, whatever the files hold.

    A corpus that can do without a setting has a default for it.
    """
    corpus = config["task"]["corpus"]
    parameters = inspect.signature(located(corpus["_target_"])).parameters
    needed = [name for name in CORPUS if name in parameters and not _has_default(parameters[name])]
    problems = [
        f"task.{name}=null: must be {CORPUS[name]}" for name in needed if corpus.get(name) is None
    ]
    folder = corpus.get("data_dir", config["task"].get("data_dir"))
    if folder is not None and not os.path.isdir(os.path.expanduser(folder)):
        problems.append(
            f"task.data_dir={folder}: must be {CORPUS['data_dir']}; there is no such folder"
        )
    if corpus.get("source") is not None and corpus.get("source") == corpus.get("target"):
        problems.append(f"task.target={corpus['target']}: must differ from task.source")
    if problems:
        raise ConfigError("\n".join(problems))


def _has_default(parameter: inspect.Parameter) -> bool:
    return parameter.default is not inspect.Parameter.empty


def _check_optimizers(problems: Problems, place: str, stage: Config, algorithm: Any) -> None:
    learners = algorithm.learners()
    for name, node in stage["optimizers"].items():
        rate = None if node is None else node.get("lr", 0)
        if rate is not None and not (is_number(rate) and rate >= 0):
            problems.add(f"lr must be at least 0, not {rate}", f"{place}.optimizers.{name}")
            return
    factories = problems.attempt(place, build_optimizers, stage) or {}
    if set(factories) != set(learners):
        problems.add(
            f"optimizers are given for {sorted(factories)}, learners are {sorted(learners)}", place
        )
    for name in set(factories) & set(learners):
        problems.attempt(f"{place}.optimizers.{name}", factories[name], learners[name].parameters())


def root_cause(error: BaseException) -> str:
    """The message of the error that started a chain: Hydra wraps what constructors say."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).splitlines()[0] if str(error) else type(error).__name__
