"""The worker: claims tasks, runs them in its child process, commits their results."""
