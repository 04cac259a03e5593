"""The user's document: what it may say, and how it is read."""
