"""A task as tokens and batches."""
