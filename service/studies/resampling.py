"""Which rows a study's trials validate on: what a task gets that does not say, and what no folds can be of.

Knows no rows, only facts about them.
"""

from api_schemas.tasks import HOLD_OUT, Folds, Task
from service.catalogue.tasks.facts import TaskFacts
from service.catalogue.tasks.folds import FEW_ROWS

DEFAULT_FOLDS = Folds(folds=5)


def with_resampling(task: Task, facts: TaskFacts) -> Task:
    """Return a task that says whether it is dealt into folds; null is hold-out from here on.

    Hold-out that was asked for stays written out where folds are the default, so that whoever posts
    the configuration anew gets the same rows.
    """
    default = DEFAULT_FOLDS if _gets_folds(task, facts) else None
    chosen = task.resampling
    if chosen is None or (chosen == HOLD_OUT and default is None):
        chosen = default
    return task.model_copy(update={"resampling": chosen})


def folds_problem(facts: TaskFacts, *, folds: int) -> str | None:
    """Return why a task's rows cannot be dealt into so many folds; None if they can."""
    if facts.names_validation:
        return (
            f"'{facts.name}' has a validation split of its own, and folds would train on it: leave this "
            f"out, or say '{HOLD_OUT}'"
        )
    pool = facts.pool
    assert pool is not None  # noqa: S101  known where folds are asked for or may be the default
    unit = "group" if pool.grouped else "row"
    if pool.units < folds:
        return (
            f"{folds} folds need {folds} {unit}s; train and validation together have {pool.units}. Ask for "
            f"fewer folds, or say '{HOLD_OUT}'"
        )
    if pool.rarest_label is not None and pool.rarest_units < folds:
        return (
            f"{folds} folds need {folds} {unit}s of each label; '{pool.rarest_label:.100}' has "
            f"{pool.rarest_units} in train and validation together. Ask for fewer folds, or say '{HOLD_OUT}'"
        )
    return None


def _gets_folds(task: Task, facts: TaskFacts) -> bool:
    return (
        task.folds_by_default
        and sum(facts.split_rows[:2]) < FEW_ROWS
        and folds_problem(facts, folds=DEFAULT_FOLDS.folds) is None
    )
