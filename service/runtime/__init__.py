"""What every process of the service needs around its work: broker, logs, traces, lifetime."""
