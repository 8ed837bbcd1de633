"""Where the rows of a task come from, how they are checked, and into which splits they go. No torch."""
