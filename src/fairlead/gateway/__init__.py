"""The gateway: holds requests for models that have no replica yet, and passes them on."""
