"""One spelling of the head alone, which every method comes to where no layer carries it.

The models would take these spellings for different configurations, and the search would try one by one.
"""

from collections.abc import Callable

import numpy as np

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Metric
from api_schemas.peft.counts import trainable_parameters
from api_schemas.peft.methods_preset import METHOD
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration
from service.optimization.grid import Candidates, Codes, Grid
from service.suggestions.exact_metrics import exact_metrics

SECTION = "peft."


def one_spelling(
    base: TrialConfiguration, *, shape: BackboneShape, classes: int
) -> Callable[[Candidates], Codes]:
    """Return what writes candidates that train the head alone as modules of no size in no layer.

    They are told by their count of trained weights, which nothing else has. Their recipe stays.
    """
    trained = exact_metrics(base, shape=shape, classes=classes)[Metric.TRAINABLE_PARAMETERS]
    head = base.model_copy(update={"peft": Peft()})
    of_head = trainable_parameters(head, shape=shape, classes=classes)

    def spelled(candidates: Candidates) -> Codes:
        alone = trained(candidates) == of_head
        if not alone.any():
            return candidates.codes
        codes = candidates.codes.copy()
        codes[alone] = _of_no_size(candidates.grid, codes[alone])
        return codes

    return spelled


def _of_no_size(grid: Grid, codes: Codes) -> Codes:
    written = codes.copy()
    for place, axis in enumerate(grid.axes):
        name, levels = axis.parameter.name, axis.levels or ()
        if name == METHOD:
            is_there = PeftMethod.MODULES.value in levels
            written[:, place] = levels.index(PeftMethod.MODULES.value) if is_there else codes[:, place]
        elif name.startswith(SECTION):
            written[:, place] = 0.0
    return grid.canonical(written, fill=np.zeros_like(written))
