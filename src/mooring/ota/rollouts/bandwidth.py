"""How fast a rollout may offer a file so that devices download no more than so many bytes a second.

On average, and of what is offered: a device downloads when and as fast as it likes, and again what
it has lost. What is served is limited for each process by ``firmware_bytes_per_second``. Pure.
"""

from __future__ import annotations

__all__ = ["starts_per_second"]


def starts_per_second(own: int, of_tenant: int, running: int, size: int) -> float | None:
    """Starts in a second at most; ``None``: bytes are not limited.

    Args:
        own: bytes a second of the rollout; 0: no limit.
        of_tenant: the same of all rollouts of its tenant, which share it equally.
        running: how many of these are running, this one included.
        size: bytes of the file.
    """
    limits: list[float] = [own] if own else []
    if of_tenant:
        limits.append(of_tenant / max(1, running))
    return min(limits) / max(1, size) if limits else None
