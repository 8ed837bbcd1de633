"""Whole studies on the whole service, and what they recommend tested with fresh seeds."""
