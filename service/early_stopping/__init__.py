"""Decide from learning curves whether to stop a running trial. Pure NumPy; knows no database."""
