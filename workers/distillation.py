"""What the teacher of a trial answers: the whole network, fine-tuned once for each recipe. Knows no study.

The teacher is trained by the worker that needs it, with a seed of its own, so that every trial of a study
and every further seed learns from the same one. Its outputs for the training rows are kept, the network is
not. With folds a teacher sees the rows of its trial's seed and no others.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import Training, TrialConfiguration
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, TokenisedTask, evaluation_batches
from workers.errors import NotANumber, OutOfMemory
from workers.fine_tune import fine_tune
from workers.measuring.evaluate import EVALUATION_BATCH_SIZE
from workers.measuring.memory import MemoryModel, in_smaller_parts, training_shape
from workers.peft_methods import TrialModules, attached, full, logits
from workers.recently_used import kept_or_made
from workers.spans import tracer

TEACHERS_KEPT = 4
TEACHER_SEED = 0


class TeacherCache:
    """Trains teachers on first use, and keeps what the most recently used ones answer."""

    def __init__(self) -> None:
        self._outputs: dict[str, Float[Tensor, "n c"]] = {}

    def outputs(
        self,
        configuration: TrialConfiguration,
        *,
        backbone: Backbone,
        task: TokenisedTask,
        memory: MemoryModel,
    ) -> Float[Tensor, "n c"]:
        """Return the teacher's outputs for the training rows of a task, on the CPU.

        Raises:
            OutOfMemory: If training the whole network does not fit in memory.
            NotANumber: If the teacher's training diverges.
        """
        taught_by = teacher_of(configuration)
        key = f"{taught_by.model_dump_json()}\n{task.sha256}"
        return kept_or_made(
            self._outputs,
            key,
            lambda: _trained(taught_by, backbone=backbone, task=task, memory=memory),
            most=TEACHERS_KEPT,
        )


def teacher_of(configuration: TrialConfiguration) -> TrialConfiguration:
    """Return what trains the teacher of a configuration.

    All of its backbone with its epochs, batch size and length. The rate is the teacher's own, for the best
    one of a trial depends on its method.
    """
    own = configuration.training
    assert own.distillation is not None  # noqa: S101  who has no teacher asks for none
    training = Training(
        learning_rate=own.distillation.teacher_learning_rate,
        epochs=own.epochs,
        batch_size=own.batch_size,
        max_length=own.max_length,
        seed=TEACHER_SEED if configuration.task.folds is None else own.seed,
    )
    return TrialConfiguration(
        backbone=configuration.backbone,
        task=configuration.task,
        peft=Peft(method=PeftMethod.FULL),
        training=training,
    )


@tracer.start_as_current_span("train teacher")
def _trained(
    configuration: TrialConfiguration, *, backbone: Backbone, task: TokenisedTask, memory: MemoryModel
) -> Float[Tensor, "n c"]:
    try:
        return in_smaller_parts(
            lambda divisor: _fine_tuned(
                configuration, backbone=backbone, task=task, memory=memory, micro_batch_divisor=divisor
            )
        )
    except OutOfMemory as error:
        raise OutOfMemory(_of_the_teacher(str(error))) from error
    except NotANumber as error:
        raise NotANumber(
            f"{error}, while the teacher was trained. Lower training.distillation.teacher_learning_rate."
        ) from error


def _of_the_teacher(reason: str) -> str:
    return (
        f"{reason} This is the teacher: all of the backbone with every weight trained. Leave "
        "'training.distillation' out, or take a machine with more memory."
    )


def _fine_tuned(
    configuration: TrialConfiguration,
    *,
    backbone: Backbone,
    task: TokenisedTask,
    memory: MemoryModel,
    micro_batch_divisor: int,
) -> Float[Tensor, "n c"]:
    trained = full.count(backbone, first_layer=0)
    memory.check_weights(trained, backbone=backbone)
    needs = training_shape(
        trained=trained, first_layer=0, split=task.train, backbone=backbone, trains_weights=True
    )
    tokens = memory.micro_batch_tokens(needs, backbone=backbone, batch_size=configuration.training.batch_size)
    modules = TrialModules(
        configuration.peft,
        backbone=backbone,
        classes=task.answers.outputs,
        seed=configuration.training.seed,
    ).to(backbone.device)
    with attached(modules, backbone=backbone):
        fine_tune(
            modules,
            task.train,
            backbone=backbone,
            training=configuration.training,
            micro_batch_tokens=tokens // micro_batch_divisor,
            measure=lambda _share, _loss: False,
        )
        return _outputs(modules, task.train, backbone=backbone, classes=task.answers.outputs)


@torch.no_grad()
def _outputs(
    modules: TrialModules, split: TokenisedSplit, *, backbone: Backbone, classes: int
) -> Float[Tensor, "n c"]:
    outputs = torch.zeros(len(split), classes)
    for positions, batch in evaluation_batches(
        split,
        batch_size=EVALUATION_BATCH_SIZE,
        pad_id=backbone.tokenizer.pad_token_id,
        device=backbone.device,
    ):
        outputs[positions] = logits(modules, batch, backbone=backbone).float().cpu()
    return outputs
