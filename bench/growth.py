"""What grows: Redis with the number of sessions, a cluster with the number of primaries."""
import socket

from . import cycles, servers
from . import handlers as h

GROUP = "growth"
SESSIONS = (1_000, 100_000, 1_000_000)
PRIMARIES = (1, 3, 6)
PAYLOAD = 200
CACHED = f"{h.PEER}, cache_slots=1"

# The bytes and the keys that PHP makes, by the server itself, as it is faster.
FILL = """
for n = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('SETEX', 'PHPREDIS_SESSION:s' .. n, 1440, ARGV[3])
end"""


def measure(run):
    sessions(run)
    clusters(run)


def fill(redis, first, last):
    data = f's:{PAYLOAD}:"{"x" * PAYLOAD}";'
    for start in range(first, last + 1, 50_000):
        redis.ask("EVAL", FILL, 0, start, min(start + 49_999, last), f"d|{data}n|i:0;")


def connections(run, redis):
    """What a connection costs Redis, at rest."""
    before, count = int(redis.info("memory")["used_memory"]), 1000
    open_ones = [socket.create_connection(("127.0.0.1", redis.port)) for _ in range(count)]
    for one in open_ones:
        one.sendall(b"PING\r\n")
        one.recv(64)
    run.results.add(GROUP, "connections", "Redis", "per connection", "B", (int(redis.info("memory")["used_memory"]) - before) / count)
    for one in open_ones:
        one.close()


def sessions(run):
    there = run.handlers_there((h.OURS, h.PEER))
    with servers.Redis(run.folder) as redis:
        address = f"tcp://127.0.0.1:{redis.port}"
        connections(run, redis)
        inis = {(name, locked): run.handlers.ini(name, address, locked) for name in there for locked in (False, True)}
        empty, done = int(redis.info("memory")["used_memory"]), 0
        for count in SESSIONS if not run.quick else SESSIONS[:2]:
            run.progress(f"filling in {count} sessions")
            fill(redis, done + 1, count)
            done = count
            case = f"{count:,} sessions".replace(",", " ")
            memory = redis.info("memory")
            run.results.add(GROUP, case, "Redis", "memory", "MB", (int(memory["used_memory"]) - empty) / 1e6)
            run.results.add(GROUP, case, "Redis", "per session", "B", (int(memory["used_memory"]) - empty) / count)
            run.results.add(GROUP, case, "Redis", "RSS", "MB", int(memory["used_memory_rss"]) / 1e6)
            for number in range(run.rounds(5, 1)):
                for locked in (False, True):
                    run.progress(f"{case}, round {number + 1}")
                    for name in run.turns(there, number):
                        figures = cycles.timed(inis[name, locked], redis, run.rounds(1500, 400), PAYLOAD, count)
                        cycles.record(run, GROUP, f"{case}, {'locked' if locked else 'not locked'}", name, figures)
        run.results.note(GROUP, "keys left beside the sessions", str(redis.ask("DBSIZE") - done))


def clusters(run):
    for primaries in PRIMARIES:
        with servers.Cluster(run.folder, primaries) as cluster:
            seeds = "&".join(f"seed[]=127.0.0.1:{node.port}" for node in cluster.nodes)
            inis = {h.OURS: (h.OURS, False, {}), f"{h.OURS}, locked": (h.OURS, True, {}), h.PEER: (h.PEER, False, {}),
                    CACHED: (h.PEER, False, {"redis.clusters.cache_slots": 1})}
            there = run.handlers_there((h.OURS, h.PEER))
            inis = {name: run.handlers.ini(kind, seeds, locked, more) for name, (kind, locked, more) in inis.items() if kind in there}
            case = f"cluster of {primaries}"
            for number in range(run.rounds(5, 1)):
                for name in run.turns(list(inis), number):
                    run.progress(f"{case}, round {number + 1}, {name}")
                    figures = cycles.timed(inis[name], cluster, run.rounds(1000, 300), PAYLOAD, 1000)
                    cycles.record(run, GROUP, case, name, figures)
            for name, ini in inis.items():
                before = sum(connected(node) for node in cluster.nodes)
                cycles.timed(ini, cluster, 300, PAYLOAD, 1000)
                run.results.add(GROUP, case, name, "connections", "of a process", sum(connected(node) for node in cluster.nodes) - before)


def connected(node):
    return int(node.info("stats")["total_connections_received"])
