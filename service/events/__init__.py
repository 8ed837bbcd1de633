"""Events as they happen: one LISTEN for each API process, and a stream for each client."""
