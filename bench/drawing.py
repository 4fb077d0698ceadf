"""The plots themselves: a CSV of results in, SVG files beside it out. Needs matplotlib."""
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot  # noqa: E402  (after the choice of SVG)

from . import contention, growth  # noqa: E402
from . import handlers as h  # noqa: E402
from .results import Results  # noqa: E402

COLOURS = {h.OURS: "#1f5fa8", h.PEER: "#c65d21", h.PEER_NEW: "#e2a27d", h.FILES: "#8a8a8a", contention.SLOW: "#7d3510",
           growth.CACHED: "#e2a27d"}
pyplot.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif", "font.size": 10,
                    "axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 10.5, "axes.titleweight": "bold",
                    "figure.facecolor": "white", "savefig.facecolor": "white"}


def amount(value):
    return f"{value:,.0f}".replace(",", " ") if value >= 100 or value == int(value) else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(axes, names, values, second=None, unit="", order=None):
    """Horizontal bars with their values at their ends."""
    second = second or [0] * len(values)
    colours = [COLOURS[name] for name in names]
    places = range(len(names))[::-1]
    axes.barh(places, values, color=colours)
    axes.barh(places, second, left=values, color=colours, alpha=0.45)
    most = max(a + b for a, b in zip(values, second)) or 1
    for place, name, a, b in zip(places, names, values, second):
        axes.text(a + b + most * 0.02, place, f"{amount(a + b)}{unit}", va="center", fontweight="bold" if name == h.OURS else "normal")
    axes.set_yticks(places, names)
    axes.set_xlim(0, most * 1.25)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def finish(figure, place, name, title, note):
    figure.suptitle(title, fontweight="bold", fontsize=13, x=0.01, ha="left")
    figure.text(0.01, 0.01, note, fontsize=9, color="#444444")
    figure.tight_layout(rect=(0, 0.05, 1, 0.99))
    figure.savefig(place / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def less(ratio, what):
    """A finding in words: `ratio` is ours to php-redis'."""
    return f"{1 - ratio:.0%} less {what} than" if ratio < 1 else f"{ratio - 1:.0%} more {what} than"


def cycles(results, place):
    sizes = ("200 B", "10 KB", "100 KB", "1 MB")
    figure, grid = pyplot.subplots(2, 4, figsize=(13, 5.2), sharey="row")
    for row, locked in zip(grid, ("not locked", "locked")):
        for axes, size in zip(row, sizes):
            case = f"TCP, {locked}, {size}"
            names = [name for name in h.ALL if results.get("cycles", case, name, "wall")]
            value = lambda metric: [results.median("cycles", case, name, metric) for name in names]
            bars(axes, names, value("PHP CPU"), value("Redis CPU"), " µs")
            axes.set_title(f"{locked}, {size}", loc="left")
    both = lambda locked, name: sum(results.median("cycles", f"TCP, {locked}, 200 B", name, metric) for metric in ("PHP CPU", "Redis CPU"))
    ratios = [both(locked, h.OURS) / both(locked, h.PEER) for locked in ("not locked", "locked")]
    finish(figure, place, "cycles", f"A small session takes {less(ratios[0], 'CPU time')} with php-redis; with a lock, {1 - ratios[1]:.0%} less",
           "CPU time of a read-write cycle over TCP: PHP (dark) and Redis (light), medians. Shorter is better. Files need no server, and always lock.")


def flights(results, place):
    kinds = ("changed", "unchanged", "read_and_close", "strict mode, changed", "regenerated id")
    names = [name for name in h.ALL if name in results.handlers("flights")]
    figure, grid = pyplot.subplots(2, len(kinds), figsize=(13, 4), sharey="row", sharex=True)
    for row, locked in zip(grid, ("not locked", "locked")):
        for axes, kind in zip(row, kinds):
            bars(axes, names, [results.median("flights", f"{locked}: {kind}", name, "flights") for name in names])
            axes.set_title(f"{kind}\n{locked}", loc="left")
            axes.set_xlim(0, 11.5)
    ours, peer = (results.median("flights", "locked: changed", name, "flights") for name in (h.OURS, h.PEER))
    finish(figure, place, "flights", f"A locked request takes {ours:.0f} round trips; with php-redis {peer:.0f}",
           "Round trips between PHP and Redis for a request, on a connection that is there. persistent=0 makes a new one each time, at one more round trip.")


def web(results, place):
    figure, grid = pyplot.subplots(1, 2, figsize=(12, 3))
    for axes, locked in zip(grid, ("not locked", "locked")):
        names = [name for name in h.ALL if results.get("web", locked, name, "requests/s")]
        bars(axes, names, [results.median("web", locked, name, "requests/s") for name in names])
        axes.set_title(f"requests per second, {locked}", loc="left")
    ratio = [results.ratio("web", locked, "requests/s", h.OURS, h.PEER) for locked in ("not locked", "locked")]
    finish(figure, place, "web", f"{ratio[0]:.2f} × the requests per second of php-redis, {ratio[1]:.2f} × with locks",
           "A page that only counts in its session: nginx, PHP-FPM and Redis, PHP and Redis on one CPU. Longer is better. Files always lock.")


def latency(results, place):
    delays = ("0.2 ms", "1 ms", "5 ms")
    figure, grid = pyplot.subplots(2, 3, figsize=(12, 4), sharey="row")
    for row, locked in zip(grid, ("not locked", "locked")):
        for axes, delay in zip(row, delays):
            case = f"{delay} each way, {locked}"
            names = [name for name in h.ALL if results.get("latency", case, name, "request")]
            bars(axes, names, [results.median("latency", case, name, "request") for name in names], unit=" ms")
            axes.set_title(f"{delay} each way, {locked}", loc="left")
    ratio = results.ratio("latency", "1 ms each way, locked", "request", h.OURS, h.PEER)
    finish(figure, place, "latency", f"1 ms away from Redis, a locked request waits {less(ratio, '').replace('  ', ' ')} with php-redis",
           "Time that a request spends on its session, by the latency of the network each way. Shorter is better.")


def contended(results, place):
    figure, grid = pyplot.subplots(1, 3, figsize=(14, 3.4), sharey=True)
    order = (h.OURS, h.FILES, h.PEER, h.PEER_NEW, contention.SLOW)
    for axes, (case, metric, title) in zip(grid, (
            ("burst of 8", "all done", "8 at the same time, all done after"), ("burst of 32", "all done", "32 at the same time, all done after"),
            ("8 × 20, no pause", "longest wait", "8 without a pause, longest wait"))):
        names = [name for name in order if results.get("contention", case, name, metric)]
        bars(axes, names, [results.median("contention", case, name, metric) for name in names], unit=" ms")
        axes.set_title(title, loc="left")
        if metric == "all done":
            ideal = int(case.split()[-1]) * contention.HOLD * 1e3
            axes.axvline(ideal, color="black", linestyle=":", linewidth=1)
            axes.text(ideal, -0.75, f"ideal {ideal:.0f}", ha="center", va="top", fontsize=8.5)
    longest = [results.median("contention", "8 × 20, no pause", name, "longest wait") for name in (h.OURS, h.PEER)]
    finish(figure, place, "contention", f"Nobody waits out of turn: {longest[0]:.0f} ms at most, where php-redis lets one wait {longest[1]:.0f} ms",
           f"Requests that want the same session and hold it for {contention.HOLD * 1e3:.0f} ms each. Shorter is better. php-redis polls: every 2 ms where nothing else is said.")


def grown(results, place):
    fills = [case for case in results.cases("growth") if case.endswith(" sessions")]
    figure, axes = pyplot.subplots(figsize=(9, 3.8))
    counts = [int(case.split(" sessions")[0].replace(" ", "")) for case in fills]
    grown_by = {}
    for name in (h.OURS, h.PEER):
        for locked, line in (("not locked", "-"), ("locked", "--")):
            both = [[results.median("growth", f"{case}, {locked}", name, metric) for case in fills] for metric in ("PHP CPU", "Redis CPU")]
            if None in sum(both, []):
                continue
            values = [php + redis for php, redis in zip(*both)]
            grown_by[name, locked] = values[-1] / values[0]
            axes.plot(counts, values, line, marker="o", color=COLOURS[name])
            axes.text(counts[-1] * 1.15, values[-1], f"{name}, {locked}: {amount(values[-1])} µs", va="center", color=COLOURS[name])
    axes.set_xscale("log")
    axes.set_xlim(counts[0] / 1.5, counts[-1] * 60)
    axes.set_ylim(0)
    axes.set_xticks(counts, [f"{count:,}".replace(",", " ") for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("sessions in Redis")
    axes.set_ylabel("µs of CPU for a cycle")
    finish(figure, place, "growth", f"{counts[-1] // counts[0]} times as many sessions: a locked request costs {grown_by[h.OURS, 'locked']:.2f} times as much",
           "CPU time of PHP and Redis for a read-write cycle of 200 B over TCP, with sessions by chance. Lower is better.")


def draw(path):
    results, place = Results.read(path), path.parent
    for group, plot in (("cycles", cycles), ("flights", flights), ("web", web), ("latency", latency), ("contention", contended), ("growth", grown)):
        if results.cases(group):
            plot(results, place)


if __name__ == "__main__":
    draw(pathlib.Path(sys.argv[1]))
