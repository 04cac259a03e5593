"""What may be asked of a model's traffic: deployments, routes, undo, and waiting for them."""
