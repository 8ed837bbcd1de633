"""Configurations with a result: reuse that of another study, or repeat the front with further seeds.

Each function runs under the study's row lock.
"""

from sqlalchemy.orm import Session

from api_schemas.trials import TrialState
from service.storage import queries, typed_study
from service.storage.models import Replicate, Study, Trial
from service.trials import lifecycle


def reuse_known_result(session: Session, study: Study, trial: Trial) -> bool:
    """End a queued trial with the result of the same configuration and seeds elsewhere, if there is one.

    A result counts if each seed that the trial wants succeeded and has every metric that it names.
    """
    named = set(typed_study.named_metrics(study))
    sources = queries.succeeded_elsewhere(session, study, trial.configuration_key)
    replicates = queries.replicates_of(session, [source.id for source in sources])
    for source in sources:
        results = [known for known in replicates[source.id] if known.number < len(trial.replicates)]
        if len(results) == len(trial.replicates) and all(_answers(known, named) for known in results):
            lifecycle.reuse_result(session, study, trial, source=source, results=results)
            return True
    return False


def repeat_front(session: Session, study: Study, *, count: int) -> bool:
    """Queue further seeds of the front's trials, the least repeated first; False if there is no front."""
    front = queries.latest_front(session, study)
    if front is None or not front.member_trial_ids:
        return False
    members = queries.trials_by_id(session, front.member_trial_ids)
    for _ in range(count):
        replicates = queries.replicates_of(session, [trial.id for trial in members])
        lifecycle.repeat_trial(
            session, study, min(members, key=lambda trial: (len(replicates[trial.id]), trial.number))
        )
    return True


def _answers(replicate: Replicate, named: set[str]) -> bool:
    return replicate.state is TrialState.SUCCEEDED and named <= replicate.metrics.keys()
