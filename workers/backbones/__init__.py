"""Frozen transformers: loading, families, quantisation, the activation cache."""
