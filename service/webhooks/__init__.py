"""Webhooks: events of a tenant, signed and sent to addresses of its choice."""
