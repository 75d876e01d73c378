"""``python -m chatservice.console``: the server with a window."""
