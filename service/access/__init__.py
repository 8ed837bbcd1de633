"""Who may do what: keys, scopes, limits and rates, and the log of what was done."""
