"""Other proposers behind the door of `suggest`: for comparison, and for users who want them.

All keep its promises: nothing that is evaluated, pending or equivalent, hard limits, starting points
first, pure. Knows names; each proposer, and the packages that it needs, loads when it is asked for.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol

from api_schemas.proposals import Proposer
from api_schemas.search_space import Parameterization
from service.optimization.problem import Observation, Problem, Suggestion

EXTRAS = {
    Proposer.NSGA2: ("proposers", ("optuna",)),
    Proposer.TPE: ("proposers", ("optuna",)),
    Proposer.AUTOPEFT_REFERENCE: ("autopeft-reference", ("jax", "numpyro")),
}
"""The optional dependencies of this project that a proposer needs, and the packages in them."""


class Propose(Protocol):
    """What every proposer is: see `service.optimization.suggest.suggest`."""

    def __call__(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        *,
        pending: Sequence[Parameterization],
        count: int,
        seed: int,
        time_limit_seconds: float = ...,
    ) -> list[Suggestion]:
        """Suggest up to `count` trials; fewer only if the space holds nothing new."""


class ProposerUnavailable(Exception):
    """A proposer's packages are not installed here; the message says what to install."""


def proposer_of(name: Proposer) -> Propose:
    """Give the function that proposes.

    Raises:
        ProposerUnavailable: If a package that it needs is not installed.
    """
    _check_installed(name)
    return _LOADERS[name]()


def _check_installed(name: Proposer) -> None:
    extra, packages = EXTRAS.get(name, ("", ()))
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise ProposerUnavailable(
                f"the proposer '{name}' needs the package '{package}', which the study worker does not have: "
                f"install it there with pip install 'paretune[{extra}]', or choose another proposer"
            ) from error


def _paretune() -> Propose:
    from service.optimization.suggest import suggest

    return suggest


def _random() -> Propose:
    from service.optimization.proposers.random_search import suggest

    return suggest


def _sobol() -> Propose:
    from service.optimization.proposers.sobol import suggest

    return suggest


def _regularized_evolution() -> Propose:
    from service.optimization.proposers.regularized_evolution import suggest

    return suggest


def _nsga2() -> Propose:
    from service.optimization.proposers.nsga2 import suggest

    return suggest


def _tpe() -> Propose:
    from service.optimization.proposers.tpe import suggest

    return suggest


def _autopeft_reference() -> Propose:
    from service.optimization.proposers.autopeft_reference import suggest

    return suggest


_LOADERS: dict[Proposer, Callable[[], Propose]] = {
    Proposer.PARETUNE: _paretune,
    Proposer.RANDOM: _random,
    Proposer.SOBOL: _sobol,
    Proposer.NSGA2: _nsga2,
    Proposer.REGULARIZED_EVOLUTION: _regularized_evolution,
    Proposer.TPE: _tpe,
    Proposer.AUTOPEFT_REFERENCE: _autopeft_reference,
}
