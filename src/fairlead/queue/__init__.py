"""How idle workers hear that tasks are ready."""
