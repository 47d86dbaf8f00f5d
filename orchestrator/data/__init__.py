"""Data: tasks and data sets in, the run store."""
