"""The learning rate that is usual for what a configuration trains, from the files of its methods."""

from api_schemas.peft.canonical import canonical_peft
from api_schemas.peft.registry import OWN_MODULES, Peft, PeftMethod

LEARNING_RATES = frozenset(
    [method.definition.learning_rate for method in PeftMethod]
    + [module.learning_rate for module in OWN_MODULES.values()]
)
"""Every rate that is usual for something."""


def default_learning_rate(peft: Peft) -> float:
    """Return the rate of the method; of a union the smallest, for the most delicate module decides."""
    trained = canonical_peft(peft)
    if trained.method is not PeftMethod.MODULES:
        return trained.method.definition.learning_rate
    # In a canonical description a module that is nowhere keeps no settings.
    absent = Peft().own_modules()
    present = [
        module.learning_rate for name, module in trained.own_modules().items() if module != absent[name]
    ]
    return min(present, default=PeftMethod.HEAD_ONLY.definition.learning_rate)
