"""The calls about the logs of trials, as `requests` has the others. Sends nothing."""

import httpx

from api_schemas.ask_and_tell import SuggestedTrial
from api_schemas.log_tail import LastLines
from api_schemas.trial_logs import LogReport, TrialLogs
from paretune.client.requests import ONCE, Request, segment

SENDING_TIMEOUT = httpx.Timeout(5.0)
"""The next heartbeat waits for no log."""


def trial_logs(study_id: str, trial_id: str) -> Request[TrialLogs]:
    """Read the last lines of each of a trial's attempts."""
    path = f"/v1/studies/{segment(study_id)}/trials/{segment(trial_id)}/logs"
    return Request("GET", path, TrialLogs.model_validate_json)


def send_log(trial: SuggestedTrial, said: LastLines) -> Request[None]:
    """Send the last lines of a trial, in place of those before. Not repeated: the next have them, too."""
    path = f"/v1/studies/{segment(trial.study_id)}/trials/{segment(trial.trial_id)}:log"
    body = LogReport(attempt=trial.attempt, text=said.text, omitted_lines=said.omitted_lines)
    return Request("POST", path, lambda _: None, body=body, patience=ONCE, timeout=SENDING_TIMEOUT)
