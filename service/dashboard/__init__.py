"""The dashboard: static files that read the public API and nothing else."""
