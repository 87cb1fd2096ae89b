"""Passwords for devices with a key: a signed token is exchanged for one that ends by itself."""
