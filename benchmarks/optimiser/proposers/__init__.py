"""Optimisers behind one ask and tell: ours, baselines without a model, and other projects."""
