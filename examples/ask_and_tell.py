"""Search the parameters of a function of your own: the service proposes, this program runs the trials.

Start a server with `paretune up`, put its address and key into PARETUNE_URL and PARETUNE_API_KEY, and run
`python examples/ask_and_tell.py`. Run it twice at once with the study's id as argument, and both work on it.
"""

import os
import sys

from api_schemas.studies import StudyCreate
from paretune.client import Client, RunningTrial

STUDY = {
    "kind": "custom",
    "display_name": "a beam: light or stiff",
    "search_space": {
        "parameters": [
            {"type": "float", "name": "height", "low": 0.02, "high": 0.3},
            {"type": "float", "name": "width", "low": 0.01, "high": 0.2},
            {"type": "categorical", "name": "material", "choices": ["steel", "aluminium"]},
        ]
    },
    "objectives": [
        {"metric": "mass", "direction": "minimize", "reference": 100.0},
        {"metric": "deflection", "direction": "minimize", "log": True, "reference": 1.0},
    ],
    "budget": {"trials": 20},
    "parallelism": 2,
}
MATERIALS = {"steel": (7850.0, 210e9), "aluminium": (2700.0, 70e9)}
LENGTH, LOAD = 2.0, 1000.0


def run(trial: RunningTrial) -> None:
    """Weigh a cantilever of 2 m and measure how far 1 kN bends its end: L^3 F / (3 E I), I = w h^3 / 12."""
    height, width = float(trial.parameters["height"]), float(trial.parameters["width"])
    density, stiffness = MATERIALS[str(trial.parameters["material"])]
    mass = density * LENGTH * height * width
    trial.report(step=0, mass=mass)
    inertia = width * height**3 / 12
    trial.complete(mass=mass, deflection=LENGTH**3 * LOAD / (3 * stiffness * inertia))


def main() -> None:
    """Make a study, or work on the one that is named, and show its front."""
    with Client(os.environ["PARETUNE_URL"], api_key=os.environ["PARETUNE_API_KEY"]) as client:
        study = client.study(sys.argv[1] if len(sys.argv) > 1 else new_study(client))
        for trial in study.open_trials():
            with trial:
                run(trial)
        for point in client.pareto_front(study.id).points:
            print(point.metrics, point.parameters)


def new_study(client: Client) -> str:
    """Make the study, and give its id."""
    study_id = client.create_study(StudyCreate.model_validate(STUDY)).id
    print(f"Study {study_id}")
    return study_id


if __name__ == "__main__":
    main()
