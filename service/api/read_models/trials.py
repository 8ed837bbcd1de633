"""Trials as a client reads them. Reads; changes nothing."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.peft.description import describe_canonical
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord, Measurement, ReplicateRead, TrialRead
from service.storage import queries
from service.storage.models import Replicate, Study, Trial


def trial_read(session: Session, study: Study, trial: Trial) -> TrialRead:
    """Return one trial, as `trial_reads` does."""
    return trial_reads(session, study, [trial])[0]


def trial_reads(session: Session, study: Study, trials: Sequence[Trial]) -> tuple[TrialRead, ...]:
    """Return trials with their replicates, their artifacts and whether they are on the front."""
    if len(trials) == 1:
        replicates = {trials[0].id: trials[0].replicates}  # a trial that was locked has them already
    else:
        replicates = queries.replicates_of(session, [trial.id for trial in trials])
    firsts = {trial_id: of_trial[0].attempt for trial_id, of_trial in replicates.items()}
    measurements = queries.measurements_of(session, firsts)
    artifacts = queries.artifacts_of(session, trials)
    front = queries.latest_front(session, study)
    members = frozenset(front.member_trial_ids) if front else frozenset()
    return tuple(
        _trial(
            trial,
            replicates[trial.id],
            measurements[trial.id],
            artifacts[trial.id],
            on_front=trial.id in members,
        )
        for trial in trials
    )


def _trial(
    trial: Trial,
    replicates: list[Replicate],
    measurements: list[Measurement],
    artifacts: list[ArtifactRecord],
    *,
    on_front: bool,
) -> TrialRead:
    configuration = trial_configuration(trial)
    return TrialRead.copied_from(
        trial,
        configuration=configuration,
        modules="" if configuration is None else describe_canonical(configuration),
        collapsed=is_collapsed(trial),
        replicates=tuple(map(ReplicateRead.copied_from, replicates)),
        measurements=tuple(measurements),
        artifacts=tuple(artifacts),
        provenance=replicates[0].provenance,
        on_front=on_front,
        worker=replicates[0].worker,
    )


def trial_configuration(trial: Trial) -> TrialConfiguration | None:
    """Return the configuration of a trial; None in a custom study."""
    return None if trial.configuration is None else TrialConfiguration.model_validate(trial.configuration)


def is_collapsed(trial: Trial) -> bool:
    """Return whether a replicate of a trial collapsed; in a custom study the name means nothing."""
    # The metric is a mean over replicates.
    return bool(trial.configuration is not None and trial.metrics.get("collapsed", 0.0) > 0)
