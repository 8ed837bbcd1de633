"""One trial as people run it today: a fresh process, HF Trainer, float32, dynamic padding, dropout on.

`python -m benchmarks.hf_trainer_trial CONFIGURATION.json` prints one line of JSON. A configuration with
LoRA alone goes through HF peft; one with adapters or prefixes, which peft does not have layer by
layer, gets our modules inside the same Trainer, as AutoPEFT's recipe does with its own (arXiv
2301.12132, appendix: batches of 32, evaluation after each epoch). `benchmarks/trials.py` starts this.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from api_schemas.trial_configuration import TrialConfiguration
from service.catalogue.backbones import by_name
from workers.backbones.loading import Backbone, load_backbone
from workers.data.task_data import Batch, TokenisedSplit, tokenise_task
from workers.peft_methods import TrialModules, attached, logits


class AttachedClassifier(nn.Module):
    """Our modules around a backbone, in the form that the Trainer expects."""

    def __init__(self, modules: TrialModules, backbone: Backbone) -> None:
        super().__init__()
        self.modules_of_trial = modules
        self.body = backbone.model
        self.backbone = (backbone,)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return loss and logits."""
        batch = Batch(ids=input_ids, mask=attention_mask, labels=labels)
        scores = logits(self.modules_of_trial, batch, backbone=self.backbone[0])
        return {"loss": functional.cross_entropy(scores, labels), "logits": scores}


def main() -> None:
    """Train, evaluate and print what it took, measured from the start of the process by the caller."""
    torch.set_num_threads(1)
    configuration = TrialConfiguration.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = by_name.backbone_directory(configuration.backbone, models_dir=None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    partitions = tokenise_task(
        configuration.task, tokenizer, max_length=configuration.training.max_length, data_dir=None
    )
    task = partitions(configuration.training.seed)
    lora_only = configuration.peft.lora.size_at(0) and configuration.peft.lora.by_layer is None
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        if lora_only:
            trainer = _trainer(_peft_model(configuration, folder), configuration, task, tokenizer, output)
            trainer.train()
        else:
            backbone = load_backbone(configuration.backbone, models_dir=None, device=torch.device("cpu"))
            modules = TrialModules(
                configuration.peft,
                backbone=backbone,
                classes=task.answers.outputs,
                seed=configuration.training.seed,
            )
            backbone.model.train()
            with attached(modules, backbone=backbone):
                model = AttachedClassifier(modules, backbone)
                trainer = _trainer(model, configuration, task, tokenizer, output)
                trainer.train()
        scores = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    print(json.dumps({"scores": scores, "train_and_evaluate_seconds": time.perf_counter() - started}))


def _peft_model(configuration: TrialConfiguration, folder: Path) -> nn.Module:
    lora = configuration.peft.lora
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    names = {"query": "query", "key": "key", "value": "value"}
    found: nn.Module = get_peft_model(
        model,
        LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=lora.rank,
            lora_alpha=int(lora.alpha),
            target_modules=[names[role] for role in lora.targets],
        ),
    )
    return found


def _trainer(
    model: nn.Module, configuration: TrialConfiguration, task: Any, tokenizer: Any, output: str
) -> Trainer:
    training = configuration.training
    checkpointed = hasattr(model, "peft_config")
    arguments = TrainingArguments(
        output_dir=output,
        num_train_epochs=training.epochs,
        per_device_train_batch_size=training.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=training.learning_rate,
        warmup_steps=training.warmup_fraction,
        eval_strategy="epoch",
        # A checkpoint of the wrapped model would hold the whole backbone; to its advantage it writes none.
        save_strategy="epoch" if checkpointed else "no",
        logging_strategy="epoch",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=training.seed,
    )
    return Trainer(
        model=model,
        args=arguments,
        train_dataset=_rows(task.train),
        eval_dataset=_rows(task.validation),
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=lambda found: {
            "accuracy": float(np.mean(np.argmax(found.predictions, axis=1) == found.label_ids))
        },
    )


def _rows(split: TokenisedSplit) -> Sequence[dict[str, Any]]:
    return [
        {"input_ids": list(ids), "attention_mask": [1] * len(ids), "label": label}
        for ids, label in zip(split.ids, split.labels, strict=True)
    ]


if __name__ == "__main__":
    main()
