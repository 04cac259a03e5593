"""Kinds of models that can be trained."""
