"""What one trial trains: backbone, task, PEFT modules and training recipe, as one typed object.

Knows how a flat parameterization patches a configuration and which configurations are the same.
Knows nothing about search spaces, tensors or how a module is attached.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from pydantic import Field, JsonValue

from api_schemas.architecture import Architecture, canonical_architecture
from api_schemas.backbones import BackboneShape
from api_schemas.base import Schema
from api_schemas.derived_settings import DERIVED, settled, with_multiples
from api_schemas.json_values import Integer, Number
from api_schemas.peft import full
from api_schemas.peft.canonical import canonical_peft, on_first_layers
from api_schemas.peft.registry import Peft
from api_schemas.search_space import Parameterization, ParameterValue
from api_schemas.tasks import HOLD_OUT, Task


class Distillation(Schema):
    """Learning from the whole network, fine-tuned on the same rows (Hinton and others, arXiv 1503.02531).

    The loss is (1 - weight) times the task's and weight times the distance from the teacher's answers, which
    classes soften with the temperature. The teacher trains every weight of the backbone with the trial's
    epochs, batch size and length, at its own rate.
    """

    weight: Number = Field(default=0.5, gt=0, le=1)
    temperature: Number = Field(default=2.0, ge=1, le=100)
    teacher_learning_rate: Number = Field(default=full.METHOD.learning_rate, gt=0, le=1)


class Training(Schema):
    """The recipe: AdamW, linear warm-up, linear decay.

    The seed sets initial weights, batch order and, with folds, the rows that are trained on.
    """

    learning_rate: Number = Field(default=1e-3, gt=0, le=1)
    epochs: Integer = Field(default=3, ge=1, le=1000)
    measurements_per_epoch: Integer = Field(default=1, ge=1, le=100)
    batch_size: Integer = Field(default=32, ge=1, le=4096)
    max_length: Integer = Field(default=128, ge=8, le=131072)
    warmup_fraction: Number = Field(default=0.1, ge=0, lt=1)
    weight_decay: Number = Field(default=0.0, ge=0, le=1)
    seed: Integer = Field(default=0, ge=0, le=2**31 - 1)
    # Versions of before refuse what they do not know.
    distillation: Distillation | None = Field(default=None, exclude_if=lambda taught: taught is None)


class Quantisation(StrEnum):
    """How the frozen weights are kept where memory is short; what is trained stays in float32."""

    EIGHT_BIT = "8bit"
    """LLM.int8 (arXiv 2208.07339)."""
    FOUR_BIT = "4bit"
    """NF4, as in QLoRA (arXiv 2305.14314)."""


class TrialConfiguration(Schema):
    """Everything a worker needs to run a trial. Without an `architecture` the whole backbone stays."""

    backbone: str = Field(min_length=1, max_length=500)
    quantisation: Quantisation | None = None
    # Versions of before refuse what they do not know, and most trials keep everything.
    architecture: Architecture | None = Field(default=None, exclude_if=lambda kept: kept is None)
    task: Task
    peft: Peft = Peft()
    training: Training = Training()

    @property
    def is_head_only(self) -> bool:
        """Whether nothing but the linear head is trained: the linear probe."""
        active = canonical(self).peft.active_layers
        return active is not None and not any(active)


def patch(configuration: TrialConfiguration, parameterization: Parameterization) -> TrialConfiguration:
    """Set the values at their dotted paths, multiples last: they multiply what the others lead to.

    Raises:
        KeyError: If a path does not exist in the configuration; its argument is the path.
        pydantic.ValidationError: If a value is not legal at its path.
    """
    patched = _as_json(configuration)
    multiples: dict[str, JsonValue] = {}
    for path, value in parameterization.items():
        if path in DERIVED:
            multiples[path] = value
        else:
            _set_at(patched, path, value)
    if multiples:
        kept = patched.get("architecture")
        peft = Peft.model_validate(patched["peft"])
        if kept is not None:
            peft = on_first_layers(peft, Architecture.model_validate(kept).keep_layers)
        for path, product in settled(multiples, peft):
            _set_at(patched, path, product)
    return TrialConfiguration.model_validate(patched)


def read(configuration: TrialConfiguration, paths: Iterable[str]) -> Parameterization:
    """Read the values at dotted paths that exist: what `patch` would have to set."""
    values = readable(configuration)
    return {path: _value_at(values, path) for path in paths}


def readable(configuration: TrialConfiguration) -> dict[str, Any]:
    """Return a configuration as JSON, with the multiples that parameters may have in its place."""
    return with_multiples(_as_json(configuration), configuration.peft)


def settings_of(configuration: TrialConfiguration) -> Iterator[str]:
    """Return the dotted path of every setting, multiples among them."""
    return _leaves(readable(configuration), "")


def canonical(configuration: TrialConfiguration, *, shape: BackboneShape | None = None) -> TrialConfiguration:
    """Return every set of configurations that train the same network one representative.

    With the shape of the backbone it is found, too, whether the architecture keeps everything.
    """
    kept = canonical_architecture(configuration.architecture, shape)
    peft = canonical_peft(configuration.peft, layers=None if kept is None else kept.keep_layers)
    update: dict[str, object] = {"peft": peft}
    if kept != configuration.architecture:
        update["architecture"] = kept
    if configuration.task.resampling == HOLD_OUT:
        # As configurations have it that were stored before there were folds.
        update["task"] = configuration.task.model_copy(update={"resampling": None})
    return configuration.model_copy(update=update)


def _as_json(configuration: TrialConfiguration) -> dict[str, Any]:
    """Return a configuration as JSON, with every setting of an architecture that it has."""
    values = configuration.model_dump(mode="json")
    kept = configuration.architecture
    return values if kept is None else {**values, "architecture": kept.spelled()}


def _leaves(node: Any, path: str) -> Iterator[str]:
    if not isinstance(node, dict | list):
        yield path
        return
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    for step, value in inner:
        yield from _leaves(value, f"{path}.{step}" if path else str(step))


def _value_at(node: Any, path: str) -> ParameterValue:
    for part in path.split("."):
        node = node[_step(node, part)]
    value: ParameterValue = node
    return value


def _set_at(node: Any, path: str, value: JsonValue) -> None:
    *parents, last = path.split(".")
    try:
        for part in parents:
            node = node[_step(node, part)]
        step = _step(node, last)
        node[step]
    except (KeyError, IndexError, TypeError):
        raise KeyError(path) from None
    node[step] = value


def _step(node: Any, part: str) -> str | int:
    if isinstance(node, list) and part.isdigit():
        return int(part)
    if isinstance(node, dict):
        return part
    raise KeyError(part)
