"""Redis, alone and as a cluster, from scripts/servers, and enough of its protocol to ask it things."""
import os
import pathlib
import socket
import subprocess
import time

from . import machine


class Unusable(Exception):
    """Something that a measurement needs is not here, or does not start."""


ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOL = ROOT / "scripts" / "servers"


def free_port():
    """A port that no one listens on, for a server that this benchmark starts itself."""
    found = subprocess.run([TOOL, "--free-port"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise Unusable("there is no free port; see above")
    return int(found.stdout)


def wait_for(condition, what, process=None):
    """Asks `condition` until it is true. A server that is slow is waited for, a dead one is not."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline or (process and process.poll() is not None):
            raise Unusable(f"{what} did not start")
        time.sleep(0.01)


def connects(address):
    try:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        with socket.socket(family) as s:
            s.connect(address)
        return True
    except OSError:
        return False


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Topology:
    """What scripts/servers keeps for us, on the measured CPU; gone when the block ends, or this process."""

    def __init__(self, folder, *words):
        # Pinned, so that the servers are.
        self.process = subprocess.Popen(machine.pinned([TOOL, *words, "--config", "io-threads 1"]), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(folder)})
        self.told = dict(line.split("=", 1) for line in self.process.stdout.read().decode().splitlines())
        if "SERVERS_PORTS" not in self.told:
            self.__exit__()
            raise Unusable("scripts/servers did not start what is measured; see above")

    def numbers(self, name):
        return [int(word) for word in self.told[name].split()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Node:
    """One server."""

    def __init__(self, port, pid):
        self.port, self.pid = port, pid
        self.stream = socket.create_connection(("127.0.0.1", port)).makefile("rwb")

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        self.stream.flush()

    def read(self):
        line = self.stream.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise Unusable(f"Redis answered: {rest.decode()}")
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        if kind != b"$":
            return rest.decode()
        return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]

    def info(self, section):
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def cpu(self):
        """CPU time of the server so far, in seconds."""
        return machine.cpu_seconds([self.pid])

    def connections(self):
        """How many clients there are beside us."""
        return int(self.info("clients")["connected_clients"]) - 1


class Redis(Node):
    """A server of our own, by TCP and by its socket, and with `tls` by TLS as well."""

    def __init__(self, folder, *config, tls=False):
        words = ["--topology", "tls", "--plain"] if tls else ["--topology", "tcp"]
        for line in config:
            words += ["--config", line]
        self.topology = Topology(folder, *words)
        self.socket = self.topology.told["SERVERS_SOCKETS"]
        self.tls_port = self.topology.numbers("SERVERS_PORTS")[0] if tls else None
        self.authority = pathlib.Path(self.topology.told["SERVERS_CA"]) if tls else None
        port, = self.topology.numbers("SERVERS_PLAIN_PORTS" if tls else "SERVERS_PORTS")
        pid, = self.topology.numbers("SERVERS_PIDS")
        super().__init__(port, pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.topology.__exit__()


class Cluster:
    """As many primaries as asked for, without replicas."""

    def __init__(self, folder, primaries):
        self.topology = Topology(folder, "--topology", "cluster", "--primaries", primaries, "--replicas", 0)
        self.nodes = [Node(port, pid) for port, pid in
                      zip(self.topology.numbers("SERVERS_PORTS"), self.topology.numbers("SERVERS_PIDS"))]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.topology.__exit__()

    def cpu(self):
        return sum(node.cpu() for node in self.nodes)

    def connections(self):
        return sum(node.connections() for node in self.nodes)
