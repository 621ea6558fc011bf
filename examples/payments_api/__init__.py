"""A payments API that accepts the tokens of authserver (app.py), and a shop that pays there (merchant.py)."""
