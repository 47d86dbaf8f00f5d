"""Fumehood: containerized sandboxes for code written by language models."""

__version__ = "0.1.0"
