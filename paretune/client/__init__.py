"""A typed client of the HTTP API, blocking and asynchronous. Needs the contract and httpx, nothing else."""

from paretune.client.async_client import AsyncClient
from paretune.client.async_running_trial import AsyncRunningTrial
from paretune.client.async_study import AsyncStudy
from paretune.client.client import Client
from paretune.client.running_trial import RunningTrial
from paretune.client.study import Study

__all__ = ["AsyncClient", "AsyncRunningTrial", "AsyncStudy", "Client", "RunningTrial", "Study"]
