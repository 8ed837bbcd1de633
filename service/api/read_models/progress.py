"""How far open trials have come, and what they have measured so far. Reads; changes nothing."""

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from api_schemas.trial_columns import TrialProgress
from api_schemas.trials import TrialState
from service.api.read_models.trials import trial_configuration
from service.storage import queries
from service.storage.models import Study, Trial
from service.storage.trial_rows import seed_rows
from service.trials.replicate_statistics import means
from service.trials.reported_metrics import exact_metrics_of, finite


def trial_progress(session: Session, study: Study, trial_ids: Sequence[str]) -> tuple[TrialProgress, ...]:
    """Return how far some open trials have come; those that have measured nothing are left out."""
    if not trial_ids:
        return ()
    seeds = {key: list(rows) for key, rows in groupby(seed_rows(session, trial_ids), attrgetter("trial_id"))}
    begun = [key for key, rows in seeds.items() if _done(rows) or rows[0].step is not None]
    return tuple(_progress(study, trial, seeds[trial.id]) for trial in queries.trials_by_id(session, begun))


def _progress(study: Study, trial: Trial, seeds: Sequence[Row[Any]]) -> TrialProgress:
    configuration = trial_configuration(trial)
    done = _done(seeds)
    # A seed that was trained to its end says more than the beginning of another.
    step = None if done else seeds[0].step
    steps = None
    if step is not None and configuration is not None:
        steps = configuration.training.epochs * configuration.training.measurements_per_epoch
    return TrialProgress(
        trial_id=trial.id,
        seeds=sum(row.state is not TrialState.CANCELLED for row in seeds),
        seeds_done=len(done),
        step=step,
        steps=steps,
        metrics=means([row.metrics for row in done]) if done else seeds[0].measured,
        exact=finite(exact_metrics_of(study, configuration, trial.parameters)),
    )


def _done(seeds: Sequence[Row[Any]]) -> list[Row[Any]]:
    return [row for row in seeds if row.state is TrialState.SUCCEEDED]
