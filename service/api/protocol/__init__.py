"""What HTTP asks of every route: problems, entity tags, idempotency, limits, streams."""
