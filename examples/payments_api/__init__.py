"""A payments API that accepts the tokens of authserver. Begin with app.py."""
