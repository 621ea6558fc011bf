"""URLs, forms and templates; no rule of its own."""
