"""How good the optimiser's fronts are after few trials, beside other optimisers.

`python -m benchmarks.optimiser run | seconds | report`. Nothing here trains a network.
"""
