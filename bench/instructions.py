"""Instructions of one cycle, counted by valgrind: the same on a busy machine.

Only those inside of the extension count, so PHP's and the C library's
versions make no difference; the compiler's does. What is recorded in
instructions.json is compared where it can be, and may not grow by over 3 %.
"""
import json
import pathlib
import platform
import shutil
import subprocess

from . import handlers as h
from . import machine, servers

GROUP = "instructions"
RECORDED = pathlib.Path(__file__).parent / "instructions.json"
SCRIPT = pathlib.Path(__file__).parent / "php" / "cycle.php"
CASES = {"not locked, 200 B": (False, 200), "locked, 200 B": (True, 200), "not locked, 10 KB": (False, 10240),
         "locked, 10 KB": (True, 10240)}
# Start-up and end of PHP are in both counts, and so not in their difference.
FEW, MANY = 20, 220
MOST = 1.03


def conditions():
    """What the counts depend on, beside this repository."""
    flags = next((line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return {
        "compiler": machine.first_line("rustc", "--version"),
        "machine": platform.machine() + (" with AVX2" if "avx2" in flags.split() else ""),
        "PHP": machine.output(machine.PHP, "-n", "-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION, PHP_ZTS ? ' ZTS' : '';"),
        "valgrind": machine.first_line("valgrind", "--version"),
    }


def count(run, ini, cycles, size, name):
    """Instructions of a whole PHP process, in the extension and altogether."""
    # The path is part of a lock's value: as long here as in any other checkout.
    script = shutil.copy(SCRIPT, run.folder)
    profile = run.folder / f"callgrind-{name}-{cycles}"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", machine.PHP, "-n", "-c", ini, script, cycles, size]
    done = subprocess.run(machine.pinned(command), input="\n", capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout.startswith("ready"):
        raise RuntimeError(f"under valgrind: {(done.stdout + done.stderr).strip()[-400:]}")
    return own_cost(profile.read_text(errors="replace"), run.so.name)


def own_cost(profile, name):
    """The instructions of object `name`, not of what it calls, and those of all objects."""
    names, here, own, total, skip = {}, "", 0, 0, False
    for line in profile.splitlines():
        if line.startswith("ob="):
            key, _, path = line[3:].partition(" ")
            names[key] = path or names[key]
            here = names[key]
        elif line.startswith("cob="):  # a name may be told here first
            key, _, path = line[4:].partition(" ")
            names[key] = path or names[key]
        elif line.startswith("calls="):
            skip = True  # the next line is what the call cost
        elif line[:1] in "0123456789+-*" and line:
            if not skip:
                cost = int(line.split()[1])
                total += cost
                own += cost if here.endswith(name) else 0
            skip = False
    return own, total


def measure(run):
    if not shutil.which("valgrind"):
        skip(run, "valgrind is not installed")
        return
    before = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    here = conditions()
    if run.check:
        other = [f"{what} is {here[what]}, recorded with {value}" for what, value in before.get("conditions", {}).items() if here[what] != value]
        if other or not before:
            skip(run, "; ".join(other) or "nothing is recorded")
            return
    found = {}
    with servers.Redis(run.folder) as redis:
        for name in run.handlers_there((h.OURS, h.PEER)) if not (run.check or run.record) else [h.OURS]:
            for number, (case, (locked, size)) in enumerate(CASES.items()):
                run.progress(f"{name}, {case}")
                ini = run.handlers.ini(name, f"tcp://127.0.0.1:{redis.port}", locked)
                few, many = (count(run, ini, cycles, size, number) for cycles in (FEW, MANY))
                own, total = ((b - a) / (MANY - FEW) for a, b in zip(few, many))
                if name == h.OURS:
                    found[case] = round(own)
                    run.results.add(GROUP, case, name, "in the extension", "", own)
                run.results.add(GROUP, case, name, "altogether", "", total)
    if run.record:
        RECORDED.write_text(json.dumps({"conditions": here, "instructions per cycle": found}, indent=2) + "\n")
    compare(found, before.get("instructions per cycle", {}), run.check)


def compare(found, before, check):
    over = 0
    for case, now in found.items():
        then = before.get(case)
        if then is None:
            print(f"{case}: {now}")
            continue
        grown = now > then * MOST
        over += grown
        hint = "  more than 3 % more" if grown else "  record it: --record" if now * MOST < then else ""
        print(f"{case}: {now}, recorded {then} ({now / then - 1:+.1%}){hint}")
    if check:
        print(f"{len(found) - over} passed, {over} failed, 0 skipped")
        if over:
            raise RuntimeError("a cycle takes more instructions than recorded; if it has to: "
                               "scripts/bench --only instructions --record")


def skip(run, reason):
    print(f"skipped: instructions are not compared: {reason}")
    if run.check:
        print("0 passed, 0 failed, 1 skipped")
