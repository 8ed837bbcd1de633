"""Between the database and the optimiser: what to ask, and how to store what came back."""
