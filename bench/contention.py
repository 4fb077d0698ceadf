"""Requests that compete for one session: how long all take, how fast it changes hands.

php-redis polls. Debian's version does so every 2 ms unless told otherwise,
newer ones every 20 ms: both are here.
"""
import json
import pathlib
import re
import socket
import subprocess
import threading

from . import handlers as h
from . import machine, servers

GROUP = "contention"
SCRIPT = pathlib.Path(__file__).parent / "php" / "contend.php"
HOLD = 0.005
SLOW = f"{h.PEER}, polling every 20 ms"
UNLOCKED = {h.OURS: f"{h.OURS}, not locked", h.PEER: f"{h.PEER}, not locked"}
# Workers, turns of each, mean think time in seconds.
CASES = {"burst of 2": (2, 1, 0), "burst of 8": (8, 1, 0), "burst of 32": (32, 1, 0),
         "8 × 20, no pause": (8, 20, 0), "8 × 20, 5 ms pause": (8, 20, 0.005), "8 × 20, 40 ms pause": (8, 20, 0.04)}


class Monitor:
    """Counts the commands that clients send to a Redis, by its MONITOR."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(b"MONITOR\r\n")
        self.text = self.socket.makefile("rb")
        self.text.readline()
        self.count, self.thread = 0, threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.text:
            if b'"bench-over"' in line:
                return
            # "[0 lua]" is what a script calls, "[0 127.0.0.1:1]" what a client sends.
            self.count += re.match(rb'\+[\d.]+ \[\d+ (?!lua)', line) is not None

    def stop(self, redis):
        """How many there were."""
        redis.ask("ECHO", "bench-over")
        self.thread.join(10)
        self.socket.close()
        return self.count


def compete(ini, workers, times, think, ready=lambda: None):
    """The turns of all workers in the order in which they got in, in seconds; and how many were missed."""
    command = machine.pinned([machine.PHP, "-n", "-c", ini, SCRIPT])
    numbers = [str(times), str(int(HOLD * 1e6)), str(int(think * 1e6))]
    php = [subprocess.Popen([*command, str(n), *numbers], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
           for n in range(workers)]
    for worker in php:
        if worker.stderr.read(1) != b"r":
            raise RuntimeError(f"a worker did not start: {worker.communicate()}"[:400])
    ready()
    for worker in php:
        worker.stdin.close()
    turns, missed = [], 0
    for worker in php:
        answer = worker.stdout.read()
        missed += worker.stderr.read().count(b"x")
        worker.wait()
        turns += json.loads(answer)
    return sorted(([t / 1e9 for t in turn] for turn in turns), key=lambda turn: turn[1]), missed


def share(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def stored(run, redis, name):
    """The counter that is in the session at the end."""
    if name == h.FILES:
        text = (run.handlers.sessions / "sess_shared").read_text()
    else:
        text = redis.ask("GET", "PHPREDIS_SESSION:shared").decode()
    return int(re.fullmatch(r"n\|i:(\d+);", text)[1])


def measure(run):
    with servers.Redis(run.folder) as redis:
        address = f"tcp://127.0.0.1:{redis.port}"
        there = run.handlers_there(h.ALL)
        inis = {name: run.handlers.ini(name, address, True) for name in there}
        if h.PEER in there:
            inis[SLOW] = run.handlers.ini(h.PEER, address, True, {"redis.session.lock_wait_time": 20000})
        unlocked = {UNLOCKED[name]: run.handlers.ini(name, address) for name in there if name in UNLOCKED}
        cases = dict(list(CASES.items())[:run.rounds(None, -1)])
        for ini in inis.values():
            compete(ini, 4, 2, 0)  # scripts that Redis has not seen yet
        for number in range(run.rounds(5, 1)):
            for at, (case, (workers, times, think)) in enumerate(cases.items()):
                if times > 1 and number >= run.rounds(3, 1):
                    continue
                group = dict(inis) | (unlocked if case == "8 × 20, 5 ms pause" else {})
                for name in run.turns(list(group), number + at):
                    run.progress(f"round {number + 1}, {case}, {name}")
                    one(run, redis, case, name, group[name], workers, times, think)
        for case, (workers, times, think) in cases.items():
            for name in inis:
                if name == h.FILES:
                    continue
                run.progress(f"counting commands, {case}, {name}")
                clear(run, redis)
                monitor = []
                turns, _ = compete(inis[name], workers, times, think, lambda: monitor.append(Monitor(redis.port)))
                run.results.add(GROUP, case, name, "commands per turn", "", monitor[0].stop(redis) / len(turns))


def clear(run, redis):
    redis.ask("FLUSHALL")
    run.handlers.clear_files()


def one(run, redis, case, name, ini, workers, times, think):
    clear(run, redis)
    turns, missed = compete(ini, workers, times, think)
    if not missed and len(turns) != workers * times:
        raise RuntimeError(f"{name}: {len(turns)} turns of {workers * times}")
    # From the moment that one begins to write until the next is in, where
    # that one was waiting already.
    hand = [b[1] - a[2] for a, b in zip(turns, turns[1:]) if b[0] < a[2]]
    add = lambda metric, unit, value: run.results.add(GROUP, case, name, metric, unit, value)
    add("all done", "ms", (max(t[3] for t in turns) - min(t[0] for t in turns)) * 1e3)
    if name not in UNLOCKED.values():
        add("hand-over p50", "ms", share(hand, 0.5) * 1e3)
        add("hand-over p99", "ms", share(hand, 0.99) * 1e3)
    add("longest wait", "ms", max(t[1] - t[0] for t in turns) * 1e3)
    add("missed", "", missed)
    add("lost updates", "", len(turns) - stored(run, redis, name))
