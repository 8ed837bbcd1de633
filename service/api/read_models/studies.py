"""Studies as a client reads them. Reads; changes nothing."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from api_schemas.importance import Importance
from api_schemas.one_shot import one_shot_read
from api_schemas.races import Race
from api_schemas.studies import Budget, ReplicateCounts, StudyPage, StudyQuery, StudyRead, TrialCounts
from api_schemas.trials import TrialState
from service.storage import queries, typed_study
from service.storage.hypervolume_traces import hypervolume_traces
from service.storage.models import Study


def study_reads(session: Session, studies: Sequence[Study]) -> tuple[StudyRead, ...]:
    """Return studies with the counts of their trials and replicates."""
    ids = [study.id for study in studies]
    trials = queries.count_trials(session, ids)
    replicates = queries.count_replicates(session, ids)
    return tuple(_study(study, trials[study.id], replicates[study.id]) for study in studies)


def study_page(session: Session, studies: Sequence[Study], wanted: StudyQuery) -> StudyPage:
    """Return a page of studies with the course of their hypervolumes."""
    return StudyPage(
        studies=study_reads(session, studies),
        hypervolume_traces=hypervolume_traces(session, studies),
        next_page_token=studies[-1].id if len(studies) == wanted.page_size else None,
    )


def study_read(session: Session, study: Study) -> StudyRead:
    """Return one study, as `study_reads` does."""
    return study_reads(session, [study])[0]


def importance(session: Session, study: Study) -> Importance:
    """Return what matters to the objectives, as last estimated."""
    known = typed_study.importance(study)
    if known is not None:
        return known
    results = queries.count_in(session, study.id, (TrialState.SUCCEEDED, TrialState.STOPPED_EARLY))
    if not results:
        return Importance(reason="no result yet")
    counted = "1 result is" if results == 1 else f"{results:,} results are"
    return Importance(reason=f"{counted} not weighed yet; the study worker does it between its turns")


def _study(study: Study, trials: TrialCounts, replicates: ReplicateCounts) -> StudyRead:
    run = typed_study.one_shot(study)
    return StudyRead.copied_from(
        study,
        configuration=typed_study.configuration(study),
        search_space=typed_study.search_space(study),
        objectives=typed_study.objectives(study),
        constraints=typed_study.constraints(study),
        budget=Budget(trials=study.trial_budget),
        proposals=typed_study.proposals(study),
        race=Race(share=study.race_share),
        race_progress=typed_study.race_progress(study),
        one_shot=None if run is None else one_shot_read(run),
        budget_spent=study.trials_created,
        accepted=typed_study.accepted(study),
        backbone_shape=typed_study.backbone_shape(study),
        reference_point=typed_study.reference_point(study),
        trials=trials,
        replicate_counts=replicates,
    )
