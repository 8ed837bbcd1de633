"""A study's trials as columns: what a table and a plot of thousands of them need, in one small answer."""

from datetime import datetime

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.search_space import ParameterValue
from api_schemas.trials import TrialState

Values = dict[str, tuple[float | None, ...]]


class TrialProgress(Schema):
    """What is known of a trial that has not ended: no result yet.

    `metrics` are means over the seeds that have ended; before one has, the first seed's last measurement, and
    `step` which that was. `steps` is how many there will be, where a configuration says so.
    """

    trial_id: str
    seeds: int
    seeds_done: int
    step: int | None
    steps: int | None
    metrics: dict[str, float]
    exact: dict[str, float] = Field(description="What its parameters alone decide.")


class TrialColumns(Schema):
    """Trials by number; the values at one position of every column belong to one trial.

    They stand as of the study's event `sequence`. A value that a trial does not have is null. What the
    columns leave out (configuration, measurements, seeds, artifacts) is read with the trial itself. Few run
    at a time, so `progress` is no column: it names those that have measured something and have not ended.
    """

    study_id: str
    sequence: int = Field(description="Ask with `changed_after` = this for what has changed since.")
    ids: tuple[str, ...]
    numbers: tuple[int, ...]
    states: tuple[TrialState, ...]
    state_reasons: tuple[str | None, ...]
    generated_by: tuple[str, ...]
    modules: tuple[str, ...] = Field(description="What each trains, in a few words; empty in a custom study.")
    is_head_only: tuple[bool, ...]
    collapsed: tuple[bool, ...]
    started_at: tuple[datetime | None, ...]
    finished_at: tuple[datetime | None, ...]
    parameters: dict[str, tuple[ParameterValue | None, ...]]
    metrics: Values
    metric_standard_errors: Values
    test_metrics: Values
    test_metric_standard_errors: Values
    expected: Values = Field(description="What the model expected of trials that have no metrics.")
    expected_deviations: Values
    progress: tuple[TrialProgress, ...]
