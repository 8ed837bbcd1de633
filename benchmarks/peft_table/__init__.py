"""A table of real trainings: many PEFT configurations, on several tasks, each with several seeds."""
