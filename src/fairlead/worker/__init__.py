"""The worker: it claims tasks, has its child process do them, and commits what came of them."""
