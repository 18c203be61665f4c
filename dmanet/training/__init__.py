"""The training loop, its step, and what guards it."""
