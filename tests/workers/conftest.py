"""Frozen backbones: the real MiniLM, and tiny random networks of every family in double precision."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    MPNetConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
    T5Config,
    XLMRobertaConfig,
)

from api_schemas.backbones import BackboneShape
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ClaimedTrial
from service.catalogue.backbones.weight_counts import weight_counts
from service.trials import leases
from tests.service.trials.test_leases import stored_study
from workers import trial_worker
from workers.backbones.loading import Backbone, freeze, model_class
from workers.model_cache import ModelCache

CPU = torch.device("cpu")
# As BERT and its like spell it, and as decoders with grouped key-value heads do.
_ENCODER = {
    "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 32, "pad_token_id": 0,
}  # fmt: skip
_DECODER = {**_ENCODER, "num_key_value_heads": 2}
_DEBERTA = {**_ENCODER, "relative_attention": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm"}
_T5 = {"vocab_size": 50, "d_model": 16, "d_kv": 3, "d_ff": 32, "num_layers": 3, "num_heads": 4}
KINDS: dict[str, PretrainedConfig] = {
    "bert": BertConfig(**_ENCODER),
    "roberta": RobertaConfig(**_ENCODER),
    "xlm-roberta": XLMRobertaConfig(**_ENCODER),
    "electra": ElectraConfig(**_ENCODER, embedding_size=8),
    "distilbert": DistilBertConfig(vocab_size=50, dim=16, n_layers=3, n_heads=4, hidden_dim=32),
    "mpnet": MPNetConfig(**{**_ENCODER, "pad_token_id": 1}),
    "deberta-v2": DebertaV2Config(**_DEBERTA, pos_att_type=["p2c", "c2p"], share_att_key=True),
    "deberta-v2 with own position projections": DebertaV2Config(
        **_DEBERTA, pos_att_type=["p2c", "c2p"], conv_kernel_size=3
    ),
    "deberta-v2 without relative positions": DebertaV2Config(**_ENCODER),
    "gpt2": GPT2Config(vocab_size=50, n_embd=16, n_layer=3, n_head=4, n_positions=32),
    "llama": LlamaConfig(**_DECODER),
    "mistral": MistralConfig(**_DECODER),
    "qwen2": Qwen2Config(**_DECODER),
    "qwen3": Qwen3Config(**_DECODER, head_dim=6),
    "t5": T5Config(**_T5),
    "t5 with a gated feed-forward block": T5Config(**_T5, feed_forward_proj="gated-gelu"),
}
SMALL = {
    "backbone": "all-MiniLM-L6-v2",
    "task": {"name": "rotten-tomatoes", "train_rows": 32, "validation_rows": 16, "test_rows": 16},
    "training": {"epochs": 2, "batch_size": 8, "max_length": 16},
    "peft": {"active_layers": [False] * 5 + [True], "serial_adapter": {"bottleneck_size": 4}},
}


def tiny(kind: str) -> Backbone:
    """A random network of three layers: a key of `KINDS`, double precision, never the same object twice."""
    torch.manual_seed(0)
    configuration = deepcopy(KINDS[kind])  # saving a network writes its precision into it
    build = model_class(configuration.model_type)
    model = getattr(build, "from_config", getattr(build, "_from_config", None))(configuration).double()
    with torch.no_grad():
        # Initial weights are so small that attention would be nearly even and a wrong bias go unseen.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.3)
    return freeze(model, SimpleNamespace(pad_token_id=0), name=kind, device=CPU)


def counted_shape(backbone: Backbone) -> BackboneShape:
    """The shape as a study has it that may train the weights themselves."""
    configuration = backbone.model.config.to_dict()  # type: ignore[union-attr,operator]
    weights = weight_counts(configuration, shape=backbone.shape)
    return backbone.shape.model_copy(update={"weights": weights})


@pytest.fixture(scope="session", autouse=True)
def single_precision() -> Iterator[None]:
    """Pretrained weights as a CPU without bfloat16 has them: every machine then holds the same digits.

    The latency of each trial is timed in two runs instead of eighteen; tests need its sign alone.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("workers.backbones.loading.frozen_dtype", lambda _: torch.float32)
        patched.setattr("workers.measuring.costs.WARM_UP_RUNS", 1)
        patched.setattr("workers.measuring.costs.TIMED_RUNS", 1)
        yield


_shared = cache(tiny)


def _state(backbone: Backbone) -> list[object]:
    """Return what a test could leave behind in a network: parts, attributes, hooks, values, gradients."""
    parts = backbone.model.named_modules()
    return [
        *(
            (name, id(part), sorted(vars(part)), len(part._forward_hooks), len(part._forward_pre_hooks))
            for name, part in parts
        ),
        *(
            (name, p._version, p.dtype, p.requires_grad, p.grad)
            for name, p in backbone.model.named_parameters()
        ),
    ]


@contextmanager
def unchanged(kind: str) -> Iterator[Backbone]:
    """The network of a kind that the tests of this process share; it must come back as it was."""
    shared = _shared(kind)
    before = _state(shared)
    yield shared
    if _state(shared) != before:
        _shared.cache_clear()
        pytest.fail("The test changed a shared backbone; take one of `tiny`.")


@pytest.fixture
def bert() -> Iterator[Backbone]:
    with unchanged("bert") as shared:
        yield shared


@pytest.fixture
def llama() -> Iterator[Backbone]:
    with unchanged("llama") as shared:
        yield shared


# One for each way of being built; the others repeat the table in the nightly run.
QUICK = ("bert", "gpt2", "llama", "t5")


@pytest.fixture(
    params=[kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.nightly) for kind in KINDS]
)
def backbone(request: pytest.FixtureRequest) -> Iterator[Backbone]:
    with unchanged(request.param) as shared:
        yield shared


every_kind = pytest.mark.parametrize("backbone", KINDS, indirect=True)
"""Let a test run on every kind, also in the quick run."""


@pytest.fixture(scope="session")
def model_cache() -> ModelCache:
    return ModelCache(None, device=CPU)


@pytest.fixture
def signal_handlers() -> Iterator[None]:
    """Brings back those of before, which a task of the trial worker replaces."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def small_trial() -> TrialConfiguration:
    return TrialConfiguration.model_validate(SMALL)


@pytest.fixture
def artifacts_dir(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@pytest.fixture
def claimed(service_environment: None, monkeypatch: pytest.MonkeyPatch) -> ClaimedTrial:
    """A trial that this process runs; whatever trains it is the test's."""
    monkeypatch.setattr(trial_worker, "_load_training", lambda: None)
    stored_study(trials=1)
    trial = leases.claim("host:1")
    assert trial is not None
    return trial
