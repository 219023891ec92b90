"""`bench audit`: how fast entries of the audit log are sealed, verified and proved."""

from __future__ import annotations

from typing import Any

from carillon.bench.harness.environment import bench_environment, machine


def run(*, database: str = "postgres", messages: int = 50_000) -> dict[str, Any]:
    """Writes and seals `messages` entries twice: one after the other, and at the same time.

    seal_per_s: one sealer moves a full queue into the tree. per_s: a writer and the sealer run at
    the same time on two cores, from the first entry to the last checkpoint. seal_per_cpu_s: by the
    CPU time of the sealer's process alone, which other work on the machine does not change.
    """
    with bench_environment(database) as env:
        figures: dict[str, Any] = {"database": database, "entries": messages, **machine()}
        written = env.run("audit_write", messages)
        figures["write_per_s"] = round(messages / written["write_s"])
        sealed = env.run("audit_seal", messages)
        figures["seal_per_s"] = round(messages / sealed["seal_s"])
        figures["seal_per_cpu_s"] = round(messages / sealed["cpu_s"])
        sealer = env.start("audit_seal", 2 * messages)
        writer = env.start("audit_write", messages, 50, 2)
        env.result(writer)
        figures["per_s"] = round(messages / env.result(sealer)["seal_s"])
        return {**figures, **env.run("audit_check")}
