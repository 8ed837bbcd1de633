"""What is compared: tasks and rows, searches and their budget, seeds of the test, methods set by hand.

Decided before any result. On the small cases methods set by hand are those of `benchmarks.autopeft`, tuned
and tested there on the same rows; on the large one they are tuned and tested here. The cases with folds
were added when the others were known: their searches may validate on every row that the others train or
validate on, and what they find is tested as the others are.
"""

from dataclasses import dataclass

from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import PeftMethod
from api_schemas.tasks import Folds
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from benchmarks.autopeft.choosing import score_of, tuned
from benchmarks.autopeft.protocol import FULL, MANUAL, RATE, TASKS, base_configuration
from benchmarks.autopeft.results import FOLDER as AUTOPEFT
from benchmarks.autopeft.results import path_of, read_trials
from benchmarks.peft_table.configurations import CUSTOMARY_RATE, searched_shape

SEARCHES = 3
TRAININGS = 32
TEST_SEEDS = (101, 102, 103, 104, 105)
"""No study gets so far: its seeds begin at its own and count up."""

AGAIN_SEEDS = tuple(range(101, 111))
"""Where five seeds left a doubt: the same ten of both sides."""

LARGE_TASK, LARGE_TRAIN_ROWS = "imdb", 2000
LARGE = f"{LARGE_TASK} {LARGE_TRAIN_ROWS}"
FOLDS = 2
"""As many rows validate as train, about as many as with hold-out, so a training costs the same."""


@dataclass(frozen=True)
class Case:
    """A task and how many of its rows train; `searched` is what its studies share, `base` what is tested."""

    name: str
    task: str
    base: TrialConfiguration
    searched: TrialConfiguration

    @property
    def is_large(self) -> bool:
        """Whether methods by hand were not tuned on it elsewhere."""
        return self.base.task.train_rows == LARGE_TRAIN_ROWS


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    shape = searched_shape()
    bases = {task: base_configuration(task, shape=shape) for task in TASKS}
    large = patch(bases[LARGE_TASK], {"task.train_rows": LARGE_TRAIN_ROWS})
    folds = Folds(folds=FOLDS)
    return {
        **{task: Case(task, task, base, base) for task, base in bases.items()},
        LARGE: Case(LARGE, LARGE_TASK, large, large),
        **{
            f"{task} in folds": Case(f"{task} in folds", task, base, _with_task(base, resampling=folds))
            for task, base in bases.items()
        },
    }


def _with_task(base: TrialConfiguration, **changes: object) -> TrialConfiguration:
    return base.model_copy(update={"task": base.task.model_copy(update=changes)})


def tested(case: Case, configuration: TrialConfiguration) -> TrialConfiguration:
    """Return a configuration that was found as it is tested: trained on the rows of methods by hand."""
    return configuration.model_copy(update={"task": case.base.task})


def default(case: Case) -> TrialConfiguration:
    """Return LoRA 8 as people run it."""
    return canonical(patch(case.base, {"peft.lora.rank": 8, RATE: CUSTOMARY_RATE}))


def methods_by_hand(case: Case) -> dict[str, dict[float, TrialConfiguration]]:
    """Return each method's configurations by learning rate."""
    found: dict[str, dict[float, TrialConfiguration]] = {}
    for name, method in MANUAL.items():
        values = {METHOD: PeftMethod.FULL.value} if name == FULL else dict(method.values)
        found[name] = {rate: canonical(patch(case.base, values | {RATE: rate})) for rate in method.rates}
    return found


def configuration_by_hand(case: Case) -> TrialConfiguration:
    """Return the method that tuning chose elsewhere, at its rate."""
    name, _ = best_by_hand_elsewhere(case)
    method, rate = name.split(" @ ")
    return methods_by_hand(case)[method][float(rate)]


def best_by_hand_elsewhere(case: Case) -> tuple[str, dict[int, float]]:
    """Return the method that tuning chose on validation, and its test scores by seed."""
    trials = read_trials(path_of(AUTOPEFT, case.task))
    best = max(tuned(trials.values()).values(), key=score_of)
    tests = {
        trial.seed: trial.test_score
        for trial in trials.values()
        if trial.phase == "manual" and trial.name == best.origin and trial.test_score is not None
    }
    return f"{best.origin} @ {best.configuration.training.learning_rate:g}", tests
