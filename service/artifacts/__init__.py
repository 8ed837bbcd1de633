"""Where what trials trained is kept."""
