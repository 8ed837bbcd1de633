"""Decide from learning curves whether a running trial is worth finishing. Pure NumPy; knows no database."""
