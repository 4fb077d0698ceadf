"""Requests through nginx and PHP-FPM, as many as go.

PHP-FPM and Redis share the measured CPU, which is the limit; nginx and the
load generator have another one. With opcache, as a production site has it.
"""
from . import handlers as h
from . import machine, servers, site

GROUP = "web"
WORKERS = 4


def web_ini(run, name, address, locked):
    # A visitor's cookie is PHP's way to the session; its cache headers are not of interest.
    more = {"session.use_cookies": 1, "session.use_only_cookies": 1, "session.cache_limiter": "", "session.gc_probability": 0}
    ini = run.handlers.ini(name, address, locked, more, plain=False)
    ini.write_text("zend_extension = opcache\n" + ini.read_text())
    return ini


def measure(run):
    run.handlers.sessions.chmod(0o777)
    with servers.Redis(run.folder, "unixsocketperm 777") as redis:
        address = f"tcp://127.0.0.1:{redis.port}"
        cases = [(name, locked) for locked in (False, True) for name in run.handlers_there(h.ALL) if locked or name != h.FILES]
        inis = {f"p{number}": web_ini(run, *[name, address, locked]) for number, (name, locked) in enumerate(cases)}
        with site.Site(run.folder, inis, WORKERS) as shop:
            for pool in inis:
                shop.load(pool, 1)  # sessions, opcache, connections
            for number in range(run.rounds(7, 1)):
                for pool, (name, locked) in run.turns(list(zip(inis, cases)), number * 2):
                    run.progress(f"round {number + 1}, {name}, {'locked' if locked else 'not locked'}")
                    one(run, shop, redis, pool, name, locked)


def one(run, shop, redis, pool, name, locked):
    pids = shop.pools[pool].pids()
    php, own = machine.cpu_seconds(pids), redis.cpu()
    said = shop.load(pool, run.rounds(2, 1))
    php, own = machine.cpu_seconds(pids) - php, redis.cpu() - own
    case = "locked" if locked else "not locked"
    add = lambda metric, unit, value: run.results.add(GROUP, case, name, metric, unit, value)
    add("requests/s", "1/s", said["requests"] / said["seconds"])
    add("p50", "ms", said["p50"])
    add("p99", "ms", said["p99"])
    # What counts on a machine that has more to do: it does not depend on who else wants the CPU.
    add("CPU", "µs", (php + own) * 1e6 / said["requests"])
    add("PHP CPU", "µs", php * 1e6 / said["requests"])
    add("Redis CPU", "µs", own * 1e6 / said["requests"])
