"""A tenant that asks for very much waits for itself."""

from __future__ import annotations

import asyncio

from mooring.stream.turns import Turns


def test_one_turn_of_each_tenant_and_so_many_of_all() -> None:
    async def run() -> None:
        turns = Turns(2)
        inside: list[str] = []
        leave = asyncio.Event()

        async def ask(tenant: str) -> None:
            async with turns.turn(tenant):
                inside.append(tenant)
                await leave.wait()

        tasks = [asyncio.create_task(ask("greedy")) for _ in range(50)]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(ask("modest")))
        for _ in range(5):
            await asyncio.sleep(0)
        assert inside == ["greedy", "modest"]
        leave.set()
        await asyncio.gather(*tasks)
        assert len(inside) == 51

    asyncio.run(run())
