"""Which sub-networks a study's super-network scores, by which recipe it is trained, and what it costs.

Its cost is counted in trainings of the whole network: that of a layer grows with the rows that pass it, and
a pass forwards is an eighth of a step. Layers that are left out cost nothing, units and heads do not count:
inside a super-network they are computed and set to zero. Pure: knows no database.
"""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

from api_schemas.architecture import (
    MEASURING_ROWS,
    Architecture,
    canonical_architecture,
    sub_network_key,
)
from api_schemas.backbones import BackboneShape
from api_schemas.errors import FieldError
from api_schemas.exact_metrics import exact_metrics
from api_schemas.objectives import NETWORK_METRICS, Metric
from api_schemas.one_shot import OneShot, OneShotNetwork, OneShotRun
from api_schemas.search_space import Parameterization, values_of
from api_schemas.trial_configuration import TrialConfiguration, patch
from service.studies.layers import ARCHITECTURE
from service.studies.starting_points import starting_parameterization, whole_network
from service.studies.study_draft import StudyDraft

MOST_NETWORKS = 48
LOOKED_AT = 512
"""Points of the search space, at most, among which the networks are chosen."""

DRAWN = 2
FORWARD = 1 / 8
"""As measured (docs/architecture-search.md): it is without gradients, optimiser and small batches."""

MOST_SHARE = 1 / 4
"""Of a study's budget, for its super-network."""


def one_shot_run(draft: StudyDraft, points: Sequence[Parameterization]) -> OneShotRun | None:
    """Return the super-network of a draft that is legal, with its starting points; None if it wants none."""
    wanted = draft.request.proposals.one_shot
    whole = None if wanted is None else recipe_of(draft, points)
    if wanted is None or whole is None:
        return None
    networks = _networks(draft, whole, points)
    least = networks[0].cost
    return OneShotRun(
        configuration=_recipe(draft, whole, wanted),
        networks=networks,
        smallest=sum(network.cost == least for network in networks),
        trainings=_trainings(draft, networks, epochs=wanted.epochs),
    )


def behind_baselines(
    points: Sequence[Parameterization], base: TrialConfiguration, *, shape: BackboneShape
) -> int:
    """Return the place behind the last of some starting points that makes the backbone smaller."""
    smaller = [
        place
        for place, point in enumerate(points)
        if canonical_architecture(patch(base, point).architecture, shape) is not None
    ]
    return smaller[-1] + 1 if smaller else len(points)


def one_shot_budget_errors(draft: StudyDraft, run: OneShotRun | None) -> Iterator[FieldError]:
    """Find a super-network that would leave too little of the budget to the trials."""
    budget = draft.request.budget.trials
    if run is None or run.trainings <= MOST_SHARE * budget:
        return
    epochs = run.configuration.training.epochs
    fewer = (less for less in range(epochs - 1, 0, -1) if _fits(draft, run, epochs=less))
    fitting = next(fewer, None)
    cure = "" if fitting is None else f"take {fitting} epoch{'' if fitting == 1 else 's'}, or "
    yield FieldError(
        pointer="/proposals/one_shot/epochs",
        detail=f"a super-network of {epochs} epochs that scores {len(run.networks)} sub-networks costs as "
        f"much as {run.trainings} of the {budget} trials, and at most a quarter of them may pay for it: "
        f"{cure}raise the budget to {math.ceil(run.trainings / MOST_SHARE)} trials",
    )


def _fits(draft: StudyDraft, run: OneShotRun, *, epochs: int) -> bool:
    return _trainings(draft, run.networks, epochs=epochs) <= MOST_SHARE * draft.request.budget.trials


def recipe_of(draft: StudyDraft, points: Sequence[Parameterization]) -> Parameterization | None:
    """Return the point whose recipe trains the super-network: that of the whole network by hand.

    Where the space does not hold it, it is the first starting point; None if there is none.
    """
    space, base = draft.search_space, draft.configuration
    whole = whole_network(space, base, shape=draft.backbone.shape)
    if whole is not None or not points:
        return whole
    return starting_parameterization(space, base, points[0])


def _recipe(draft: StudyDraft, whole: Parameterization, wanted: OneShot) -> TrialConfiguration:
    trained = patch(draft.configuration, whole)
    training = trained.training.model_copy(
        update={"epochs": wanted.epochs or trained.training.epochs, "distillation": None}
    )
    return trained.model_copy(update={"architecture": None, "training": training})


def _networks(
    draft: StudyDraft, whole: Parameterization, points: Sequence[Parameterization]
) -> tuple[OneShotNetwork, ...]:
    """Return those that starting points keep, and others of the space: evenly from small to large."""
    of_points = _distinct(draft, whole, map(_sizes_of, points))
    of_space = _distinct(draft, whole, _combinations(draft))
    others = sorted(of_space.keys() - of_points.keys(), key=lambda key: (of_space[key].cost, key))
    room = max(0, MOST_NETWORKS - len(of_points))
    if len(others) > room:
        others = [others[place * (len(others) - 1) // max(1, room - 1)] for place in range(room)]
    chosen = [*of_points.items(), *((key, of_space[key]) for key in others)]
    return tuple(network for _, network in sorted(chosen, key=lambda item: (item[1].cost, item[0])))


def _distinct(
    draft: StudyDraft, whole: Parameterization, sizes: Iterable[Parameterization]
) -> Mapping[str, OneShotNetwork]:
    space, base, shape = draft.search_space, draft.configuration, draft.backbone.shape
    metric = _cost_metric(draft)
    found: dict[str, OneShotNetwork] = {}
    for size in sizes:
        point = space.active({**whole, **size})
        configuration = patch(base, point)
        key = sub_network_key(configuration.architecture, shape)
        if key not in found:
            kept = canonical_architecture(configuration.architecture, shape)
            costs = exact_metrics(configuration, shape=shape, classes=draft.task.classes)
            found[key] = OneShotNetwork(architecture=kept, parameters=point, cost=costs[metric])
    return found


def _sizes_of(point: Parameterization) -> Parameterization:
    return {name: value for name, value in point.items() if name.startswith(ARCHITECTURE)}


def _combinations(draft: StudyDraft) -> Iterator[Parameterization]:
    """Yield what the space lets a trial keep: all of it, or as much as is looked at, drawn by the seed."""
    searched = {
        parameter.name: values_of(parameter)
        for parameter in draft.search_space.parameters
        if parameter.name.startswith(ARCHITECTURE)
    }
    count = math.prod(map(len, searched.values()))
    chance = random.Random(draft.request.seed)  # noqa: S311  no secret
    for number in range(count) if count <= LOOKED_AT else chance.sample(range(count), LOOKED_AT):
        point: Parameterization = {}
        rest = number
        for name, values in searched.items():
            rest, place = divmod(rest, len(values))
            point[name] = values[place]
        yield point


def _cost_metric(draft: StudyDraft) -> str:
    """Return the first exact cost of the network among the objectives, else its operations."""
    named = (one.metric for one in draft.request.objectives if one.metric in NETWORK_METRICS)
    return next(named, Metric.FLOPS.value)


def _trainings(draft: StudyDraft, networks: Sequence[OneShotNetwork], *, epochs: int | None) -> int:
    own = draft.configuration.training.epochs
    shares = [_depth(network.architecture, draft) for network in networks]
    train, validation = _rows(draft)
    a_step = 1 + min(shares) + DRAWN * sum(shares) / len(shares)
    scored = FORWARD * sum(shares) * min(MEASURING_ROWS, validation) / (train * own)
    return math.ceil((epochs or own) / own * a_step + scored)


def _depth(kept: Architecture | None, draft: StudyDraft) -> float:
    return 1.0 if kept is None else kept.keep_layers / draft.backbone.shape.layers


def _rows(draft: StudyDraft) -> tuple[int, int]:
    """Return how many rows a trial trains on, and validates on."""
    task = draft.configuration.task
    train, validation, _ = draft.task.split_rows
    if task.folds is not None:
        validation = (train + validation) // task.folds
        train = sum(draft.task.split_rows[:2]) - validation
    return max(1, task.train_rows or train), task.validation_rows or validation
