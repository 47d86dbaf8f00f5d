"""Scoring: verdicts, rewards and metrics as pure functions."""
