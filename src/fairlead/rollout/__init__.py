"""What may be asked of a model's traffic: deployments, routes and undo."""
