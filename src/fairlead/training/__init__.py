"""What a task executes: fit, score, refit, export."""
