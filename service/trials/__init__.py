"""What a runner does with a trial, every state change, and the front that follows from results."""
