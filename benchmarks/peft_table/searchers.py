"""Who plays: methods set by hand, random search, Optuna's samplers.

Each chooses by its own noisy observations and reports the best mean score that it has observed.
"""

import warnings
from collections.abc import Callable

import numpy as np
import optuna

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from benchmarks.autopeft.protocol import MANUAL
from benchmarks.peft_table.game import Game, Report, observed_best, observed_front
from benchmarks.peft_table.nearest import Nearest


def by_hand(game: Game) -> Report:
    """Try every method at its rates, in a random order of rates; what is left repeats the best of them.

    With fewer trainings than there are methods and rates, each method loses rates alike.
    """
    rng = np.random.default_rng([game.seed, 1])
    rows = [
        [int(row) for row in rng.permutation([one for one in game.table.rows(name) if one in game.rows])]
        for name in MANUAL
    ]
    for place in range(max(map(len, rows))):
        for of_method in rows:
            if place < len(of_method) and game.left:
                game.train(of_method[place])
    repeat_the_best(game)
    return Report(observed_best(game), observed_front(game))


def repeat_the_best(game: Game) -> None:
    """Spend what is left on further seeds, one for each row in the order of means, then another."""
    while game.left:
        ranked = sorted(game.seen, key=game.mean, reverse=True)
        fewest = min(len(game.seen[row]) for row in ranked if game.may_repeat(row))
        for row in ranked:
            if game.left and game.may_repeat(row) and len(game.seen[row]) == fewest:
                game.train(row)


def random_search(game: Game) -> Report:
    """Train rows at random."""
    for row in np.random.default_rng([game.seed, 2]).permutation(game.rows)[: game.left]:
        game.train(int(row))
    return Report(observed_best(game), observed_front(game))


def tpe(game: Game) -> Report:
    """Search with Optuna's multivariate TPE, which groups conditional parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=game.seed, multivariate=True, group=True)
    return search_with(game, sampler)


def gp_sampler(game: Game) -> Report:
    """Search with Optuna's Gaussian process, which is told that scores are noisy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.GPSampler(seed=game.seed, deterministic_objective=False)
    return search_with(game, sampler)


def reachable(game: Game) -> tuple[list[int], Nearest]:
    """Return the rows that the space holds, and their distances."""
    points = [game.table.points[row] for row in game.rows]
    kept = [(row, point) for row, point in zip(game.rows, points, strict=True) if point is not None]
    return [row for row, _ in kept], Nearest([point for _, point in kept], game.table.space)


def search_with(game: Game, sampler: optuna.samplers.BaseSampler) -> Report:
    """Search with a sampler of Optuna, which is told what was trained in the place of what it asked for."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows, nearest = reachable(game)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize"])
    while game.left:
        asked = study.ask()
        wanted = _walk(game.table.space, lambda one, trial=asked: _suggested(one, trial))  # type: ignore[misc]
        free = [place for place, row in enumerate(rows) if row not in game.seen]
        place = nearest.row(wanted, among=free)
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
        score = game.train(rows[place])
        cost = float(game.table.cost[rows[place]])
        study.add_trial(_told(game.table.space, nearest.points[place], score, cost))
    return Report(observed_best(game), observed_front(game))


def _walk(space: SearchSpace, value_of: Callable[[Parameter], ParameterValue]) -> Parameterization:
    """Ask for a value of every parameter that those before it make active."""
    found: Parameterization = {}
    for parameter in space.parameters:
        when = parameter.when
        if when is None or (when.parameter in found and when.met_by(found[when.parameter])):
            found[parameter.name] = value_of(parameter)
    return found


def _suggested(parameter: Parameter, trial: optuna.Trial) -> ParameterValue:
    name = parameter.name
    match parameter:
        case FloatParameter():
            return trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        case IntParameter():
            return trial.suggest_int(name, parameter.low, parameter.high, log=parameter.log)
        case OrdinalParameter():
            return parameter.choices[trial.suggest_int(name, 0, len(parameter.choices) - 1)]
        case CategoricalParameter():
            return trial.suggest_categorical(name, parameter.choices)
        case BoolParameter():
            return trial.suggest_categorical(name, (False, True))


def _told(space: SearchSpace, point: Parameterization, score: float, cost: float) -> optuna.trial.FrozenTrial:
    parameters_of = space.by_name
    return optuna.trial.create_trial(
        params={name: _internal(parameters_of[name], value) for name, value in point.items()},
        distributions={name: _distribution(parameters_of[name]) for name in point},
        values=[score, float(np.log10(cost))],
    )


def _internal(parameter: Parameter, value: ParameterValue) -> ParameterValue:
    return parameter.choices.index(value) if isinstance(parameter, OrdinalParameter) else value


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    match parameter:
        case FloatParameter():
            return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        case IntParameter():
            return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log)
        case OrdinalParameter():
            return optuna.distributions.IntDistribution(0, len(parameter.choices) - 1)
        case CategoricalParameter():
            return optuna.distributions.CategoricalDistribution(parameter.choices)
        case BoolParameter():
            return optuna.distributions.CategoricalDistribution((False, True))
