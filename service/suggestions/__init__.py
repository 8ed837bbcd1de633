"""Between the database and the optimiser: requests for suggestions, and storing the suggestions."""
