"""Who runs next and where, and what each request cost."""
