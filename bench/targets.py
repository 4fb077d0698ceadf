"""What was to be reached, and where it is not, why: in figures of the same run."""
import dataclasses
from collections.abc import Callable

from . import contention
from . import handlers as h


@dataclasses.dataclass
class Target:
    """A bound for the ratio of our median to a peer's."""

    text: str
    group: str
    case: str
    metric: str
    limit: float
    unit: str = "µs"
    peer: str = h.PEER
    at_least: bool = False
    why: Callable | None = None

    def key(self, name):
        return self.group, self.case, name, self.metric

    def ratio(self, results):
        return results.ratio(self.group, self.case, self.metric, h.OURS, self.peer)

    def held(self, ratio):
        return ratio >= self.limit if self.at_least else ratio <= self.limit


def parts(results, group, case, name):
    php, redis = (results.median(group, case, name, metric) for metric in ("PHP CPU", "Redis CPU"))
    return php, redis


def why_web(locked):
    """Where a request's time goes, and the most that could be left out of it."""
    def why(results):
        case = "locked" if locked else "not locked"
        ours, redis = parts(results, "web", case, h.OURS)
        peer, peer_redis = parts(results, "web", case, h.PEER)
        bare = results.median("web", "locked", h.FILES, "PHP CPU")
        share, peer_share = ours + redis - bare, peer + peer_redis - bare
        return (f"Of a request's {ours + redis:.0f} µs of CPU (php-redis: {peer + peer_redis:.0f} µs), PHP-FPM itself takes about "
                f"{bare:.0f} µs, as with `files`, whatever the handler. What a handler adds, in PHP and in Redis, is "
                f"{share:.0f} µs here and {peer_share:.0f} µs with php-redis: {share / peer_share:.2f} of it. "
                f"{WEB_FLOOR[locked]}")
    return why


WEB_FLOOR = {
    False: "Two round trips are what reading and writing take; the rest of the handler's part is system calls of both sides.",
    True: "Two round trips are the least that a lock and its release can take, and the release must compare before it writes: a "
          "script, whose start alone costs Redis several µs.",
}


def why_burst(results):
    ideal = 8 * contention.HOLD * 1e3
    slow = results.ratio("contention", "burst of 8", "all done", h.OURS, contention.SLOW)
    peer = results.median("contention", "burst of 8", h.PEER, "all done")
    return (f"Eight turns of {contention.HOLD * 1e3:.0f} ms cannot take less than {ideal:.0f} ms, which is {ideal / peer:.2f} of what php-redis "
            f"takes when it polls every 2 ms, at the price of the commands below. Against polling every 20 ms, the default of newer "
            f"versions, it is {slow:.2f}.")


def why_memory(case):
    """Where it is: shared by all workers, or each one's own."""
    def why(results):
        (ours, own), (peer, peer_own) = ((results.median("cost", case, name, "RSS"), results.median("cost", case, name, "private"))
                                         for name in (h.OURS, h.PEER))
        return (f"It is {(ours - peer) * 1024:.0f} KB, most of it code that all workers share: TLS is built in, where php-redis uses "
                f"the OpenSSL of PHP. A further worker takes {own * 1024:.0f} KB of its own ({peer_own * 1024:.0f} KB with php-redis), in which are the "
                f"buffers of the connection and a thread.")
    return why


def why_cycle(case, size):
    """PHP's own part, and the system calls that two round trips are made of."""
    def why(results):
        (ours, _), (peer, _) = (parts(results, "cycles", case, name) for name in (h.OURS, h.PEER))
        bare = results.median("cycles", f"TCP, locked, {size}", h.FILES, "PHP CPU")
        wall = results.ratio("cycles", case, "wall", h.OURS, h.PEER)
        return (f"PHP itself takes about {bare:.0f} of the {ours:.0f} µs, as with `files`: it decodes and encodes the session, whatever the "
                f"handler. Without that part it is {ours - bare:.0f} µs here and {peer - bare:.0f} µs with php-redis, or "
                f"{(ours - bare) / (peer - bare):.2f} of it, and most of that is the kernel's: to send and to receive twice. "
                f"The elapsed time, with that of Redis, is {wall:.2f} of php-redis'.")
    return why


def cycle(locked, size, limit):
    case = f"TCP, {'locked' if locked else 'not locked'}, {size}"
    text = f"CPU of PHP for a cycle, {'locked' if locked else 'not locked'}, {size}"
    return Target(text, "cycles", case, "PHP CPU", limit, why=why_cycle(case, size))


TARGETS = (
    cycle(False, "200 B", 0.80),
    cycle(False, "10 KB", 0.80),
    cycle(False, "1 MB", 0.95),
    cycle(True, "200 B", 0.55),
    cycle(True, "10 KB", 0.55),
    cycle(True, "1 MB", 0.55),
    Target("request with a lock, 1 ms latency each way", "latency", "1 ms each way, locked", "request", 0.5, "ms"),
    Target("burst of 8, php-redis polling every 20 ms", "contention", "burst of 8", "all done", 0.35, "ms", contention.SLOW),
    Target("burst of 8, php-redis polling every 2 ms", "contention", "burst of 8", "all done", 0.35, "ms", why=why_burst),
    Target("burst of 8, `files`", "contention", "burst of 8", "all done", 1.15, "ms", h.FILES),
    Target("requests/s through PHP-FPM, not locked", "web", "not locked", "requests/s", 1.15, "", at_least=True, why=why_web(False)),
    Target("requests/s through PHP-FPM, locked", "web", "locked", "requests/s", 1.5, "", at_least=True, why=why_web(True)),
    Target("start-up of PHP, CPU", "cost", "start-up", "CPU", 1, "ms"),
    Target("start-up of PHP, wall", "cost", "start-up", "wall", 1, "ms"),
    Target("RSS of a worker, not locked", "cost", "worker, not locked", "RSS", 1, "MB", why=why_memory("worker, not locked")),
    Target("RSS of a worker, locked", "cost", "worker, locked", "RSS", 1, "MB", why=why_memory("worker, locked")),
)
