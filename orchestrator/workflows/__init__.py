"""Workflows: generate, run, judge, correct; one file per application."""
