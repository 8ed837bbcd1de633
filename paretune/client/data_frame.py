"""Trials as a table. Only this module loads pandas, and only on demand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from api_schemas.trials import TrialRead
from paretune.errors import PandasMissing

if TYPE_CHECKING:
    import pandas as pd


def trial_rows(trials: Sequence[TrialRead]) -> list[dict[str, Any]]:
    """Return one flat row for each trial; columns of parameters and metrics begin with what they are."""
    return [
        {
            "number": trial.number,
            "trial_id": trial.id,
            "state": trial.state.value,
            "state_reason": trial.state_reason,
            "generated_by": trial.generated_by,
            "on_front": trial.on_front,
            "started_at": trial.started_at,
            "finished_at": trial.finished_at,
            **{f"parameters.{name}": value for name, value in trial.parameters.items()},
            **{f"metrics.{name}": value for name, value in trial.metrics.items()},
            **{f"standard_errors.{name}": value for name, value in trial.metric_standard_errors.items()},
            **{f"test_metrics.{name}": value for name, value in trial.test_metrics.items()},
        }
        for trial in trials
    ]


def data_frame(trials: Sequence[TrialRead]) -> "pd.DataFrame":
    """Return the rows as a pandas data frame.

    Raises:
        PandasMissing: If pandas is not installed.
    """
    try:
        import pandas as pd
    except ModuleNotFoundError as error:
        raise PandasMissing("A data frame needs pandas: pip install 'paretune[pandas]'.") from error
    return pd.DataFrame(trial_rows(trials))
