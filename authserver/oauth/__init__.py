"""What a client may have: the OAuth 2.0 core."""
