"""Studies: what a client posts, and what it reads back."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.acceptance import AcceptedTrial
from api_schemas.backbones import BackboneShape
from api_schemas.base import WITHOUT_NUL, Schema, one_of
from api_schemas.json_values import Integer
from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.one_shot import OneShotRead
from api_schemas.proposals import ProposalSettings
from api_schemas.races import Race, RaceProgress
from api_schemas.search_space import (
    MOST_PARAMETERS,
    Parameterization,
    PresetName,
    SearchSpace,
    SearchSpaceRequest,
)
from api_schemas.trial_configuration import TrialConfiguration

MOST_TRIALS = 100_000

Notes = Annotated[str, Field(max_length=10_000, pattern=WITHOUT_NUL)]
Tag = Annotated[str, Field(min_length=1, max_length=50, pattern=WITHOUT_NUL)]
Tags = Annotated[
    tuple[Tag, ...], Field(max_length=20), AfterValidator(lambda tags: tuple(dict.fromkeys(tags)))
]
"""Words by which studies are found again, each once."""


class StudyKind(StrEnum):
    """Whether Paretune trains the trials itself, or a program of the user evaluates them."""

    PEFT = "peft"
    """The service: a trial fine-tunes a backbone. Its workers run it, and runners outside may."""
    CUSTOM = "custom"
    """The caller: parameters and metrics are its own, and so are the machines that run trials."""


class StudyState(StrEnum):
    """Where a study stands."""

    ACTIVE = "ACTIVE"
    """Trials are proposed and run."""
    PAUSED = "PAUSED"
    """No trial is proposed or started; running trials end."""
    CANCELLING = "CANCELLING"
    """No trial is proposed or started; running trials stop at their next heartbeat."""
    SUCCEEDED = "SUCCEEDED"
    """The budget is spent, or the space is exhausted."""
    FAILED = "FAILED"
    """The study cannot go on; `state_reason` says why."""
    CANCELLED = "CANCELLED"
    """Somebody cancelled it."""


TERMINAL_STUDY_STATES = frozenset({StudyState.SUCCEEDED, StudyState.FAILED, StudyState.CANCELLED})


class Budget(Schema):
    """How much a study may spend."""

    trials: Integer = Field(ge=1, le=MOST_TRIALS)


class EarlyStopping(StrEnum):
    """When a trial is stopped before its last epoch."""

    HYPERVOLUME = "hypervolume"
    """When the chance that it still adds hypervolume is small, by a model of the study's learning curves."""
    RANK = "rank"
    """From half of its training on, when at least half of the others are ahead of it (Pareto rank)."""
    NEVER = "never"


class StudyCreate(Schema):
    """A study to run. `configuration` is the base; a trial is the base patched with its parameters.

    `starting_points` are run first, in order; a parameter they leave out takes the base's value.
    The default ones follow (`proposals.default_starting_points`); the study that is read shows both.
    `replicates` is how many training seeds each configuration gets during the search. Every member
    of the front gets `final_replicates` further seeds before the study says SUCCEEDED.

    `race` keeps a share of the budget for further seeds of the trials that may be the best; without it, a
    study of kind `peft` that measures something and has a budget of 16 trials or more races with a quarter.

    Without a `search_space` it is the preset `auto`: every method that people use, full fine-tuning among
    them. A study of kind `custom` has parameters of its own, no configuration and no preset, each starting
    point is complete, and `early_stopping` is always `never`.

    With `state: PAUSED` nothing is proposed before `:resume`: past results can be imported first.
    """

    kind: StudyKind = StudyKind.PEFT
    display_name: str = Field(min_length=1, max_length=200, pattern=WITHOUT_NUL)
    state: Annotated[StudyState, one_of(StudyState.ACTIVE, StudyState.PAUSED)] = StudyState.ACTIVE
    configuration: TrialConfiguration | None = None
    search_space: SearchSpaceRequest = SearchSpaceRequest(preset=PresetName.AUTO)
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=6)
    constraints: tuple[OutcomeConstraint, ...] = Field(default=(), max_length=20)
    budget: Budget
    parallelism: Integer = Field(default=1, ge=1, le=1024)
    starting_points: tuple[Annotated[Parameterization, Field(max_length=MOST_PARAMETERS)], ...] = Field(
        default=(), max_length=1000
    )
    seed: Integer = Field(default=0, ge=0, le=2**31 - 1)
    proposals: ProposalSettings = ProposalSettings()
    early_stopping: EarlyStopping = EarlyStopping.HYPERVOLUME
    replicates: Integer = Field(default=1, ge=1, le=32)
    final_replicates: Integer = Field(default=0, ge=0, le=32)
    race: Race | None = None
    notes: Notes = ""
    tags: Tags = ()

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        custom = self.kind is StudyKind.CUSTOM
        if custom and self.configuration is not None:
            raise PydanticCustomError(
                "custom_configuration",
                "a custom study has no configuration, for its trials are the caller's; leave it out",
                {"pointer": "configuration"},
            )
        if custom and "search_space" not in self.model_fields_set:
            raise PydanticCustomError(
                "custom_space_missing",
                "a custom study needs a search space with parameters of its own",
                {"pointer": "search_space"},
            )
        if custom and self.search_space.preset is not None:
            raise PydanticCustomError(
                "custom_preset",
                "a custom study has parameters of its own; presets search PEFT configurations",
                {"pointer": "search_space/preset"},
            )
        if not custom and self.configuration is None:
            raise PydanticCustomError(
                "configuration_missing",
                "a study of kind 'peft' needs a configuration; one of kind 'custom' has none",
                {"pointer": "configuration"},
            )
        return self

    @model_validator(mode="after")
    def _check_objectives_differ(self) -> Self:
        metrics = [objective.metric for objective in self.objectives]
        for position, metric in enumerate(metrics):
            if metric in metrics[:position]:
                raise PydanticCustomError(
                    "duplicate_objective",
                    "objective {position} repeats the metric '{metric}'",
                    {"position": position, "metric": metric, "pointer": f"objectives/{position}/metric"},
                )
        return self


class TrialCounts(Schema):
    """How many proposed trials of a study are in which state, and how many past results it was given."""

    queued: int = 0
    running: int = 0
    succeeded: int = 0
    infeasible: int = 0
    failed: int = 0
    stopped_early: int = 0
    cancelled: int = 0
    imported: int = 0

    @property
    def ended(self) -> int:
        """Return how many of the proposed ones will not change any more."""
        return self.succeeded + self.infeasible + self.failed + self.stopped_early + self.cancelled


class ReplicateCounts(Schema):
    """How many replicates of a study wait, run, or have ended with a result or a reason.

    Work beside an ended search (no trial queued or running) is that of the final replicates.
    """

    queued: int = 0
    running: int = 0
    done: int = 0


class StudyRead(Schema):
    """A study as the service keeps it: search space expanded, reference point as far as it is known.

    A custom study has no configuration, no backbone and no classes. `budget_spent` counts its trials and the
    further seeds that cost as much, and what a super-network costs; `race_progress` is null until its race
    begins, `accepted` until somebody decides for a trial, `one_shot` where no super-network was asked for.
    """

    id: str
    kind: StudyKind = StudyKind.PEFT
    display_name: str
    state: StudyState
    state_reason: str | None
    configuration: TrialConfiguration | None
    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...]
    budget: Budget
    parallelism: int
    starting_points: tuple[Parameterization, ...]
    seed: int
    proposals: ProposalSettings = ProposalSettings()
    early_stopping: EarlyStopping
    replicates: int = 1
    final_replicates: int = 0
    race: Race = Race(share=0)
    race_progress: RaceProgress | None = None
    one_shot: OneShotRead | None = None
    budget_spent: int = 0
    accepted: AcceptedTrial | None = None
    notes: str = ""
    tags: tuple[str, ...] = ()
    backbone_shape: BackboneShape | None
    classes: int | None
    reference_point: tuple[float, ...] | None
    hypervolume: float | None
    trials: TrialCounts
    replicate_counts: ReplicateCounts = ReplicateCounts()
    created_at: datetime
    finished_at: datetime | None

    @property
    def is_racing(self) -> bool:
        """Return whether its race has begun and is not over."""
        progress = self.race_progress
        return progress is not None and bool(progress.racers) and not progress.is_over

    @property
    def trainings_done(self) -> int:
        """Return how much of the budget is done: ended trials, and further seeds that cost as much."""
        if self.race.share == 0:
            return self.trials.ended + self.trainings_of_one_shot
        if self.race_progress is not None and self.race_progress.is_over:
            return self.budget_spent
        still_open = self.replicate_counts.queued + self.replicate_counts.running
        return max(self.trials.ended + self.trainings_of_one_shot, self.budget_spent - still_open)

    @property
    def trainings_of_one_shot(self) -> int:
        """Return how much of the budget pays for its super-network."""
        return 0 if self.one_shot is None else self.one_shot.trainings


class StudyQuery(Schema):
    """Which studies to list: those that fit everything that is said.

    `text` is looked for in names, notes and ids, whatever its case.
    """

    page_size: int = Field(default=50, ge=1, le=500)
    page_token: str | None = Field(default=None, pattern=r"^std_[0-9a-f]{32}$", examples=[f"std_{'0' * 32}"])
    state: StudyState | None = None
    tag: Tag | None = None
    backbone: str | None = Field(default=None, min_length=1, max_length=500, pattern=WITHOUT_NUL)
    text: str | None = Field(default=None, min_length=1, max_length=200, pattern=WITHOUT_NUL)


class StudyPage(Schema):
    """Studies, newest first. `next_page_token` asks for the rest; null means there is none.

    `hypervolume_traces` has for each study the hypervolume after some of its results, evenly spaced, 16 at
    most and the last among them; null where it was not known yet.
    """

    studies: tuple[StudyRead, ...]
    hypervolume_traces: dict[str, tuple[float | None, ...]] = Field(default_factory=dict)
    next_page_token: str | None
