"""How to write a study, for a model that has only the tools."""

from collections.abc import Mapping

from pydantic import JsonValue

from api_schemas.studies import StudyCreate, StudyKind
from paretune.mcp_server.answers import StudyFormat

EXAMPLES: Mapping[StudyKind, dict[str, JsonValue]] = {
    StudyKind.PEFT: {
        "display_name": "MiniLM, Rotten Tomatoes",
        "configuration": {
            "backbone": "all-MiniLM-L6-v2",
            "task": {"name": "rotten-tomatoes", "train_rows": 640, "validation_rows": 600},
            "training": {"learning_rate": 0.001, "epochs": 3, "batch_size": 32, "max_length": 64},
        },
        "search_space": {"preset": "auto"},
        "objectives": [
            {"metric": "score", "direction": "maximize"},
            {"metric": "trainable_parameters", "direction": "minimize"},
        ],
        "constraints": [{"metric": "trainable_parameters", "op": "<=", "bound": 500000}],
        "budget": {"trials": 24},
        "parallelism": 2,
        "starting_points": [{}],
    },
    StudyKind.CUSTOM: {
        "kind": "custom",
        "display_name": "a beam, light or stiff",
        "search_space": {
            "parameters": [
                {"type": "float", "name": "height", "low": 0.02, "high": 0.3},
                {"type": "int", "name": "ribs", "low": 1, "high": 8},
                {"type": "ordinal", "name": "bolts", "choices": [2, 4, 8]},
                {"type": "categorical", "name": "material", "choices": ["steel", "aluminium"]},
                {"type": "bool", "name": "anodised", "when": {"parameter": "material", "in": ["aluminium"]}},
            ]
        },
        "objectives": [
            {"metric": "mass", "direction": "minimize", "reference": 100},
            {"metric": "deflection", "direction": "minimize", "log": True},
        ],
        "budget": {"trials": 20},
        "parallelism": 2,
    },
}

OF_ALL: tuple[str, ...] = (
    "budget.trials is how many configurations are tried; parallelism is how many run at once.",
    "An objective may have a reference: the worst value that still counts, in the metric's unit.",
    "constraints limit which trials may stand on the front; op is '<=' or '>='.",
    "Parameters are float or int (low, high, log), ordinal or categorical (choices), or bool; `when` makes "
    "one conditional on another.",
)
NOTES: Mapping[StudyKind, tuple[str, ...]] = {
    StudyKind.PEFT: (
        *OF_ALL,
        "The service trains every trial itself. Metrics: score, trainable_parameters, model_parameters, "
        "flops, latency_ms, peak_memory_bytes, training_seconds.",
        "search_space.preset is auto, autopeft, autopeft_by_layer, lora, lora_by_layer or methods; without a "
        "search_space it is auto: every method that people use, with full fine-tuning to compare with. "
        "depth, depth_width and grouped make the backbone smaller, joint does that together with auto. "
        "Parameters may stand beside it or instead of it, named by dotted paths into the configuration, such "
        "as training.epochs or peft.lora.rank.",
        "training.learning_rate_factor multiplies the rate that is usual for each method; where it is "
        "searched, as in auto, the configuration's own learning_rate is not used.",
        "configuration.backbone is a packaged one (all-MiniLM-L6-v2, all-mpnet-base-v2, "
        "SmolLM2-135M-Instruct), local:NAME, or ORGANISATION/NAME of the Hugging Face hub.",
        "configuration.task.name is a packaged one (rotten-tomatoes, imdb, tweets, 20newsgroups, boolq, "
        "sms-spam), file:NAME for a file that the user brought with `paretune upload`, or "
        "hub:ORGANISATION/NAME. text_column, label_column, kind and score say how to read it.",
        "A starting point of {} is the configuration as it stands: without peft, the head alone.",
        "From a budget of 16 on, the last quarter is a race: further seeds for the trials that may be the "
        "best. race: {share: 0} gives all of it to the search.",
        "final_replicates: 2 trains the members of the front with two more seeds, so that scores carry "
        "standard errors.",
    ),
    StudyKind.CUSTOM: (
        *OF_ALL,
        "The service proposes, and a program of the user runs the trials and tells the results: "
        "`for trial in Client(url, api_key=key).study(study_id).open_trials(): with trial: "
        "trial.complete(**measure(trial.parameters))`. No trial ends before such a program runs.",
        "Parameters and metrics have names of your own; there is no configuration and no preset, and "
        "starting points are complete.",
        "log: true is for a metric above 0 that spans orders of magnitude.",
        "known: on an objective or constraint computes its metric from the parameters, such as "
        '\'height ** 2 * {"steel": 7.8, "aluminium": 2.7}[material]\': results leave it out. '
        "search_space.identity, likewise, says which parameterizations are the same trial.",
    ),
}


def study_format(kind: StudyKind, *, with_json_schema: bool) -> StudyFormat:
    """Return an example of this kind, what to know, and, if wanted, every field as JSON Schema."""
    schema = StudyCreate.model_json_schema() if with_json_schema else None
    return StudyFormat(example=EXAMPLES[kind], notes=NOTES[kind], json_schema=schema)
