"""Training scripts for tables: split, sealed and scored outside the sandbox."""
