"""Flights and commands of each kind of request, exact, from the wire.

A flight is what is sent before an answer is waited for: what a network's
latency is paid for. Commands that scripts call inside of Redis are counted too.
"""
import pathlib
import subprocess

from . import handlers as h
from . import machine, servers, wire

GROUP = "flights"
CASES = ("new", "changed", "changed, 100 KB", "unchanged", "read_and_close", "strict mode, changed",
         "strict mode, unknown id", "regenerated id", "destroyed")
SCRIPT = pathlib.Path(__file__).parent / "php" / "requests.php"


def calls(redis):
    """Commands that Redis has run so far, those inside of scripts among them."""
    stats = redis.info("commandstats").items()
    return sum(int(text.split("calls=")[1].split(",")[0]) for name, text in stats if name != "cmdstat_info")


def measure(run):
    with servers.Redis(run.folder) as redis:
        proxy = wire.Proxy(redis.port).start()
        for locked in (False, True):
            for name in run.handlers_there((h.OURS, h.PEER, h.PEER_NEW)):
                run.progress(f"{name}, {'locked' if locked else 'not locked'}")
                redis.ask("FLUSHALL")
                one(run, redis, proxy, name, locked)


def one(run, redis, proxy, name, locked):
    ini = run.handlers.ini(name, f"tcp://127.0.0.1:{proxy.port}", locked)
    php = subprocess.Popen(machine.pinned([machine.PHP, "-n", "-c", ini, SCRIPT]), stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)

    def request(case):
        print(case, file=php.stdin, flush=True)
        if php.stdout.readline() != "done\n":
            raise RuntimeError(f"{name}: a request of the kind '{case}' failed")

    add = lambda case, metric, value: run.results.add(GROUP, f"{'locked' if locked else 'not locked'}: {case}", name,
                                                      metric, "", value)
    proxy.reset()
    request("changed")
    add("first of a process", "flights", proxy.flights)
    add("first of a process", "commands", len(proxy.commands))
    for case in CASES:  # once for scripts that Redis has not seen, then it counts
        request(case)
    redis.ask("DEL", "PHPREDIS_SESSION:new")
    for case in CASES:
        proxy.reset()
        before = calls(redis)
        request(case)
        add(case, "flights", proxy.flights)
        add(case, "commands", len(proxy.commands))
        add(case, "run in Redis", calls(redis) - before)
        add(case, "connections", proxy.connections)
        run.results.note(GROUP, f"{name}, {'locked' if locked else 'not locked'}, {case}", " ".join(proxy.commands))
    php.stdin.close()
    php.wait()
