"""The searched front against the configurations that people set by hand, on real tasks."""
