"""Backbones, tokenised tasks and frozen activations that a worker keeps between trials."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from api_schemas.trial_configuration import Quantisation, TrialConfiguration
from workers.architecture.sub_network import SubNetwork, everything
from workers.architecture.sub_network_cache import SubNetworkCache
from workers.backbones.activation_cache import ActivationCache
from workers.backbones.loading import Backbone, load_backbone
from workers.data.task_data import Partitions, TokenisedSplit, TokenisedTask, tokenise_task
from workers.distillation import TeacherCache
from workers.measuring.memory import MemoryModel
from workers.recently_used import kept_or_made

KEPT = 2
"""How many backbones and how many tasks are kept; the least recently used is dropped first."""


class ModelCache:
    """Loads backbones on first use and keeps the most recently used ones."""

    def __init__(
        self,
        models_dir: Path | None,
        *,
        device: torch.device,
        data_dir: Path | None = None,
        activation_cache_bytes: int = 2**30,
        trial_memory_bytes: int | None = None,
    ) -> None:
        self.models_dir = models_dir
        self.data_dir = data_dir
        self.device = device
        self.activations = ActivationCache(activation_cache_bytes)
        self.memory = MemoryModel(trial_memory_bytes)
        self.sub_networks = SubNetworkCache()
        self.teachers = TeacherCache()
        self._backbones: dict[str, Backbone] = {}
        self._tasks: dict[str, Partitions] = {}

    def backbone(self, name: str, quantisation: Quantisation | None = None) -> Backbone:
        """Return a backbone, loaded if necessary."""
        key = f"{name} {quantisation}"
        return kept_or_made(
            self._backbones,
            key,
            lambda: load_backbone(
                name, models_dir=self.models_dir, device=self.device, quantisation=quantisation
            ),
            most=KEPT,
        )

    def network(self, configuration: TrialConfiguration) -> Backbone:
        """Return what a configuration attaches its modules to: its backbone, or the part of it that stays.

        With folds, the rows that decide which part stays are those that seed 0 trains on, so that every
        seed trains the same network.

        Raises:
            UnsupportedBackbone: If this backbone cannot be cut so.
        """
        backbone = self.backbone(configuration.backbone, configuration.quantisation)
        if configuration.architecture is None:
            return backbone
        rows, key = self._deciding_rows(configuration)
        return self.sub_networks.network(configuration.architecture, backbone=backbone, rows=rows, key=key)

    def sub_network(self, configuration: TrialConfiguration) -> SubNetwork:
        """Return which parts of its backbone a configuration keeps; as `network` does, but nothing is cut."""
        backbone = self.backbone(configuration.backbone, configuration.quantisation)
        if configuration.architecture is None:
            return everything(len(backbone.layers))
        rows, key = self._deciding_rows(configuration)
        return self.sub_networks.sub_network(
            configuration.architecture, backbone=backbone, rows=rows, key=key
        )

    def _deciding_rows(self, configuration: TrialConfiguration) -> tuple[TokenisedSplit, str]:
        key = _task_key(configuration, self._max_length(configuration))
        return self._partitions(configuration)(0).train, key

    def task(self, configuration: TrialConfiguration) -> TokenisedTask:
        """Return a tokenised task as the configuration's seed partitions it, read if necessary."""
        return self._partitions(configuration)(configuration.training.seed)

    def _partitions(self, configuration: TrialConfiguration) -> Partitions:
        backbone = self.backbone(configuration.backbone, configuration.quantisation)
        max_length = self._max_length(configuration)
        return kept_or_made(
            self._tasks,
            _task_key(configuration, max_length),
            lambda: tokenise_task(
                configuration.task, backbone.tokenizer, max_length=max_length, data_dir=self.data_dir
            ),
            most=KEPT,
        )

    def _max_length(self, configuration: TrialConfiguration) -> int:
        backbone = self.backbone(configuration.backbone, configuration.quantisation)
        return min(configuration.training.max_length, backbone.shape.max_positions)

    def task_from(self, configuration: TrialConfiguration, *, layer: int) -> TokenisedTask:
        """Return a tokenised task with the stored inputs of a layer, so that no layer below it runs again."""
        network = self.network(configuration)
        key = _task_key(configuration, self._max_length(configuration))
        if network.sub_network is not None:
            key = f"{key}\n{network.sub_network.digest}"
        return self.activations.task(self.task(configuration), key=key, backbone=network, layer=layer)

    def taught(self, task: TokenisedTask, configuration: TrialConfiguration) -> TokenisedTask:
        """Return a task with what the configuration's teacher answers for its training rows, if it has one.

        The task may have a layer's stored inputs. The teacher trains all layers, so it reads the rows.

        Raises:
            OutOfMemory: If the teacher cannot be trained here.
            NotANumber: If its training diverges.
        """
        if configuration.training.distillation is None:
            return task
        backbone = self.backbone(configuration.backbone, configuration.quantisation)
        outputs = self.teachers.outputs(
            configuration, backbone=backbone, task=self.task(configuration), memory=self.memory
        )
        return replace(task, train=replace(task.train, teacher=outputs))


@cache
def process_cache(
    models_dir: Path | None,
    data_dir: Path | None,
    *,
    device: torch.device,
    activation_cache_bytes: int,
    trial_memory_bytes: int | None,
) -> ModelCache:
    """Return the cache of this process."""
    return ModelCache(
        models_dir,
        device=device,
        data_dir=data_dir,
        activation_cache_bytes=activation_cache_bytes,
        trial_memory_bytes=trial_memory_bytes,
    )


def _task_key(configuration: TrialConfiguration, max_length: int) -> str:
    """Return what trials share that read the same tokens, whatever their seeds."""
    parts = (
        configuration.backbone,
        configuration.quantisation,
        max_length,
        configuration.task.model_dump_json(),
    )
    return "\n".join(map(str, parts))
