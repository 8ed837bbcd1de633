"""Every proposer by name. A library is imported when one of its proposers is asked for."""

import importlib
import importlib.util
from dataclasses import dataclass

from benchmarks.optimiser.proposers.proposer import MakeProposer, ProposerUnavailable
from benchmarks.optimiser.proposers.suggesting import proposer_of


@dataclass(frozen=True)
class _Entry:
    """Where a proposer is, and which distributions' versions belong to its results.

    `is_suggest` marks a function with the signature of `suggest`; otherwise it makes a proposer.
    """

    function: str
    distributions: tuple[str, ...] = ()
    module_needed: str | None = None
    is_suggest: bool = False


ENGINE = ("torch", "botorch", "gpytorch")
BASELINES = "benchmarks.optimiser.proposers.without_model"
OPTUNA = "benchmarks.optimiser.proposers.optuna_samplers"
SYNE_TUNE = "benchmarks.optimiser.proposers.syne_tune_searchers"

_ENTRIES = {
    "paretune": _Entry("service.optimization.suggest:suggest", ENGINE, is_suggest=True),
    "density": _Entry(f"{BASELINES}:density"),
    "random": _Entry(f"{BASELINES}:uniform"),
    "optuna-nsga2": _Entry(f"{OPTUNA}:nsga2", ("optuna",), "optuna"),
    "optuna-tpe": _Entry(f"{OPTUNA}:tpe", ("optuna",), "optuna"),
    "optuna-gp": _Entry(f"{OPTUNA}:gp", ("optuna", "torch"), "optuna"),
    "ax": _Entry("benchmarks.optimiser.proposers.ax_client:ax", ("ax-platform", *ENGINE), "ax"),
    "syne-tune-morea": _Entry(f"{SYNE_TUNE}:morea", ("syne-tune",), "syne_tune"),
    "syne-tune-ehvi": _Entry(f"{SYNE_TUNE}:ehvi", ("syne-tune", *ENGINE), "syne_tune"),
    "regularized-evolution": _Entry(
        "benchmarks.optimiser.proposers.regularized_evolution:suggest", ENGINE, is_suggest=True
    ),
    "autopeft-reference": _Entry(
        "benchmarks.optimiser.proposers.autopeft_reference:suggest",
        ("numpyro", "jax", *ENGINE),
        "numpyro",
        is_suggest=True,
    ),
}


def proposer_names() -> list[str]:
    """List the proposers."""
    return list(_ENTRIES)


def proposer_named(name: str) -> MakeProposer:
    """Load a proposer: a listed name, or `module:function` with the signature of `suggest`.

    Raises:
        KeyError: no proposer has this name.
        ProposerUnavailable: its library is not installed.
    """
    entry = _entry(name)
    if entry.module_needed and importlib.util.find_spec(entry.module_needed) is None:
        raise ProposerUnavailable(f"{name} needs {entry.module_needed} (pip install 'paretune[peers]')")
    module, function = entry.function.split(":")
    found = getattr(importlib.import_module(module), function)
    make: MakeProposer = proposer_of(found) if entry.is_suggest else found
    return make


def distributions_of(name: str) -> tuple[str, ...]:
    """Name the packages whose versions a proposer's results depend on."""
    return _entry(name).distributions


def _entry(name: str) -> _Entry:
    return _Entry(name, ENGINE, is_suggest=True) if ":" in name else _ENTRIES[name]
