"""What a study would be if it were posted now: everything settled, its first trials, how long it may take."""

from pydantic import Field

from api_schemas.backbones import BackboneShape
from api_schemas.base import Schema
from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import TrialConfiguration

MOST_FIRST_TRIALS = 20


class FirstTrial(Schema):
    """A starting point, and what it comes to: its settings with the derived ones, and its exact metrics.

    A trial of a custom study has neither configuration nor modules.
    """

    parameters: Parameterization
    modules: str | None
    configuration: TrialConfiguration | None
    exact_metrics: dict[str, float] = Field(default_factory=dict)


class RunEstimate(Schema):
    """How long a study would take, by what trainings like its own have taken.

    `seconds` is `trainings` times `seconds_per_training`, shared by `parallelism` runners that are never
    idle. Early stops make it less; final seeds, and machines unlike those of `study_id`, make it more.
    """

    trainings: int
    seconds_per_training: float
    seconds: float
    study_id: str
    measured_trainings: int


class StudyValidation(Schema):
    """A study that can work, as it would be kept. Nothing of it is stored.

    `study` has its space expanded, its task pinned and its defaults written out; posted, it means the same.
    `natural_references` are the worst values of the objectives where they follow from the space or the task.
    `first_trials` are its starting points, 20 at most. There is no `estimate` until a study of yours
    with the same backbone, task and recipe has trained something. `one_shot_trainings` of the budget pay for
    the super-network that it asks for. `dropped` counts the rows of files that are left out, by the reason.
    """

    study: StudyCreate
    backbone_shape: BackboneShape | None
    classes: int | None
    natural_references: tuple[float | None, ...]
    first_trials: tuple[FirstTrial, ...]
    estimate: RunEstimate | None
    one_shot_trainings: int = 0
    dropped: dict[str, int] = Field(default_factory=dict)
