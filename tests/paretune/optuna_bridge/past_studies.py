"""Studies of Optuna with known trials, in storages of a test."""

from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

X = FloatDistribution(0.0, 1.0)
KIND = CategoricalDistribution(["adam", "sgd"])


def past_trial(
    values: list[float] | None,
    *,
    distributions: Mapping[str, BaseDistribution] | None = None,
    state: TrialState = TrialState.COMPLETE,
    attributes: Mapping[str, Any] | None = None,
    curve: Mapping[int, float] | None = None,
    constraints: Mapping[str, float] | None = None,
    **params: Any,
) -> FrozenTrial:
    known = {"x": X, "kind": KIND, **(distributions or {})}
    return optuna.create_trial(
        state=state,
        values=values,
        params=params,
        distributions={name: known[name] for name in params},
        user_attrs=dict(attributes or {}),
        intermediate_values=dict(curve or {}),
        constraints=None if constraints is None else dict(constraints),
    )


def past_study(
    *trials: FrozenTrial,
    name: str = "past",
    directions: tuple[str, ...] = ("minimize", "maximize"),
    metrics: tuple[str, ...] | None = ("cost", "gain"),
    storage: str | BaseStorage | None = None,
) -> optuna.Study:
    study = optuna.create_study(
        study_name=name,
        directions=list(directions),
        storage=InMemoryStorage() if storage is None else storage,
    )
    if metrics is not None:
        # What `set_metric_names` writes, which warns that it may change.
        study._storage.set_study_system_attr(study._study_id, "study:metric_names", list(metrics))
    study.add_trials(trials)
    return study
