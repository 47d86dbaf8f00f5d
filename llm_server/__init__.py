"""Model servers: the TGI deployment, and the embedded default that speaks the same HTTP."""
