"""Which CPU runs what, what this machine is, and how much CPU time a process took."""
import os
import pathlib
import platform
import shutil
import subprocess

PHP = os.environ.get("PHP") or "php"
CPUS = sorted(os.sched_getaffinity(0))
# What is measured shares one CPU, so that none gains by running in parallel;
# whoever measures stays out of its way, if there is another CPU.
WORK_CPU, OWN_CPU = CPUS[-1], CPUS[0]


def pinned(command):
    """`command` on the CPU that everything measured runs on."""
    return ["taskset", "-c", str(WORK_CPU), *map(str, command)]


def keep_aside():
    os.sched_setaffinity(0, {OWN_CPU})


def cpu_seconds(pids):
    """CPU time so far of these processes with all their threads, to the nanosecond."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def children(pid):
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory(pid):
    """RSS and the part of it that is not shared, in KB."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    size = lambda name: int(fields[name].split()[0])
    return size("Rss"), size("Private_Clean") + size("Private_Dirty")


def output(*command):
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return (found.stdout or found.stderr).strip()


def first_line(*command):
    return output(*command).splitlines()[0] if shutil.which(command[0]) else "none"


def package(name):
    version = output("dpkg-query", "--show", "--showformat=${Version}", name) if shutil.which("dpkg-query") else ""
    return version if version and " " not in version else "unknown"


def description():
    """What the figures depend on, as pairs."""
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory_kb = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    release = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    virtual = "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()
    version = output(PHP, "-n", "-r", "echo PHP_VERSION;")
    series = ".".join(version.split(".")[:2])
    return [
        ("CPU", f"{cpu}, {len(CPUS)} CPUs{', virtual machine' if virtual else ''}"),
        ("memory", f"{memory_kb / 2**20:.0f} GB"),
        ("system", f"{release.get('PRETTY_NAME', 'unknown').strip(chr(34))}, Linux {platform.release()}"),
        ("PHP", version),
        ("Redis", output("redis-server", "--version").split("v=")[-1].split()[0]),
        ("php-redis", package(f"php{series}-redis")),
        ("Rust", first_line("rustc", "--version").removeprefix("rustc ")),
        ("nginx, wrk", f"{output('nginx', '-v').split('/')[-1]}, {first_line('wrk', '-v').split()[1] if shutil.which('wrk') else 'none'}"),
    ]


def threads(pids):
    return sum(len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())) for pid in pids)
