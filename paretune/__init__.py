"""What a person touches: the Python client, the command line and the one-machine supervisor."""
