"""What a configuration trains, in a few words that a person can act on. Knows no tensors and no costs."""

from api_schemas.architecture import Architecture
from api_schemas.peft.canonical import on_first_layers
from api_schemas.peft.method import LibrarySettings, Method
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.peft.wording import layers_in_words, roles_in_brackets
from api_schemas.trial_configuration import TrialConfiguration, canonical


def describe_modules(configuration: TrialConfiguration) -> str:
    """Return in a few words what a configuration trains."""
    return describe_canonical(canonical(configuration))


def describe_canonical(configuration: TrialConfiguration) -> str:
    """Return the same of a configuration that is canonical already, as those of stored trials are."""
    return describe_parts(configuration.peft, configuration.architecture)


def describe_parts(peft: Peft, kept: Architecture | None) -> str:
    """Return the same of what stands under `peft` and `architecture` in such a configuration."""
    if kept is None:
        return _trained(peft)
    words = kept.words(layers=None if peft.active_layers is None else len(peft.active_layers))
    return f"{_trained(on_first_layers(peft, kept.keep_layers))}; {words}"


def _trained(peft: Peft) -> str:
    if peft.active_layers is not None and not any(peft.active_layers):
        return PeftMethod.HEAD_ONLY.definition.label
    return _own_modules(peft) if peft.method is PeftMethod.MODULES else _method(peft)


def _own_modules(peft: Peft) -> str:
    alike, by_layer = [], []
    for module in peft.own_modules().values():
        if module.by_layer is not None:
            by_layer.append(f"{module.label} {module.words_by_layer(module.by_layer)}")
        elif module.size_at(0):
            alike.append(module.label + module.words())
    together = [f"{' + '.join(alike)} {_on_layers(peft)}"] if alike else []
    return "; ".join([*together, *by_layer])


def _method(peft: Peft) -> str:
    method = peft.method.definition
    words = method.label + (
        _sizes(method, peft.library) if method.size_words is None else method.size_words(peft.library)
    )
    if method.is_targeted:
        words += roles_in_brackets(peft.library.targets)
    return words if method.is_prompt else f"{words} {_on_layers(peft)}"


def _sizes(method: Method, settings: LibrarySettings) -> str:
    written = {
        "rank": f" {settings.rank}",
        "block_size": f" with blocks of {settings.block_size}",
        "frequencies": f" with {settings.frequencies:,} frequencies",
        "virtual_tokens": f" with {settings.virtual_tokens} tokens",
    }
    return "".join(words for setting, words in written.items() if setting in method.reads)


def _on_layers(peft: Peft) -> str:
    if peft.active_layers is None:
        first = peft.first_active_layer
        return f"on layers {first} and up" if first else "on all layers"
    on = [layer for layer in range(len(peft.active_layers)) if peft.is_active(layer)]
    if len(on) == len(peft.active_layers) > 1:
        return f"on all {len(on)} layers"
    return f"on {layers_in_words(on)}"
