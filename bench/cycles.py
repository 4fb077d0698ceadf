"""Cycles in one PHP process: start, read, change a counter beside a payload, write and close.

CPU time of PHP by getrusage, that of Redis from the kernel, over the same cycles.
"""
import pathlib
import subprocess

from . import handlers as h
from . import machine, servers

GROUP = "cycles"
SCRIPT = pathlib.Path(__file__).parent / "php" / "cycle.php"
SIZES = {"200 B": (200, 1500), "10 KB": (10240, 1200), "100 KB": (102400, 400), "1 MB": (1048576, 60)}


def timed(ini, redis, count, size, sessions=1):
    """Microseconds a cycle: CPU of PHP, CPU of Redis, wall."""
    php = subprocess.Popen(machine.pinned([machine.PHP, "-n", "-c", ini, SCRIPT, count, size, sessions]),
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = php.stdout.readline()
    if line != "ready\n":
        raise RuntimeError(f"a cycle failed: {line}{php.communicate()[0]}"[:400])
    before = redis.cpu()
    php.stdin.write("\n")
    php.stdin.flush()
    answer = php.stdout.readline()
    used = redis.cpu() - before
    php.stdin.close()
    if php.wait() or len(answer.split()) != 2:
        raise RuntimeError(f"a cycle failed: {answer}"[:400])
    cpu, wall = map(float, answer.split())
    return cpu, used * 1e6 / count, wall


def record(run, group, case, name, figures):
    for metric, value in zip(("PHP CPU", "Redis CPU", "wall"), figures):
        run.results.add(group, case, name, metric, "µs", value)


def without_folders(text, *folders):
    """The text without where this run had its files."""
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    return text


def measure(run):
    with servers.Redis(run.folder, tls=True) as redis:
        addresses = {"TCP": f"tcp://127.0.0.1:{redis.port}", "Unix socket": f"unix://{redis.socket}",
                     "TLS": f"tls://127.0.0.1:{redis.tls_port}?stream[cafile]={redis.authority}"}
        there = run.handlers_there(h.ALL)
        plan = [(transport, locked, size) for transport in addresses for locked in (False, True) for size in SIZES]
        inis = {}
        for transport, locked, _ in plan:
            for name in there:
                inis.setdefault((transport, locked, name), run.handlers.ini(name, addresses[transport], locked))
        skipped = set()
        for number in range(run.rounds(9, 2)):
            for at, (transport, locked, size) in enumerate(plan):
                run.progress(f"round {number + 1}, {transport}, {'locked' if locked else 'not locked'}, {size}")
                length, count = SIZES[size]
                count = count // run.rounds(1, 4) if transport != "TLS" else count // run.rounds(4, 8)
                for name in run.turns(there, number + at):
                    if name == h.FILES and (transport, locked) != ("TCP", True) or (transport, name) in skipped:
                        continue
                    handshakes = transport == "TLS" and name == h.PEER_NEW
                    try:
                        figures = timed(inis[transport, locked, name], redis, max(10, count // (8 if handshakes else 1)), length)
                    except RuntimeError as error:
                        if name == h.OURS or number:
                            raise
                        skipped.add((transport, name))
                        reason = without_folders(str(error).splitlines()[-1], redis.authority.parent, run.folder, SCRIPT.parents[2])
                        run.results.note(GROUP, f"not possible: {name} over {transport}", reason)
                        continue
                    record(run, GROUP, f"{transport}, {'locked' if locked else 'not locked'}, {size}", name, figures)
