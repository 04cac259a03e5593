"""The registry: what is live, and how it came to be."""
