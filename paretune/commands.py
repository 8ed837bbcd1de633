"""The commands of the server's processes: the very same under `paretune up` and under docker compose."""

MIGRATE = ("-m", "paretune.cli", "migrate")

STUDY_WORKER = (
    "-m", "celery", "--app", "service.tasks", "worker",
    "--queues", "studies", "--concurrency", "1", "--pool", "prefork", "--loglevel", "INFO",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip

TRIAL_WORKER = (
    "-m", "celery", "--app", "workers.tasks", "worker",
    "--queues", "trials", "--concurrency", "1", "--pool", "prefork", "--loglevel", "INFO",
    "--without-gossip", "--without-mingle", "--without-heartbeat",
)  # fmt: skip


def study_worker(name: str) -> tuple[str, ...]:
    """Return the command of one study worker; the name tells workers of one host apart."""
    return (*STUDY_WORKER, "--hostname", f"{name}@%h")


def trial_worker(name: str) -> tuple[str, ...]:
    """Return the command of one trial worker; the name tells workers of one host apart."""
    return (*TRIAL_WORKER, "--hostname", f"{name}@%h")


def api(host: str, port: int) -> tuple[str, ...]:
    """Return the command of the API process."""
    return (
        "-m", "uvicorn", "service.app:create_app", "--factory",
        "--http", "service.api.protocol.connections:GuardedConnection", "--ws", "none",
        "--host", host, "--port", str(port), "--timeout-graceful-shutdown", "3", "--no-access-log",
    )  # fmt: skip
