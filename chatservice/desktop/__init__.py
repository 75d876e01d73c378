"""What the windows have in common: `console`, the server's, and `gui`, the client's."""
