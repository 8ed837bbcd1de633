"""The Pareto front by its definition, for the tests of everything that computes one. Loads no torch."""

from api_schemas.objectives import Direction, Objective


def brute_force_front(objectives: list[Objective], metrics: list[dict[str, float]]) -> list[int]:
    def signed(point: dict[str, float]) -> list[float]:
        return [
            point[item.metric] if item.direction is Direction.MAXIMIZE else -point[item.metric]
            for item in objectives
        ]

    def dominated(point: dict[str, float]) -> bool:
        mine = signed(point)
        return any(
            all(a >= b for a, b in zip(signed(other), mine, strict=True)) and signed(other) != mine
            for other in metrics
        )

    return [position for position, point in enumerate(metrics) if not dominated(point)]
