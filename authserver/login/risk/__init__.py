"""How unlike its owner a sign-in looks, and what is then asked besides.

``signals`` compares an attempt with a history, ``rules`` and ``model`` score what stands out, ``verdict``
decides: all of that is pure. ``assessment`` alone reads and writes.
"""
