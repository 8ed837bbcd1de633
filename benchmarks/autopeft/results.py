"""Trials on disk: a file for each task and searched space, one JSON line for each finished trial."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from api_schemas.search_space import PresetName
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks import json_lines

FOLDER = Path(__file__).parents[1] / "results" / "autopeft"

Phase = Literal["manual tuning", "manual", "search", "final", "searched", "transferred"]
"""Tuning, search and final seeds are measured on validation alone, the others on test too."""

Key = tuple[str, str, int]


@dataclass(frozen=True)
class Trial:
    """One training. Scores are None where it diverged; `test_score` too where test was not looked at.

    `name` is unique among the trials of a phase and a seed; `origin` says which trial of tuning or
    search a configuration was chosen from.
    """

    task: str
    phase: Phase
    name: str
    seed: int
    origin: str
    configuration: TrialConfiguration
    trains_backbone: bool
    validation_score: float | None
    test_score: float | None
    trainable_parameters: int
    seconds: float
    cpu_seconds: float
    provenance: Mapping[str, str | int | float]

    @property
    def key(self) -> Key:
        """Tell the trial from all others of its task."""
        return self.phase, self.name, self.seed


def path_of(folder: Path, task: str, *, preset: PresetName = PresetName.AUTOPEFT) -> Path:
    """Tell where a task's trials are: those by hand beside AutoPEFT's, another space's by themselves."""
    return folder / (f"{task}.jsonl" if preset is PresetName.AUTOPEFT else f"{task}.{preset.value}.jsonl")


def append(path: Path, trial: Trial) -> None:
    """Add a trial."""
    json_lines.append(path, asdict(trial) | {"configuration": trial.configuration.model_dump(mode="json")})


def read_trials(path: Path) -> dict[Key, Trial]:
    """Read a task's trials in the order in which they ended; a line cut short by a crash is left out."""
    found: dict[Key, Trial] = {}
    for fields in json_lines.read(path):
        configuration = TrialConfiguration.model_validate(fields["configuration"])
        trial = Trial(**{**fields, "configuration": configuration})
        found[trial.key] = trial
    return found
