"""The trial worker by its public name: `celery -A workers.tasks worker -Q trials -c 1`."""

from workers.trial_worker import app

__all__ = ["app"]
