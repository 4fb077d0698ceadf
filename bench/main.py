"""Options, the order of the groups, and progress."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from . import contention, cost, cycles, flights, growth, instructions, latency, machine, report, web
from . import handlers as h
from .results import Results
from .servers import Redis, Unusable

ROOT = pathlib.Path(__file__).resolve().parent.parent
GROUPS = {"flights": flights, "cycles": cycles, "web": web, "latency": latency, "contention": contention,
          "cost": cost, "growth": growth, "instructions": instructions}
NEEDED = (machine.PHP, "taskset", "openssl")


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""Compares this extension with Debian's php-redis and with PHP's files, all in one run:
everything that is measured shares one CPU, and the handlers take turns.

A full run takes about nine minutes and writes docs/benchmarks.md, docs/capacity.md,
and below docs/benchmarks/ the plots and every single value as results.csv.
A quick one, of two minutes, writes the same below target/bench/, as its figures
are too rough to be kept.""",
        epilog="""groups:
  flights       round trips and commands of each kind of request
  cycles        CPU and wall time of a cycle, by size, transport and locking
  web           nginx, PHP-FPM and wrk: requests/s, p50, p99, CPU
  latency       request time with 0.2, 1 and 5 ms of latency each way
  contention    requests that compete for one session
  cost          start-up, memory and connections of PHP
  growth        1k to 1M sessions; clusters of 1, 3 and 6 primaries
  instructions  instructions of a cycle in the extension, by valgrind

Environment: PHP names the PHP to measure with, REDIS_SERVER the server's program.
Exit code: 0 measured or skipped with a reason, 1 something failed, 2 wrong usage or
something is missing.""")
    parser.add_argument("--quick", action="store_true", help="few rounds")
    parser.add_argument("--only", action="append", choices=GROUPS, metavar="GROUP",
                        help="this group alone, may be repeated; the figures of the others stay")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the pages and plots from results.csv")
    parser.add_argument("--no-plots", action="store_true", help="leave the plots as they are")
    parser.add_argument("--check", action="store_true",
                        help="with --only instructions: fail if they exceed those recorded by more than 3 %%; write nothing")
    parser.add_argument("--record", action="store_true",
                        help="with --only instructions: record them, for --check")
    parser.add_argument("--so", type=pathlib.Path, metavar="PATH",
                        help="the extension (default: the release build below target/ or CARGO_TARGET_DIR)")
    options = parser.parse_args()
    if (options.check or options.record) and options.only != ["instructions"]:
        parser.error("--check and --record go with --only instructions")
    return options


class Run:
    """What the groups share: where to put things, who is there, and how thorough to be."""

    def __init__(self, options, so, folder, results):
        self.quick, self.check, self.record = options.quick, options.check, options.record
        self.so, self.folder, self.results = so, folder, results
        self.handlers = h.Handlers(folder, so)
        self.group, self.started, self.usable = "", time.monotonic(), {}

    def progress(self, text):
        line = f"{self.group} ({time.monotonic() - self.started:.0f} s): {text}"
        if sys.stderr.isatty():
            print(f"\r\033[K{line[:110]}", end="", file=sys.stderr, flush=True)

    def rounds(self, full, quick):
        return quick if self.quick else full

    def handlers_there(self, names):
        """Those of `names` that can be used here, with a word about the others."""
        if not self.usable:
            with Redis(self.folder) as redis:
                for name in h.ALL:
                    self.usable[name] = h.can_use(name, self.handlers, f"tcp://127.0.0.1:{redis.port}")
                    if not self.usable[name] and name == h.OURS:
                        raise Unusable(f"{self.so} does not work in {machine.PHP}: was it built for it?")
                    if not self.usable[name]:
                        print(f"skipped: {name} cannot be used here", file=sys.stderr)
        return [name for name in names if self.usable[name]]

    @staticmethod
    def turns(names, number):
        """The same names, each time with another one first."""
        return names[number % len(names):] + names[:number % len(names)]


def built(options):
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    so = (options.so or target / "release" / "libredis_session.so").resolve()
    if not so.exists():
        raise Unusable(f"{so} is not built: run cargo build --release, or name one with --so")
    return so, target


def revision():
    """Of what is measured: docs/ is what comes of it."""
    git = lambda *words: subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False).stdout.strip()
    changed = " with changes" if git("status", "--porcelain", "--", ".", ":!docs") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


def main():
    options = arguments()
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing:
        raise Unusable(f"missing: {', '.join(missing)}")
    so, target = built(options)
    place = target / "bench" if options.quick else ROOT / "docs"
    kept = place / "benchmarks" / "results.csv"
    if options.report and not kept.exists():
        raise Unusable(f"there is no {kept}: measure first")
    results = Results.read(kept) if (options.only or options.report) and kept.exists() else Results()
    if not options.report:
        own = os.sched_getaffinity(0)
        machine.keep_aside()
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            pathlib.Path(folder).chmod(0o755)  # for workers that run as nobody
            run = Run(options, so, pathlib.Path(folder), results)
            for group in options.only or GROUPS:
                measure(run, group)
                if not (options.check or options.record):
                    kept.parent.mkdir(parents=True, exist_ok=True)
                    results.write(kept)  # what there is, should the next group fail
        os.sched_setaffinity(0, own)
        if options.check or options.record:
            return 0
    report.write(results, place, kept, plots_too=not options.no_plots)
    return 0


def measure(run, group):
    run.group, started = group, time.monotonic()
    run.results.forget(group)
    print(f"==> {group}", file=sys.stderr)
    GROUPS[group].measure(run)
    seconds = time.monotonic() - started
    run.results.note(group, "measured", f"{time.strftime('%Y-%m-%d')}, revision {revision()}, "
                                        f"{'quick' if run.quick else 'full'}, {seconds:.0f} s")
    for name, text in machine.description():
        run.results.note("machine", name, text)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(f"    {group}: {seconds:.0f} s", file=sys.stderr)


def program():
    try:
        return main()
    except KeyboardInterrupt:
        return 130
    except Unusable as error:
        print(f"\nscripts/bench: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"\nscripts/bench: {error}", file=sys.stderr)
        return 1
