"""The study worker by its public name: `celery -A service.tasks worker -Q studies -c 1`."""

from service.study_worker import app

__all__ = ["app"]
