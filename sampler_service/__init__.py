"""The next token: a worker that turns prompts into constrained tokens."""
