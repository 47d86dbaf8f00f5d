"""Runs programs in sandboxes and judges them, apart from their tests or together with them."""
