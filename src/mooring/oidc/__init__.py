"""Sign-in with an OpenID Connect provider: authorization code with PKCE.

Tokens of the provider are checked with PyJWT, which checks our own ones, too: one library with one
set of rules about algorithms. The three requests to the provider are made with the standard
library.
"""
