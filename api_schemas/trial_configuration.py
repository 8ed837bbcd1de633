"""What one trial trains: backbone, task, PEFT modules and training recipe, as one typed object.

Knows how a flat parameterization patches a configuration and which configurations are the same.
Knows nothing about search spaces, tensors or how a module is attached.
"""

from typing import Any

from pydantic import Field, JsonValue

from api_schemas.base import Schema
from api_schemas.search_space import Parameterization
from api_schemas.tasks import Task


class SerialAdapter(Schema):
    """Bottleneck after the feed-forward block: y + up(relu(down(y))). Size 0 leaves it out."""

    bottleneck_size: int = Field(default=0, ge=0, le=65536)


class ParallelAdapter(Schema):
    """Bottleneck beside the feed-forward block: y + scaling * up(relu(down(x))). Size 0 leaves it out."""

    bottleneck_size: int = Field(default=0, ge=0, le=65536)
    scaling: float = Field(default=4.0, gt=0)


class PrefixTuning(Schema):
    """Trained keys and values in front of every self-attention. Length 0 leaves them out."""

    length: int = Field(default=0, ge=0, le=65536)


class Lora(Schema):
    """Low-rank update W + alpha / rank * B A of the chosen projections. Rank 0 leaves it out."""

    rank: int = Field(default=0, ge=0, le=65536)
    alpha: float = Field(default=16.0, gt=0)
    query: bool = True
    key: bool = False
    value: bool = True
    attention_output: bool = False
    ffn_in: bool = False
    ffn_out: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """Roles of the projections that get an update, in a fixed order."""
        roles = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
        return tuple(role for role in roles if getattr(self, role))


class Peft(Schema):
    """The PEFT modules, and the layers that carry them. `active_layers` null means every layer."""

    active_layers: tuple[bool, ...] | None = Field(default=None, max_length=1000)
    serial_adapter: SerialAdapter = SerialAdapter()
    parallel_adapter: ParallelAdapter = ParallelAdapter()
    prefix_tuning: PrefixTuning = PrefixTuning()
    lora: Lora = Lora()


class Training(Schema):
    """The recipe: AdamW, linear warm-up, linear decay. The seed sets initial weights and batch order."""

    learning_rate: float = Field(default=1e-3, gt=0, le=1)
    epochs: int = Field(default=3, ge=1, le=1000)
    batch_size: int = Field(default=32, ge=1, le=4096)
    max_length: int = Field(default=128, ge=8, le=131072)
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class TrialConfiguration(Schema):
    """Everything a worker needs to run a trial."""

    backbone: str = Field(min_length=1, max_length=500)
    task: Task
    peft: Peft = Peft()
    training: Training = Training()

    @property
    def is_head_only(self) -> bool:
        """Whether nothing but the linear head is trained: the linear probe."""
        return canonical(self).peft == Peft(active_layers=_none_active(self.peft.active_layers))


def patch(configuration: TrialConfiguration, parameterization: Parameterization) -> TrialConfiguration:
    """Set the values at their dotted paths.

    Raises:
        KeyError: If a path does not exist in the configuration; its argument is the path.
        pydantic.ValidationError: If a value is not legal at its path.
    """
    patched = configuration.model_dump(mode="json")
    for path, value in parameterization.items():
        _set_at(patched, path, value)
    return TrialConfiguration.model_validate(patched)


def canonical(configuration: TrialConfiguration) -> TrialConfiguration:
    """Give every set of configurations that train the same network one representative.

    A module of size zero keeps no settings; without a module no layer is active; without an active
    layer no module has a size.
    """
    peft = configuration.peft
    lora = peft.lora if peft.lora.rank and peft.lora.targets else Lora()
    parallel = peft.parallel_adapter if peft.parallel_adapter.bottleneck_size else ParallelAdapter()
    sizes = (
        peft.serial_adapter.bottleneck_size,
        parallel.bottleneck_size,
        peft.prefix_tuning.length,
        lora.rank,
    )
    layers = peft.active_layers
    if not any(sizes) or (layers is not None and not any(layers)):
        bare = Peft(active_layers=_none_active(layers))
        return configuration.model_copy(update={"peft": bare})
    kept = peft.model_copy(update={"lora": lora, "parallel_adapter": parallel})
    return configuration.model_copy(update={"peft": kept})


def _none_active(layers: tuple[bool, ...] | None) -> tuple[bool, ...]:
    return () if layers is None else (False,) * len(layers)


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
