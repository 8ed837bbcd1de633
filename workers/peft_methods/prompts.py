"""Prompt tuning and P-tuning: trained tokens in front of the text, with the modules of HF `peft`.

Lester and others 2021 (arXiv 2104.08691) train the embeddings themselves; Liu and others 2021 (arXiv
2103.10385) a small network that makes them. The positions of the prompt are dropped again from the
hidden states, so that nobody downstream knows of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from peft import PromptEmbedding, PromptEncoder
from torch import Tensor, nn

from api_schemas.peft.fitness import problems
from api_schemas.peft.registry import Peft, PeftMethod
from workers.backbones.loading import Backbone
from workers.errors import UnsupportedBackbone
from workers.peft_methods.library_configurations import prompt_configuration


class Prompt(nn.Module):
    """Embeddings of so many tokens, or a network that makes them."""

    def __init__(self, peft: Peft, *, backbone: Backbone, seed: int) -> None:
        super().__init__()
        self.length = peft.library.virtual_tokens
        self.configuration = prompt_configuration(
            peft.method,
            tokens=self.length,
            width=backbone.shape.embedding_width,
            layers=backbone.shape.layers,
            backbone=backbone.name,
        )
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            if peft.method is PeftMethod.PROMPT_TUNING:
                words = backbone.model.get_input_embeddings()  # type: ignore[operator]
                self.encoder = PromptEmbedding(self.configuration, words)
            else:
                self.encoder = PromptEncoder(self.configuration)
        self.encoder.requires_grad_(requires_grad=True)

    def forward(self) -> Float[Tensor, "p e"]:
        """Return the embeddings of the prompt."""
        device = self.encoder.embedding.weight.device
        found: Tensor = self.encoder(torch.arange(self.length, device=device))
        return found

    @contextmanager
    def attached(self, backbone: Backbone) -> Iterator[None]:
        """Put the prompt in front of every text for the length of a block."""
        words = backbone.model.get_input_embeddings()  # type: ignore[operator]

        def put_in_front(_: nn.Module, __: Any, named: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
            texts = words(named["input_ids"])
            prompt = self().to(texts.dtype).expand(len(texts), -1, -1)
            mask = named["attention_mask"]
            visible = mask.new_ones(len(mask), self.length)
            return (), {
                **{name: value for name, value in named.items() if name != "input_ids"},
                "inputs_embeds": torch.cat([prompt, texts], dim=1),
                "attention_mask": torch.cat([visible, mask], dim=1),
            }

        def drop(_: nn.Module, __: Any, output: Any) -> Any:
            output.last_hidden_state = output.last_hidden_state[:, self.length :]
            return output

        handles = [
            backbone.model.register_forward_pre_hook(put_in_front, with_kwargs=True),
            backbone.model.register_forward_hook(drop),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def build(peft: Peft, *, backbone: Backbone, seed: int) -> Prompt:
    """Make the prompt.

    Raises:
        UnsupportedBackbone: If the backbone has too few positions.
    """
    for problem in problems(peft.method.definition, peft.library, shape=backbone.shape, max_length=1):
        raise UnsupportedBackbone(f"{peft.method}: {problem}.")
    return Prompt(peft, backbone=backbone, seed=seed)
