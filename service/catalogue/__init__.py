"""Backbones and tasks by name: packages, folders, the hub, uploads. No torch, no database."""
