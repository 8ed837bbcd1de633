"""The service: owns studies, trials, the database and the next proposal."""
