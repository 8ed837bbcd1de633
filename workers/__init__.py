"""Turn a claimed trial into measurements and artifacts."""
