"""What a configuration trains, in a few words that a person can act on. Knows no tensors and no costs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from api_schemas.peft import LoraRanks, Peft
from api_schemas.peft_methods import PROMPT_METHODS, SETTINGS, TARGETED, LibrarySettings, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration, canonical

HEAD_ONLY = "head only (linear probe)"

METHOD_NAMES: Mapping[PeftMethod, str] = {
    PeftMethod.MODULES: "modules",
    PeftMethod.HEAD_ONLY: HEAD_ONLY,
    PeftMethod.BITFIT: "BitFit",
    PeftMethod.LORA: "HF LoRA",
    PeftMethod.RSLORA: "rsLoRA",
    PeftMethod.DORA: "DoRA",
    PeftMethod.PISSA: "PiSSA",
    PeftMethod.OLORA: "OLoRA",
    PeftMethod.ADALORA: "AdaLoRA",
    PeftMethod.VERA: "VeRA",
    PeftMethod.IA3: "(IA)³",
    PeftMethod.LOHA: "LoHa",
    PeftMethod.LOKR: "LoKr",
    PeftMethod.OFT: "OFT",
    PeftMethod.BOFT: "BOFT",
    PeftMethod.LN_TUNING: "norms",
    PeftMethod.MISS: "MiSS",
    PeftMethod.FOURIERFT: "FourierFT",
    PeftMethod.VBLORA: "VB-LoRA",
    PeftMethod.RANDLORA: "RandLoRA",
    PeftMethod.HRA: "HRA",
    PeftMethod.PROMPT_TUNING: "prompt tuning",
    PeftMethod.P_TUNING: "P-tuning",
}
"""The methods as their papers write them."""


def describe_modules(configuration: TrialConfiguration) -> str:
    """Return in a few words what a configuration trains."""
    return describe_canonical(canonical(configuration))


def describe_canonical(configuration: TrialConfiguration) -> str:
    """Return the same of a configuration that is canonical already, as those of stored trials are."""
    peft = configuration.peft
    if peft.active_layers is not None and not any(peft.active_layers):
        return HEAD_ONLY
    return _own_modules(peft) if peft.method is PeftMethod.MODULES else _library_method(peft)


def _own_modules(peft: Peft) -> str:
    alike, by_layer = [], []
    for name, section, words in (
        ("serial", peft.serial_adapter, _number(peft.serial_adapter.bottleneck_size)),
        ("parallel", peft.parallel_adapter, _number(peft.parallel_adapter.bottleneck_size)),
        ("prefix", peft.prefix_tuning, _number(peft.prefix_tuning.length)),
        ("LoRA", peft.lora, f" {peft.lora.rank}{_in_brackets(peft.lora.targets)}"),
        ("Compacter", peft.compacter, _number(peft.compacter.bottleneck_size)),
        ("scale and shift", peft.scale_shift, ""),
    ):
        if section.by_layer is not None:
            by_layer.append(f"{name} {_by_layer(section.by_layer)}")
        elif section.size_at(0):
            alike.append(name + words)
    together = [f"{' + '.join(alike)} {_on_layers(peft)}"] if alike else []
    return "; ".join([*together, *by_layer])


def _library_method(peft: Peft) -> str:
    words = METHOD_NAMES[peft.method] + _sizes(peft.method, peft.library)
    if peft.method in TARGETED:
        words += _in_brackets(peft.library.targets)
    return words if peft.method in PROMPT_METHODS else f"{words} {_on_layers(peft)}"


def _sizes(method: PeftMethod, settings: LibrarySettings) -> str:
    rank = f" {settings.rank}"
    if method is PeftMethod.VBLORA:
        return f"{rank} with vectors of {settings.block_size}"
    written = {
        "rank": rank,
        "block_size": f" with blocks of {settings.block_size}",
        "frequencies": f" with {settings.frequencies:,} frequencies",
        "virtual_tokens": f" with {settings.virtual_tokens} tokens",
    }
    return "".join(words for setting, words in written.items() if setting in SETTINGS[method])


def _by_layer(entries: Sequence[int | bool | LoraRanks]) -> str:
    """Return a size for each layer: every size once, with its layers; ranks as their range."""
    if isinstance(entries[0], LoraRanks):
        ranks = [entry.present() if isinstance(entry, LoraRanks) else {} for entry in entries]
        found = [rank for of_layer in ranks for rank in of_layer.values()]
        span = str(min(found)) if min(found) == max(found) else f"{min(found)} to {max(found)}"
        plural = "s" if len(found) > 1 else ""
        on = [layer for layer, of_layer in enumerate(ranks) if of_layer]
        return f"{span} on {len(found)} projection{plural} of {_layers(on)}"
    layers_of: dict[int | bool | LoraRanks, list[int]] = {}
    for layer, size in enumerate(entries):
        if size:
            layers_of.setdefault(size, []).append(layer)
    # One equals True, so equality would not tell a size from a switch.
    if all(size is True for size in layers_of):
        return f"on {_layers(layers_of[True])}"
    return ", ".join(f"{size} ({_layers(layers)})" for size, layers in layers_of.items())


def _on_layers(peft: Peft) -> str:
    if peft.active_layers is None:
        first = peft.first_active_layer
        return f"on layers {first} and up" if first else "on all layers"
    on = [layer for layer in range(len(peft.active_layers)) if peft.is_active(layer)]
    if len(on) == len(peft.active_layers) > 1:
        return f"on all {len(on)} layers"
    return f"on {_layers(on)}"


def _layers(layers: Sequence[int]) -> str:
    return f"layer{'s' if len(layers) > 1 else ''} {', '.join(_runs(layers))}"


def _runs(numbers: Iterable[int]) -> Iterator[str]:
    """Write neighbours as a range."""
    for _, run in groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0]):
        found = [number for _, number in run]
        yield str(found[0]) if len(found) == 1 else f"{found[0]}-{found[-1]}"


def _number(size: int) -> str:
    return f" {size}"


def _in_brackets(roles: Sequence[str]) -> str:
    return f" ({', '.join(role.replace('_', ' ').replace('ffn', 'FFN') for role in roles)})"
