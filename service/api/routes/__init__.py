"""The routes, one file a resource. Each parses the request, calls one function and returns its result."""
