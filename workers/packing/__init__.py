"""Several trials in one batch over one frozen backbone, each trained exactly as it would be alone.

A small trial leaves a GPU mostly waiting for the next small operation; a pack has the same number of
operations with more in each. Used only where `PARETUNE_TRIALS_PER_PACK` is above 1, through `run`.
"""
