"""Tests say what a user would notice; run them with ``pytest``."""
