"""How far a fitted block is from the whole one on tokens that the fit has not seen, by how much it is damped.

`python -m benchmarks.damping` prints squared errors as shares of those of the plain cut: the mean, and the
worst layer. A damping is so many tokens of the mean square of a kept unit. Nothing is trained.
"""

import argparse
from collections.abc import Iterator, Sequence
from statistics import fmean

import torch
from torch import Tensor

from api_schemas.trial_configuration import patch
from benchmarks.markdown import markdown_table
from benchmarks.network_table.networks import recipe
from benchmarks.peft_table.training import rows_of
from workers.architecture.importance import measuring_rows, unit_order
from workers.architecture.projections import unit_rows
from workers.architecture.refitting import Moments, least_squares, second_moments
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, TokenisedTask
from workers.model_cache import ModelCache

ROWS = (16, 64, 480)
SHARES = (1 / 3, 3 / 4)
PRIOR_TOKENS = (5.0, 50.0, 150.0, 500.0, 1500.0, 5000.0)
HELD_OUT_ROWS = 200
MOST_LAYERS = 4


def main() -> None:
    """Measure one backbone on rows of tweets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.damping", description=__doc__)
    parser.add_argument("--backbone", default="all-MiniLM-L6-v2")
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    changes = {
        "backbone": asked.backbone,
        "task.train_rows": max(ROWS),
        "task.validation_rows": HELD_OUT_ROWS,
    }
    cache = ModelCache(None, device=torch.device("cpu"))
    backbone, task = cache.backbone(asked.backbone), cache.task(patch(recipe("tweets"), changes))
    header = ["rows", "tokens", "units", *(f"{prior:g}" for prior in PRIOR_TOKENS)]
    print(markdown_table(header, list(_lines(backbone, task, asked.rows))))


def _lines(backbone: Backbone, task: TokenisedTask, rows: Sequence[int]) -> Iterator[list[str]]:
    layers = range(0, len(backbone.layers), max(1, len(backbone.layers) // MOST_LAYERS))
    order = unit_order(backbone, measuring_rows(task.train))
    held = second_moments(backbone, task.validation, layers=layers)
    for count in rows:
        split: TokenisedSplit = rows_of(task.train, range(count))
        seen = second_moments(backbone, split, layers=layers)
        for share in SHARES:
            kept = int(share * backbone.shape.ffn_size)
            errors = [
                [
                    held_out_error(
                        backbone, layer, order[layer][:kept], seen[layer], held[layer], prior=prior
                    )
                    for layer in layers
                ]
                for prior in PRIOR_TOKENS
            ]
            cells = [f"{fmean(of_prior):.2f} ({max(of_prior):.2f})" for of_prior in errors]
            yield [str(count), str(sum(map(len, split.ids))), str(kept), *cells]


def held_out_error(
    backbone: Backbone, layer: int, units: Sequence[int], seen: Moments, held: Moments, *, prior: float
) -> float:
    """Return the squared error of a layer that is fitted to what was seen, on what was held out.

    It is a share of the error of the same units with the weights that they had.
    """
    reader = backbone.part(layer, "ffn_out")
    weight, has_bias = unit_rows(reader, reads=True).T, reader._parameters.get("bias") is not None
    fitted, constant = least_squares(weight, units, moments=seen, has_bias=has_bias, prior_tokens=prior)
    plain = weight[:, list(units)].double()
    return _squared(weight, units, fitted, constant, held) / _squared(weight, units, plain, 0.0, held)


def _squared(
    weight: Tensor, units: Sequence[int], of_kept: Tensor, constant: Tensor | float, held: Moments
) -> float:
    difference = torch.cat([-weight.double(), torch.zeros(len(weight), 1, dtype=torch.float64)], dim=1)
    difference[:, list(units)] += of_kept
    difference[:, -1] = constant
    return float(((difference @ held.double()) * difference).sum())


if __name__ == "__main__":
    main()
