"""The exact number of trained scalars of a configuration: a known cost, never measured, never modelled.

Counts everything that is trained and saved: adapter weights and biases, prefixes, low-rank factors
and the linear head. (AutoPEFT leaves out biases and the head; section 3 of arXiv 2301.12132.)
"""

from api_schemas.backbones import BackboneShape
from api_schemas.library_parameters import library_parameters
from api_schemas.peft_methods import PeftMethod
from api_schemas.trial_configuration import Lora, TrialConfiguration


def trainable_parameters(configuration: TrialConfiguration, *, shape: BackboneShape, classes: int) -> int:
    """Count the trained scalars of a configuration on a backbone of this shape."""
    peft = configuration.peft
    layers = shape.layers if peft.active_layers is None else sum(peft.active_layers)
    head = shape.hidden_size * classes + classes
    if peft.method is not PeftMethod.MODULES:
        return library_parameters(peft.method, peft.library, shape=shape, layers=layers) + head
    per_layer = (
        _bottleneck(peft.serial_adapter.bottleneck_size, hidden_size=shape.hidden_size)
        + _bottleneck(peft.parallel_adapter.bottleneck_size, hidden_size=shape.hidden_size)
        + 2 * peft.prefix_tuning.length * shape.key_value_size
        + _lora(peft.lora, shape=shape)
    )
    return layers * per_layer + head


def _bottleneck(size: int, *, hidden_size: int) -> int:
    return 2 * hidden_size * size + size + hidden_size if size else 0


def _lora(lora: Lora, *, shape: BackboneShape) -> int:
    hidden, query, key_value, ffn = shape.hidden_size, shape.query_size, shape.key_value_size, shape.ffn_size
    in_plus_out = {
        "query": hidden + query,
        "key": hidden + key_value,
        "value": hidden + key_value,
        "attention_output": query + hidden,
        "ffn_in": hidden + ffn,
        "ffn_out": ffn + hidden,
    }
    return lora.rank * sum(in_plus_out[role] for role in lora.targets)
