"""Registered names: passwords, logins, and the rules of both."""
