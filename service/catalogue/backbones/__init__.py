"""Backbones by name, and what their files say about them. Loads no weights."""
