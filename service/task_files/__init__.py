"""The files that tenants upload to train on."""
