"""What a checked study comes to, as lines of text."""

from collections.abc import Iterator, Mapping

from api_schemas.studies import StudyCreate
from api_schemas.study_validation import FirstTrial, RunEstimate, StudyValidation
from paretune.numbers import format_duration, metric_title

SHOWN_TRIALS = 10


def validation_lines(found: StudyValidation) -> list[str]:
    """Return that a study can run, what it searches, what it begins with, and how long it may take."""
    study = found.study
    searched = len(study.search_space.parameters)
    return [
        f"This study can run: {study.display_name}",
        *_task_lines(study, found.classes),
        *left_out_lines(found.dropped),
        f"  searches {searched} parameters for {', '.join(_objectives(study))}",
        f"  trains {study.budget.trials} times, {study.parallelism} at once{_race(study)}",
        *_one_shot(found.one_shot_trainings),
        *_first_trials(found.first_trials),
        *([] if found.estimate is None else [_estimate(found.estimate)]),
    ]


def _task_lines(study: StudyCreate, classes: int | None) -> Iterator[str]:
    if study.configuration is None:
        yield "  its trials are run by a program of yours"
        return
    task = study.configuration.task
    outputs = "" if classes is None else f", {classes} {'output' if classes == 1 else 'outputs'}"
    folds = "" if task.folds is None else f", {task.folds} folds"
    labels = f"{task.resolved_kind}{outputs}{folds}"
    yield f"  fine-tunes {study.configuration.backbone} on {task.owners_name} ({labels})"


def left_out_lines(dropped: Mapping[str, int]) -> list[str]:
    """Return what rows are not used, and why; nothing where all are."""
    counts = [f"{count:,} {reason.replace('_', ' ')}" for reason, count in dropped.items()]
    return [f"  left out: {', '.join(counts)}"] if counts else []


def _objectives(study: StudyCreate) -> Iterator[str]:
    task = None if study.configuration is None else study.configuration.task
    for objective in study.objectives:
        yield metric_title(objective.metric, task, objective.direction.value)


def _race(study: StudyCreate) -> str:
    share = 0 if study.race is None else study.race.share
    return f"; {share:.0%} of that for further seeds of the best" if share else ""


def _one_shot(trainings: int) -> Iterator[str]:
    if trainings:
        yield f"  trains a super-network first, for as much as {trainings} of these trainings"


def _first_trials(trials: tuple[FirstTrial, ...]) -> Iterator[str]:
    if trials:
        yield "  begins with:"
    for number, trial in enumerate(trials[:SHOWN_TRIALS]):
        if trial.configuration is None:
            yield f"    {number}  {trial.parameters}"
            continue
        rate = trial.configuration.training.learning_rate
        count = trial.exact_metrics.get("trainable_parameters", 0.0)
        yield f"    {number}  {trial.modules}, rate {rate:.3g}, {count:,.0f} parameters"
    if len(trials) > SHOWN_TRIALS:
        yield f"    and {len(trials) - SHOWN_TRIALS} more"


def _estimate(estimate: RunEstimate) -> str:
    return (
        f"  takes about {format_duration(estimate.seconds)}, by the {estimate.seconds_per_training:.1f} s of "
        f"a training in {estimate.study_id}"
    )
