"""What is called how on both sides, and the marks that an export leaves for an import."""

import re
from collections.abc import Collection, Iterable, Mapping

from api_schemas.base import Schema
from api_schemas.objectives import ConstraintOp, Objective, OutcomeConstraint
from api_schemas.search_space import PATH_PATTERN, SearchSpace
from paretune.errors import BridgeError

LONGEST_PARAMETER = 200
LONGEST_METRIC = 64
METRIC_PATTERN = r"[A-Za-z][A-Za-z0-9_]*"

GIVEN = "_given"

STUDY = "paretune:study"
"""Attribute of an exported study that holds an `ExportedStudy`."""
STUDY_ID = "paretune:study_id"
TRIAL_ID = "paretune:trial_id"
REASON = "paretune:state_reason"
INFEASIBLE = "paretune: infeasible"
"""Optuna's constraint that a trial breaks which yielded nothing, for its parameters cannot work."""


class ExportedStudy(Schema):
    """What a study searched and weighed, which Optuna's distributions say only in part."""

    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[OutcomeConstraint, ...]


def parameter_names(names: Iterable[str]) -> dict[str, str]:
    """Return each parameter of Optuna a name that Paretune takes: its own, where that is one.

    Of names that would become one, all but the first get a number, in the order that they come in.

    Raises:
        BridgeError: If a name is too long.
    """
    return _distinct({name: _parameter_name(name) for name in names}, longest=LONGEST_PARAMETER)


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Return each objective of Optuna the name of a metric, none of them twice.

    Raises:
        BridgeError: If a name is too long.
    """
    return _distinct({name: _metric_name(name) for name in names}, longest=LONGEST_METRIC)


def constraint_names(keys: Iterable[str]) -> list[str]:
    """Return each constraint of Optuna the name of a metric, in small letters, none of them twice.

    Raises:
        BridgeError: If a name is too long.
    """
    names = [f"constraint_{key}" for key in keys]
    return [*_distinct({name: _metric_name(name).lower() for name in names}, longest=LONGEST_METRIC).values()]


def given_name(parameter: str) -> str:
    """Name the switch that says whether a trial has a parameter."""
    return f"{parameter[: LONGEST_PARAMETER - len(GIVEN)]}{GIVEN}"


def constraint_key(constraint: OutcomeConstraint) -> str:
    """Name one of Paretune's constraints in Optuna."""
    return f"{constraint.metric} {constraint.op} {constraint.bound!r}"


def violation(constraint: OutcomeConstraint, value: float) -> float:
    """Return by how much a value breaks a constraint; at most 0 where it keeps it."""
    return value - constraint.bound if constraint.op is ConstraintOp.AT_MOST else constraint.bound - value


def from_violation(constraint: OutcomeConstraint, violated: float) -> float:
    """Return the value that breaks a constraint by so much."""
    return (
        constraint.bound + violated if constraint.op is ConstraintOp.AT_MOST else constraint.bound - violated
    )


def _parameter_name(name: str) -> str:
    chosen = name
    if not re.match(PATH_PATTERN, name):
        replaced = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
        chosen = replaced if re.match(r"[A-Za-z]", replaced) else f"p_{replaced.lstrip('_-')}"
    return _short_enough(chosen, LONGEST_PARAMETER, "parameter")


def _metric_name(name: str) -> str:
    chosen = name
    if not re.fullmatch(METRIC_PATTERN, name):
        replaced = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
        chosen = replaced if re.fullmatch(METRIC_PATTERN, replaced) else f"metric_{replaced}"
    return _short_enough(chosen, LONGEST_METRIC, "metric")


def _short_enough(name: str, longest: int, kind: str) -> str:
    if len(name) > longest:
        raise BridgeError(
            f"The name of a {kind} may have {longest} characters, and '{name[:40]}...' has {len(name)}. "
            "Rename it in Optuna, or copy the study there under shorter names."
        )
    return name


def _distinct(chosen: Mapping[str, str], *, longest: int) -> dict[str, str]:
    taken = {name for name, new in chosen.items() if name == new}
    found: dict[str, str] = {}
    for name, new in chosen.items():
        found[name] = new if name == new else _free(new, taken, longest=longest)
        taken.add(found[name])
    return found


def _free(name: str, taken: Collection[str], *, longest: int) -> str:
    free, number = name, 2
    while free in taken:
        ending = f"_{number}"
        free = name[: longest - len(ending)].rstrip("_") + ending
        number += 1
    return free
