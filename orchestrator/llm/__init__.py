"""Model servers: one client, what prompts are made of, and code out of completions."""
