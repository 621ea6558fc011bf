"""Grants: what a client hands in for a token."""
