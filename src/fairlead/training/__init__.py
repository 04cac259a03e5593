"""One task done: fit, score, refit, export."""
