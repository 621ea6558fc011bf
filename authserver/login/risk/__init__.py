"""How unlike its owner a sign-in looks, and what is then asked besides."""
