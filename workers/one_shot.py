"""Score a study's sub-networks with one super-network: from an order to numbers. Knows no study, no queue."""

from api_schemas.one_shot import SuperNetworkOrder
from workers.architecture.super_network import Sizes, evaluations
from workers.measuring.costs import count_trainable
from workers.measuring.memory import in_smaller_parts, training_shape
from workers.model_cache import ModelCache
from workers.run_trial import build_modules


def one_shot_scores(order: SuperNetworkOrder, *, cache: ModelCache) -> list[float]:
    """Return the validation score of each network of an order.

    Raises:
        TrialError: If the super-network cannot be trained here: it does not fit in memory, diverges, or the
            backbone cannot be cut so.
    """
    return in_smaller_parts(lambda divisor: _scores(order, cache, divisor=divisor))


def _scores(order: SuperNetworkOrder, cache: ModelCache, *, divisor: int) -> list[float]:
    whole = order.configuration
    backbone, task = cache.network(whole), cache.task(whole)
    networks = [cache.sub_network(whole.model_copy(update={"architecture": kept})) for kept in order.networks]
    modules = build_modules(whole, cache)
    needs = training_shape(
        trained=count_trainable(modules),
        first_layer=modules.first_layer,
        split=task.train,
        backbone=backbone,
        trains_weights=modules.trains_weights,
    )
    tokens = cache.memory.micro_batch_tokens(needs, backbone=backbone, batch_size=whole.training.batch_size)
    found = evaluations(
        modules,
        networks,
        training=whole.training,
        backbone=backbone,
        task=task,
        sizes=Sizes(smallest=networks[: order.smallest], all=networks),
        micro_batch_tokens=tokens // divisor,
    )
    return [one.score for one in found]
