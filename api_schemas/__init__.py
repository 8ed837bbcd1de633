"""The contract: what clients, the service, the optimiser and the workers say to one another.

Pydantic only. Knows nothing about HTTP, databases, queues or tensors.
"""
