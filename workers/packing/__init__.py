"""Several trials in one batch over one frozen backbone, each trained exactly as it would be alone.

A small trial leaves a GPU mostly waiting for the next small operation; a pack gives it the same number
of operations with more in each. `run` is the door. Knows no database and no queue.
"""
