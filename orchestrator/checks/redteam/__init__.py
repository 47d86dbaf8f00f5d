"""Hostile programs, and the command that runs them."""
