"""Unit tests written by models, scored by mutants."""
