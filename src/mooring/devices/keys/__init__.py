"""Public keys of devices, and the tokens (JWT) that devices sign with them."""
