"""A table of trained sub-networks, all that a preset holds, and searches that are replayed on it."""
