"""The operator's socket: commands for a server that runs, from the same machine."""
