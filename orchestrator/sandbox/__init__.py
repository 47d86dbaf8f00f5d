"""Sandboxes: programs run in them; nothing here knows of models, tasks or rewards."""
