"""Studies: their endpoints, life cycle, queries and fronts."""
