"""Updates for devices that speak hawkBit's Direct Device Integration API over HTTP."""
