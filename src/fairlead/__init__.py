"""Fairlead takes one YAML file from data to a judged and registered model."""

__version__ = "0.1.0"
