"""The routes, one file a resource. Each parses, calls one function, and shows the result."""
