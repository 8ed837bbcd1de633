"""What the service itself costs: requests, streams, claims and memory of one API process.

Real parts on this machine: PostgreSQL with fsync, Valkey, one uvicorn process started by the command that
`paretune up` uses, and real HTTP. No worker runs beside them, but in the part `scheduler`.
"""
