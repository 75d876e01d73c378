"""What `console`, the server's window, and `gui`, the client's, have in common."""
