"""What the models believe of a study's trials, kept beside the observed front. Knows no model.

The study worker writes it after results; until then, and for studies whose metrics are exact, there is none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from sqlalchemy import delete
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.proposals import Prediction
from api_schemas.studies import StudyKind
from service.storage import typed_study
from service.storage.event_log import record_event
from service.storage.models import StoredBelief, Study, Trial


@dataclass(frozen=True)
class BelievedTrials:
    """Columns over trials, in the metrics' units; exact metrics are not among them.

    `lead_deviations` are of each trial's score less that of the default trial, and `noise` is the deviation
    of one observed score; both are None without a default.
    """

    ids: Sequence[str]
    means: Mapping[str, Sequence[float]]
    deviations: Mapping[str, Sequence[float]]
    front_probabilities: Sequence[float]
    default_trial_id: str | None
    lead_deviations: Sequence[float] | None
    noise: float | None

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The place of each trial in the columns."""
        return {trial_id: row for row, trial_id in enumerate(self.ids)}

    def predictions(self, trial_id: str) -> dict[str, Prediction]:
        """Return what is believed of a trial's noisy metrics; nothing of one that is not among them."""
        row = self.rows.get(trial_id)
        if row is None:
            return {}
        return {
            name: Prediction(mean=means[row], standard_deviation=self.deviations[name][row])
            for name, means in self.means.items()
        }

    def metrics_of(self, trial: Trial) -> dict[str, float]:
        """Return a trial's metrics, the noisy ones as the models believe them."""
        believed = self.predictions(trial.id)
        return {**trial.metrics, **{name: prediction.mean for name, prediction in believed.items()}}

    def front_probability(self, trial_id: str) -> float | None:
        """Return a trial's chance of being on the front; None of one that is not among them."""
        row = self.rows.get(trial_id)
        return None if row is None else self.front_probabilities[row]


@dataclass(frozen=True)
class Belief:
    """What was believed after `sequence` accepted results; `members` are the front by posterior means."""

    sequence: int
    members: Sequence[str]
    hypervolume: float | None
    trials: BelievedTrials


def is_noisy(study: Study) -> bool:
    """Return whether a seed may move an objective of the study.

    The measured metrics of our own workers always are. Those of a custom study are taken as exact unless it
    asks for several seeds.
    """
    if study.kind == StudyKind.CUSTOM:
        return study.replicates > 1 or study.final_replicates > 0
    return not all(objective.is_known for objective in typed_study.objectives(study))


def belief_of(session: Session, study: Study) -> Belief | None:
    """Read what is believed of a study's trials; None before there is a model, or a front."""
    if not is_noisy(study):
        return None
    stored = session.get(StoredBelief, study.id)
    if stored is None or not stored.member_trial_ids:
        return None
    trials = BelievedTrials(**stored.trials)
    return Belief(stored.sequence, stored.member_trial_ids, stored.hypervolume, trials)


def known_sequence(session: Session, study: Study) -> int:
    """Return after how many accepted results the newest belief was formed; 0 without one."""
    stored = session.get(StoredBelief, study.id)
    return 0 if stored is None else stored.sequence


def record_belief(session: Session, study: Study, belief: Belief) -> None:
    """Store a belief in place of an older one, under the study's row lock."""
    stored = session.get(StoredBelief, study.id)
    if stored is not None and stored.sequence >= belief.sequence:
        return
    session.merge(
        StoredBelief(
            study_id=study.id,
            sequence=belief.sequence,
            member_trial_ids=list(belief.members),
            hypervolume=belief.hypervolume,
            trials=asdict(belief.trials),
        )
    )
    record_event(session, study, EventType.FRONT_BELIEVED, sequence=belief.sequence)


def forget(session: Session, study: Study) -> None:
    """Drop what is believed: a result that it rests on has been corrected."""
    session.execute(delete(StoredBelief).where(StoredBelief.study_id == study.id))
