"""Checks of the installation itself: doctor, self-check, soak, benchmarks, red team."""
