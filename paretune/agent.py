"""Run the trials of a custom study with a user's own script, one after the other, until the study has ended.

The client keeps each trial's lease with heartbeats. A trial that is no longer wanted ends the script; an
agent that is told to end gives its trial back.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from api_schemas.json_values import ParameterValue
from api_schemas.objectives import is_metric_name
from api_schemas.studies import StudyKind
from paretune.client import Client, RunningTrial
from paretune.errors import ParetuneError, TrialInfeasible, TrialLost, TrialStopped
from paretune.trial_script import ScriptFailed, run_script

FAILURES_IN_A_ROW = 3
"""After so many the script is taken to be broken, and no more trials are spent on it."""


class NotForAgents(ParetuneError):
    """The trials of the study are not a script's to run."""


class ScriptBroken(ParetuneError):
    """The script failed several times in a row."""


def run_agent(
    client: Client,
    study_id: str,
    command: Sequence[str],
    *,
    show: Callable[[str], None],
    tell: Callable[[str], None],
) -> int:
    """Run trials until the study hands out no more; return how many this agent ran to an end.

    Args:
        client: Of the server.
        study_id: A custom study.
        command: The script with its arguments, and placeholders.
        show: Gets each line that the script writes.
        tell: Gets a sentence for each trial.

    Raises:
        NotForAgents: If the study is one that Paretune trains itself.
        ScriptBroken: If the script failed three times in a row.
        ScriptMissing: If it cannot be started.
        RequestRefused: If the server takes none of its results, because a metric is missing, say.
    """
    if client.get_study(study_id).kind is not StudyKind.CUSTOM:
        raise NotForAgents(
            f"Study {study_id} is of kind peft: its trials are trained by the workers of the server. An "
            "agent runs those of a study of kind custom."
        )
    ran = in_a_row = 0
    for trial in client.study(study_id).open_trials():
        failed = _run_trial(trial, command, show=show, tell=tell)
        in_a_row = in_a_row + 1 if failed else 0
        if in_a_row == FAILURES_IN_A_ROW:
            raise ScriptBroken(
                f"The script failed {in_a_row} times in a row, so no more trials are spent on it. Correct "
                "it, and start the agent again."
            )
        ran += not failed
    return ran


def _run_trial(
    trial: RunningTrial, command: Sequence[str], *, show: Callable[[str], None], tell: Callable[[str], None]
) -> bool:
    """Run one trial and tell the server how it ended; return whether its script failed."""
    number = trial.suggested.number
    tell(f"trial {number}: {_listed(trial.parameters)}")
    try:
        with trial:
            try:
                metrics = _metrics(trial, command, show=show)
            except (TrialInfeasible, TrialStopped, TrialLost) as ending:
                tell(f"trial {number}: {type(ending).__name__}: {ending}")
                raise
            trial.complete(**metrics)
            tell(f"trial {number}: {_listed(metrics)}")
    except ScriptFailed as error:
        tell(f"trial {number}: {error}")
        return True
    return False


def _metrics(
    trial: RunningTrial, command: Sequence[str], *, show: Callable[[str], None]
) -> Mapping[str, float]:
    def heard(line: str) -> None:
        show(line)
        trial.log(line)

    with tempfile.TemporaryDirectory(prefix="paretune-trial-") as folder:
        told = run_script(command, trial.suggested, folder=Path(folder), show=heard, check=trial.check)
    metrics = {name: value for name, value in told.items() if is_metric_name(name)}
    odd = sorted(told.keys() - metrics.keys())
    if odd:
        heard(f"Not taken, for a metric is a letter with letters, digits and _ behind it: {', '.join(odd)}.")
    if not metrics:
        raise ScriptFailed("the script told no metric that can be taken: no metric may be called so")
    return metrics


def _listed(values: Mapping[str, ParameterValue]) -> str:
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )
