"""Cycles with a network in between: a proxy that holds back every byte, each way.

The set-up of a TCP connection is not delayed, which is in favour of
persistent=0; what the proxy itself takes is in all figures alike.
"""
import pathlib
import subprocess
import sys

from . import cycles, machine, servers
from . import handlers as h

GROUP = "latency"
DELAYS = {"0.2 ms": 0.0002, "1 ms": 0.001, "5 ms": 0.005}


def measure(run):
    there = run.handlers_there((h.OURS, h.PEER, h.PEER_NEW))
    with servers.Redis(run.folder) as redis:
        for each_way, delay in DELAYS.items():
            proxy = subprocess.Popen([sys.executable, "-m", "bench.wire", str(redis.port), str(delay)],
                                     stdout=subprocess.PIPE, text=True, cwd=pathlib.Path(__file__).parent.parent)
            try:
                address = f"tcp://127.0.0.1:{proxy.stdout.readline().strip()}"
                inis = {(name, locked): run.handlers.ini(name, address, locked) for name in there for locked in (False, True)}
                count = {"0.2 ms": 100, "1 ms": 40, "5 ms": 12}[each_way] // run.rounds(1, 2)
                for number in range(run.rounds(5, 2)):
                    for locked in (False, True):
                        run.progress(f"{each_way} each way, round {number + 1}")
                        for name in run.turns(there, number):
                            _, _, wall = cycles.timed(inis[name, locked], redis, count, 200)
                            case = f"{each_way} each way, {'locked' if locked else 'not locked'}"
                            run.results.add(GROUP, case, name, "request", "ms", wall / 1000)
            finally:
                servers.stop(proxy)
