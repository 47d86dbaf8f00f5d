"""Model servers: one client, prompts, and code out of completions."""
