"""Which trials a study makes, and which of them share a fit."""
