"""The commands, one module each, whose click command is named `command`."""
