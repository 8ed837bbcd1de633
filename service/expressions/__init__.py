"""Arithmetic over the parameters of a study, as its owner writes it. Knows no study and no database."""
