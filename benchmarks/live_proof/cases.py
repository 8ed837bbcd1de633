"""What is compared: tasks and rows, searches and their budget, seeds of the test, methods set by hand.

Decided before any result. On the small cases methods set by hand are those of `benchmarks.autopeft`, tuned
and tested there on the same rows; on the large one they are tuned and tested here.
"""

from dataclasses import dataclass

from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import PeftMethod
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

LARGE_TASK, LARGE_TRAIN_ROWS = "imdb", 2000


@dataclass(frozen=True)
class Case:
    """A task and how many of its rows train."""

    name: str
    task: str
    base: TrialConfiguration

    @property
    def is_large(self) -> bool:
        """Whether methods by hand were not tuned on it elsewhere."""
        return self.base.task.train_rows == LARGE_TRAIN_ROWS


def cases() -> dict[str, Case]:
    """Return all cases by name."""
    shape = searched_shape()
    found = {task: Case(task, task, base_configuration(task, shape=shape)) for task in TASKS}
    large = patch(base_configuration(LARGE_TASK, shape=shape), {"task.train_rows": LARGE_TRAIN_ROWS})
    name = f"{LARGE_TASK} {LARGE_TRAIN_ROWS}"
    return found | {name: Case(name, LARGE_TASK, large)}


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
