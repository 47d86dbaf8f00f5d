"""Neural networks from a goal in words: assembled, tested, trained and compared in sandboxes."""
