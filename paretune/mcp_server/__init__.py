"""Paretune for language models: the public API as tools of the Model Context Protocol. Trains nothing."""
