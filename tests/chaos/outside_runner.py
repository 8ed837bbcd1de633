"""A trial runner outside: asks custom studies for trials, measures them three times, tells the results.

Start it with `python -m tests.chaos.outside_runner`. What the service refuses against its promises goes
to the file that PARETUNE_REFUSALS names.
"""

import os
import random
import time
from pathlib import Path

from api_schemas.studies import StudyKind, StudyState
from paretune.client import Client, RunningTrial
from paretune.client.asking import new_worker_id
from paretune.errors import ParetuneError, RequestRefused, TrialInfeasible

EXPECTED = (404, 409, 429, 503)
STEPS = 3


class ObjectiveBroken(Exception):
    """What the runner's own code may raise."""


def measure(rate: float, *, step: int) -> dict[str, float]:
    """Give two metrics that pull apart, and grow with the steps."""
    share = step / STEPS
    return {"error": 1.0 + (1.0 - rate) ** 2 / share, "watts": 1.0 + rate**2 * share}


def run(trial: RunningTrial, rng: random.Random) -> None:
    """Run a trial; now and then it breaks, cannot work, or yields what is not a number."""
    with trial:
        rate = float(trial.parameters["rate"])
        for step in range(1, STEPS + 1):
            time.sleep(rng.uniform(0.05, 0.3))
            trial.report(step=step, **measure(rate, step=step))
        chance = rng.random()
        if chance < 0.05:
            raise ObjectiveBroken("the disk of the runner was full")
        if chance < 0.1:
            raise TrialInfeasible("this rate cannot work")
        if chance < 0.15:
            trial.complete(error=float("nan"), watts=1.0)


def serve(client: Client, rng: random.Random, *, worker_id: str) -> None:
    """Take one trial of each study that has one."""
    for study in client.studies():
        if study.kind is StudyKind.CUSTOM and study.state is StudyState.ACTIVE:
            answer = client.suggest_trials(study.id, worker_id=worker_id, wait_seconds=0.3)
            for suggested in answer.trials:
                run(RunningTrial(client, suggested, lease_seconds=answer.lease_seconds), rng)


def main() -> None:
    """Serve for ever, whatever the server says or does not say."""
    rng, worker_id = random.Random(), new_worker_id()
    url, key = os.environ["PARETUNE_URL"], os.environ["PARETUNE_API_KEY"]
    with Client(url, api_key=key, timeout_seconds=8.0) as client:
        while True:
            try:
                serve(client, rng, worker_id=worker_id)
            except RequestRefused as refused:
                if refused.problem.status not in EXPECTED:
                    with Path(os.environ["PARETUNE_REFUSALS"]).open("a", encoding="utf-8") as file:
                        file.write(refused.problem.model_dump_json() + "\n")
            except (ParetuneError, ObjectiveBroken):
                pass  # the next round may get through
            time.sleep(0.1)


if __name__ == "__main__":
    main()
