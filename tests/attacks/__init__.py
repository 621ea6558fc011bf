"""Attack cases from data files, one runner for all of them, and what must hold after each."""
