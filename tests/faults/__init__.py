"""Hostile clients and faults, against a real server process; run by ``pytest -m faults``."""
