"""The canonical form of a parameterization, its configuration, and the key that equal ones share.

Pure; knows no database session and no optimiser.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from api_schemas.backbones import BackboneShape
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.expressions.evaluation import Rows, evaluate
from service.expressions.parsing import parse_several
from service.storage import typed_study
from service.storage.models import Study


@dataclass(frozen=True)
class CanonicalTrial:
    """A trial before it is stored. `configuration` is `typed` as JSON; both are None in a custom study."""

    parameters: Parameterization
    configuration: dict[str, Any] | None
    key: str
    typed: TrialConfiguration | None = None


def canonical_trials(study: Study) -> Callable[[Parameterization], CanonicalTrial]:
    """Return a function that turns legal parameterizations of a study into trials."""
    space = typed_study.search_space(study)
    base, shape = typed_study.configuration(study), typed_study.backbone_shape(study)

    def turn(parameterization: Parameterization) -> CanonicalTrial:
        parameters = space.canonical(parameterization)
        if base is None:
            return CanonicalTrial(parameters, None, custom_key(parameters, space=space))
        configuration = canonical(patch(base, parameters), shape=shape)
        text = configuration.model_dump_json()
        return CanonicalTrial(parameters, from_json(text), _digest(text), configuration)

    return turn


def trial_keys(study: Study) -> Callable[[Parameterization], str]:
    """Return a function that returns the key of the trial which a parameterization becomes."""
    space = typed_study.search_space(study)
    base, shape = typed_study.configuration(study), typed_study.backbone_shape(study)

    def key(parameterization: Parameterization) -> str:
        parameters = space.canonical(parameterization)
        if base is None:
            return custom_key(parameters, space=space)
        return configuration_key(patch(base, parameters), shape=shape)

    return key


def configuration_key(configuration: TrialConfiguration, *, shape: BackboneShape | None) -> str:
    """Return equal keys to configurations that train the same network in the same way."""
    return _digest(canonical(configuration, shape=shape).model_dump_json())


def custom_key(parameters: Parameterization, *, space: SearchSpace) -> str:
    """Return equal keys to canonical parameterizations that are one trial of a custom study."""
    if space.identity is None:
        return parameters_key(parameters)
    row = Rows([parameters])
    values = [f"{float(evaluate(node, row)[0]) + 0.0:.12g}" for node in parse_several(space.identity)]
    return _digest(json.dumps({"identity": values}))


def parameters_key(parameters: Parameterization) -> str:
    """Return equal keys to canonical parameterizations that are equal, whatever their order."""
    return _digest(json.dumps(parameters, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
