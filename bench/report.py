"""Writes docs/benchmarks.md from the results: every figure in it is a measured one."""
import statistics
from pathlib import Path

from . import capacity, contention, cycles, growth, latency, plots
from . import handlers as h
from .targets import TARGETS

HEAD = """# Benchmarks

This extension, Debian's php-redis (phpredis) with `persistent=1` and `persistent=0`, and PHP's own files, compared on one machine.
`scripts/bench` makes this page, its plots and [every single value](benchmarks/results.csv). Each part ends with the date and the
revision at which it was measured; a part that is measured again replaces the older one.

Figures are medians, with the lowest and the highest of the rounds in parentheses. A ratio compares with php-redis `persistent=1`: for
times and memory a ratio below 1 is better than php-redis, for requests/s one above 1. Rows in which this extension is worse stay in.

A *cycle* is what a request does with its session: start, read, change a counter beside a payload of the given size, write and close.
"""

METHOD = """## Method

- **One CPU for everything that is measured.** PHP and Redis are pinned to the same CPU, so elapsed time is the sum of both, and no
  handler gains by running in parallel with Redis. nginx, the load generator and the proxies have the other CPU.
- **In turns.** In each round every handler has its turn, each time another one first, so that a disturbance affects all of them.
- **The same work.** One PHP, one Redis without persistence, the same pages. PHP starts with a `php.ini` that has only the
  handler, its save path, and no cookies.
- **Locked** means `redis.session.locking_enabled = 1`; `files` always locks. php-redis gets as many `lock_retries` as it
  needs, because it would give up otherwise.
- **CPU time** is what the kernel counts for the process and its threads.

Run it on a machine that does nothing else. `--quick` shows in two minutes whether everything works; `--only GROUP`
measures one part again and keeps the others.
"""


# How a page calls what results.csv has under another name.
LABELS = {"flights": "round trips"}


def number(value):
    if value is None:
        return ""
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".replace(",", " ")


def spread(values):
    """The median, and what it came of."""
    if not values:
        return ""
    middle = number(statistics.median(values))
    low, high = number(min(values)), number(max(values))
    return middle if len(values) == 1 or low == high else f"{middle} ({low}–{high})"


def place_in_table(name):
    """Ours first, then its peers; each followed by its variants."""
    return next((number for number, known in enumerate(h.ALL) if name.startswith(known)), len(h.ALL))


def table(results, group, cases, metrics, ratios=(), label=str, what=""):
    """A row for each case and handler."""
    shown = lambda metric: LABELS.get(metric, metric)
    columns = [what, "", *[f"{shown(m)}, {results.units.get((group, m), '')}".rstrip(", ") for m in metrics], *[f"ratio {shown(m)}" for m in ratios]]
    rows = [columns, ["---"] * 2 + ["--:"] * (len(columns) - 2)]
    for case in cases:
        first = label(case)
        for name in sorted(results.handlers(group, case), key=place_in_table):
            values = [results.get(group, case, name, metric) for metric in metrics]
            if not any(values):
                continue
            compared = [results.ratio(group, case, metric, name, h.PEER) for metric in ratios]
            name_shown = f"**{name}**" if name.startswith(h.OURS) else name
            rows.append([first, name_shown, *map(spread, values), *[f"{r:.2f}" if r else "" for r in compared]])
            first = ""
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def measured(results, group):
    text = results.runs.get(group, {}).get("measured")
    return f"*Measured {text}.*\n" if text else ""


def write(results, place, kept, plots_too=True):
    if plots_too:
        plots.draw(kept)
    parts = [HEAD, targets(results), METHOD, machine(results)]
    for group, title, body in SECTIONS:
        if results.cases(group):
            parts.append(f"## {title}\n\n{body(results).strip()}\n\n{measured(results, group)}")
    # Measured by the tests that start and kill the servers, not here.
    parts.append(Path(__file__).with_name("failover.md").read_text(encoding="utf-8"))
    (place / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    text = capacity.page(results)
    if text:
        (place / "capacity.md").write_text(text, encoding="utf-8")
    print(f"written: {place / 'benchmarks.md'}, {kept.parent}")


def picture(name, text):
    return f"![{text}](benchmarks/{name}.svg)\n"


def targets(results):
    rows, reasons = [], []
    for target in TARGETS:
        ratio = target.ratio(results)
        if ratio is None:
            continue
        held = target.held(ratio)
        sign = "≥" if target.at_least else "≤"
        rows.append(f"| {target.text} | {spread(results.get(*target.key(h.OURS)))} {target.unit} | "
                    f"{spread(results.get(*target.key(target.peer)))} {target.unit} | {ratio:.2f} | {sign} {target.limit} | "
                    f"{'yes' if held else '**no**'} |")
        if not held and target.why:
            reasons.append(f"- **{target.text}: {ratio:.2f} in place of {target.limit}.** {target.why(results)}")
    text = "## At a glance\n\n"
    text += picture("cycles", "CPU time of a request: ours and php-redis', not locked and locked")
    text += "\n| | here | compared with | ratio | goal | reached |\n|---|--:|--:|--:|--:|---|\n" + "\n".join(rows) + "\n"
    text += "\nCompared with php-redis `persistent=1`, except where it says `files`.\n"
    if reasons:
        text += "\n**Not reached, and why:**\n\n" + "\n".join(dict.fromkeys(reasons)) + "\n"
    return text


def machine(results):
    rows = "\n".join(f"| {name} | {text} |" for name, text in results.runs.get("machine", {}).items())
    return f"## Machine\n\n| | |\n|---|---|\n{rows}\n"


def of_flights(results):
    text = """What is sent before the next answer is awaited counts as one round trip, however many commands are in it. Counted by a proxy
between PHP and Redis, on a connection that exists already (persistent=0 makes a new one each time, which costs another round
trip that is not counted here). `commands` were sent by PHP; `run in Redis` includes those that scripts call.

"""
    text += picture("flights", "Round trips of each kind of request")
    return text + "\n" + table(results, "flights", results.cases("flights"), ("flights", "commands", "run in Redis", "connections"), ("flights",))


def of_cycles(results):
    text = """Many cycles in one PHP process of the command line.

"""
    for transport in ("TCP", "Unix socket", "TLS"):
        for locked in ("not locked", "locked"):
            cases = [f"{transport}, {locked}, {size}" for size in cycles.SIZES]
            text += f"### {transport}, {locked}\n\n"
            text += table(results, "cycles", cases, ("PHP CPU", "Redis CPU", "wall"), ("PHP CPU", "Redis CPU", "wall"),
                          lambda case: case.split(", ")[-1]) + "\n"
    for key, why in results.runs.get("cycles", {}).items():
        if key.startswith("not possible"):
            text += f"{key.capitalize()}: `{why}`\n"
    return text


def of_web(results):
    text = """nginx, PHP-FPM with four workers and opcache, and wrk with eight connections; each request is of one of 2000 visitors, chosen at random.
The page does nothing but count in a session of 1 KB, so a handler matters here as much as it can; the more a real page does,
the closer all handlers are to each other.

"""
    text += picture("web", "Requests per second through PHP-FPM") + "\n"
    return text + table(results, "web", results.cases("web"), ("requests/s", "p50", "p99", "CPU", "PHP CPU", "Redis CPU"), ("requests/s", "p99", "CPU"))


def of_latency(results):
    text = """The cycle of 200 B through a proxy that delays every byte by the given time, in each direction.

"""
    text += picture("latency", "Time of a locked request, by latency") + "\n"
    cases = [f"{delay} each way, {locked}" for locked in ("not locked", "locked") for delay in latency.DELAYS]
    return text + table(results, "latency", cases, ("request",), ("request",))


def of_contention(results):
    text = f"""Workers that all want one session and hold it for {contention.HOLD * 1e3:.0f} ms. In a *burst* each wants it once, all at the same time.
In `8 × 20` eight workers want it 20 times each, with a random pause between, whose mean is given. A *hand-over* lasts from the moment when one
worker begins to write until the next one, which is already waiting, has the session. Commands per turn were counted by MONITOR in a run of
its own. Lost updates are increments of the counter that are missing in the session at the end.

Order when requests are long (24 requests of 1 s each: 14 at once, then one a second; each run of `tests/it/lock_order.rs`
measures it): the longest wait is 13.2 s, and 13.1 s would be perfect order. No request is served before one that came a second earlier.

php-redis polls: Debian's version every 2 ms unless `lock_wait_time` says otherwise, newer ones every 20 ms. Both are here;
ratios compare with the 2 ms.

"""
    text += picture("contention", "Time until a burst of requests is done") + "\n"
    return text + table(results, "contention", contention.CASES, ("all done", "hand-over p50", "hand-over p99", "longest wait",
                        "commands per turn", "lost updates"), ("all done",))


def of_cost(results):
    text = "Start-up: `php` from start to end with an empty script, without any handler and with each of them.\n\n"
    text += table(results, "cost", ["start-up"], ("CPU", "wall"), ("CPU", "wall"))
    text += "\nA worker of PHP-FPM after a second of requests. `private` is memory that it does not share with other workers.\n\n"
    cases = [case for case in results.cases("cost") if case != "start-up"]
    return text + table(results, "cost", cases, ("RSS", "private", "connections", "threads"), ("RSS", "private"))


def of_growth(results):
    count = lambda case: f"{case.split(' sessions')[0]} sessions"
    text = f"""Redis with sessions of {growth.PAYLOAD} B of data, and cycles with sessions chosen from them at random. All handlers store the same bytes
under the same keys. [Capacity](capacity.md) continues this to 100 million sessions.

"""
    fills = [case for case in results.cases("growth") if case.endswith(" sessions")]
    text += table(results, "growth", fills, ("memory", "per session", "RSS")) + "\n"
    text += picture("growth", "CPU time of a cycle by the number of sessions") + "\n"
    cases = [case for case in results.cases("growth") if "locked" in case]
    text += table(results, "growth", cases, ("PHP CPU", "Redis CPU", "wall"), ("PHP CPU", "Redis CPU"))
    text += """
A cluster whose primaries all share the one CPU: this shows what it costs to find the right primary, not how much a cluster can
serve. php-redis has no locks in a cluster, and asks for the map of slots in each request unless `redis.clusters.cache_slots` is on.

"""
    cases = [case for case in results.cases("growth") if case.startswith("cluster")]
    return text + table(results, "growth", cases, ("PHP CPU", "Redis CPU", "wall", "connections"), ("PHP CPU", "wall"))


def of_instructions(results):
    text = """Instructions of a cycle, counted by valgrind: those of the whole PHP process, and those inside the extension alone. They do not depend
on what else the machine does, so `scripts/test` compares the latter with `bench/instructions.json`, and fails where they have
grown by more than 3 %. The work of the kernel, most of a cycle's time, is not included.

"""
    return text + table(results, "instructions", results.cases("instructions"), ("in the extension", "altogether"), ("altogether",))


SECTIONS = (
    ("flights", "Round trips and commands", of_flights),
    ("cycles", "CPU time and time of a cycle", of_cycles),
    ("web", "Requests through PHP-FPM", of_web),
    ("latency", "With a slow network", of_latency),
    ("contention", "Requests that compete for one session", of_contention),
    ("cost", "Start-up, memory, connections", of_cost),
    ("growth", "Many sessions, several primaries", of_growth),
    ("instructions", "Instructions", of_instructions),
)
