"""Writes docs/capacity.md: what was measured on one machine, and what follows from it for many sessions."""
from . import growth
from . import handlers as h

# Assumptions, all of them on the page.
USE = 0.7  # of a CPU, and of the memory
PRIMARY_GB = 16
PAUSE = 60  # seconds between two requests of a visitor
PAGE = 0.05  # seconds that a worker needs for a page
PAYLOADS = (200, 1024, 10240)
COUNTS = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)


def grouped(value):
    return f"{value:,.0f}".replace(",", " ")


def size(bytes_):
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if bytes_ >= factor:
            return f"{bytes_ / factor:.3g} {unit}"
    return f"{bytes_ / 1e3:.3g} KB"


def up(value):
    return max(1, int(-(-value // 1)))


def page(results):
    fills = [case for case in results.cases("growth") if case.endswith(" sessions")]
    if not fills:
        return None
    most = fills[-1]
    per_session = results.median("growth", most, "Redis", "per session")
    cpu = {locked: results.median("growth", f"{most}, {locked}", h.OURS, "Redis CPU") for locked in ("not locked", "locked")}
    peer = {locked: results.median("growth", f"{most}, {locked}", h.PEER, "Redis CPU") for locked in cpu}
    connection = results.median("growth", "connections", "Redis", "per connection")
    beside = per_session - growth.PAYLOAD
    few = {locked: results.median("growth", f"{fills[0]}, {locked}", h.OURS, "Redis CPU") for locked in cpu}
    return "\n".join([measured(fills[0], most, per_session, connection, few, cpu, peer),
                      calculated(beside, cpu), conclusions(per_session, connection, cpu)])


def measured(least, most, per_session, connection, few, cpu, peer):
    """What one machine can show."""
    beside = per_session - growth.PAYLOAD
    lines = [f"""# Capacity

How many servers a number of sessions needs. What one machine can show was measured by `scripts/bench` (see
[Benchmarks](benchmarks.md#many-sessions-several-primaries), also for the date); the rest is arithmetic. This page says which is which.

## Measured

| | |
|---|--:|
| memory of Redis for a session with {growth.PAYLOAD} B of data, at {most} | {per_session:.0f} B |
| of that, beside the data: key, TTL, tables | {beside:.0f} B |
| memory of Redis for a connection at rest | {size(connection)} |
| CPU of Redis for a request, not locked, {least} | {few['not locked']:.0f} µs |
| CPU of Redis for a request, not locked, {most} | {cpu['not locked']:.0f} µs |
| CPU of Redis for a request, locked, {least} | {few['locked']:.0f} µs |
| CPU of Redis for a request, locked, {most} | {cpu['locked']:.0f} µs |
| the same with php-redis, persistent=1, not locked and locked | {peer['not locked']:.0f} µs, {peer['locked']:.0f} µs |

From {least} to {most}, the CPU time of a request grows by {cpu['not locked'] / few['not locked'] - 1:+.0%} without a lock and
{cpu['locked'] / few['locked'] - 1:+.0%} with one: Redis finds a key in a hash table, whose size matters only to the caches of the CPU.

## One primary

Redis runs commands on one CPU. One primary, used to {USE:.0%} so that there is room for bursts, serves

| | requests/s here | with php-redis |
|---|--:|--:|"""]
    lines += [f"| {locked} | {grouped(USE * 1e6 / cpu[locked])} | {grouped(USE * 1e6 / peer[locked])} |" for locked in cpu]
    lines.append("""
This assumes a CPU like that of [the benchmark](benchmarks.md#machine), and sessions of a few KB at most: the cost of larger ones grows with
their size.
""")
    return "\n".join(lines)


def calculated(beside, cpu):
    """How many servers it takes."""
    lines = [f"""## Calculated

Assumptions: a visitor makes a request every {PAUSE} s, all with a lock; a page keeps a PHP worker busy for {PAGE * 1e3:.0f} ms, and workers are busy
to {USE:.0%}; a primary has {PRIMARY_GB} GB, filled to {USE:.0%}; replicas are not counted. Memory or CPU decides the number of primaries,
whichever needs more. With your own numbers:

```text
memory    = sessions x (data + {beside:.0f} B)
requests  = sessions / {PAUSE} s
primaries = the larger of  memory / {PRIMARY_GB * USE:.1f} GB  and  requests x {cpu['locked']:.0f} µs / {USE}
workers   = requests x {PAGE * 1e3:.0f} ms / {USE}
```

| sessions | requests/s | workers | memory at {', '.join(size(p) if p > 999 else f'{p} B' for p in PAYLOADS)} | primaries by memory | primaries by CPU | connections of a primary |
|--:|--:|--:|--:|--:|--:|--:|"""]
    for count in COUNTS:
        requests = count / PAUSE
        memory = [count * (payload + beside) for payload in PAYLOADS]
        by_memory = [up(m / (PRIMARY_GB * USE * 1e9)) for m in memory]
        by_cpu, workers = up(requests * cpu["locked"] / 1e6 / USE), up(requests * PAGE / USE)
        lines.append(f"| {grouped(count)} | {grouped(requests)} | {grouped(workers)} | {', '.join(map(size, memory))} | "
                     f"{', '.join(map(str, by_memory))} | {by_cpu} | {grouped(workers)} |")
    return "\n".join(lines)


def conclusions(per_session, connection, cpu):
    """What follows from the numbers."""
    requests = COUNTS[-1] / PAUSE
    workers, by_cpu = up(requests * PAGE / USE), up(requests * cpu["locked"] / 1e6 / USE)
    return f"""
What follows from it:

- **Small sessions are a matter of CPU, large ones of memory.** At 100 million sessions of 200 B, requests need {by_cpu} primaries, and
  memory needs {up(COUNTS[-1] * per_session / (PRIMARY_GB * USE * 1e9))}. Longer pauses between requests reduce the first number, not the second.
- **Connections are the first limit.** Each PHP process keeps one connection to each primary that it has used, so each primary has as
  many as there are workers: {grouped(workers)} in the last row, which take {size(workers * connection)} of its memory. Redis accepts 10 000 by default
  (`maxclients`). With more than some ten thousand workers, divide the site into several clusters, each with its own web servers, and send each
  visitor to one of them by cookie.
- **A cluster costs a request nearly nothing.** The round trips are the same, and the CPU time nearly so (see the benchmark); a cluster of {by_cpu}
  primaries has {grouped(COUNTS[-1] / by_cpu)} sessions on each, and {grouped(COUNTS[-1] / 16384)} in each slot.
- **Keep primaries small.** A new replica needs the time in which the whole memory of a primary is copied. More primaries of
  {PRIMARY_GB} GB are better than few of 64 GB.
- **Expired sessions** are removed by Redis. Its memory depends on the number of sessions that were used within `session.gc_maxlifetime`,
  so that setting decides how many sessions there are.

Not measured: networks, replication, persistence (`appendonly`, snapshots) and more than one machine. Each of them costs something.
"""
