"""What the tests share: real servers on free ports, and clients for them."""
