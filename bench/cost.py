"""What each handler costs before and between requests: start-up, memory, connections."""
import resource
import subprocess
import time

from . import handlers as h
from . import machine, servers, site, web

GROUP = "cost"
NONE = "none"
WORKERS = 4


def measure(run):
    start_up(run)
    workers(run)


def start_up(run):
    """PHP's command line, from start to end, with nothing to do."""
    there = run.handlers_there((h.OURS, h.PEER))
    inis = {name: run.folder / f"start-{number}.ini" for number, name in enumerate([NONE, *there])}
    for name, ini in inis.items():
        ini.write_text("\n".join(run.handlers.extension(name)) + "\n")
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    for number in range(run.rounds(60, 15)):
        run.progress(f"start-up, round {number + 1}")
        for name in run.turns(list(inis), number):
            cpu, started = used(), time.perf_counter()
            subprocess.run(machine.pinned([machine.PHP, "-n", "-c", inis[name], "-r", ""]), check=True)
            wall, cpu = time.perf_counter() - started, used() - cpu
            run.results.add(GROUP, "start-up", name, "CPU", "ms", cpu * 1e3)
            run.results.add(GROUP, "start-up", name, "wall", "ms", wall * 1e3)


def workers(run):
    """Workers of PHP-FPM after a second of requests to each pool."""
    run.handlers.sessions.chmod(0o777)
    for number in range(run.rounds(3, 1)):
        for locked in (False, True):
            case = f"worker, {'locked' if locked else 'not locked'}"
            for name in run.turns(run.handlers_there(h.ALL), number):
                if name == h.FILES and not locked:
                    continue
                run.progress(f"round {number + 1}, {case}, {name}")
                with servers.Redis(run.folder) as redis:
                    folder = run.folder / f"cost-{redis.port}"
                    folder.mkdir()
                    ini = web.web_ini(run, name, f"tcp://127.0.0.1:{redis.port}", locked)
                    with site.Site(folder, {"p": ini}, WORKERS) as shop:
                        shop.load("p", 1)
                        found = [machine.memory(pid) for pid in shop.pools["p"].pids()]
                        threads = machine.threads(shop.pools["p"].pids())
                        add = lambda metric, unit, value: run.results.add(GROUP, case, name, metric, unit, value)
                        add("RSS", "MB", sum(rss for rss, _ in found) / len(found) / 1024)
                        add("private", "MB", sum(own for _, own in found) / len(found) / 1024)
                        add("connections", "per worker", redis.connections() / WORKERS)
                        add("threads", "per worker", threads / WORKERS)
