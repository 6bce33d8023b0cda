"""A number in [0,1) from a name: the same for ever, on any machine, whatever the seed."""

import hashlib


def unit_hash(*parts: str) -> float:
    """Spread names evenly over [0,1): 53 bits of the SHA-256 of the parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
