"""What a trial is measured by: losses, metrics, costs, memory."""
