"""Sub-networks of a backbone: which parts to keep, and the smaller network that they make."""
