"""Redis, alone and as a cluster, and enough of its protocol to ask it things."""
import os
import pathlib
import shutil
import socket
import subprocess
import time

from . import machine


class Unusable(Exception):
    """Something that a measurement needs is not here, or does not start."""


def free_port():
    """One whose cluster bus, 10000 above it, fits too."""
    while True:
        with socket.socket() as s, socket.socket() as bus:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            try:
                bus.bind(("127.0.0.1", port + 10000))
                return port
            except (OSError, OverflowError):
                continue


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


class Redis:
    """A server of our own on 127.0.0.1, gone when the block ends."""

    def __init__(self, folder, *options, tls=None):
        program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
        if not program:
            raise Unusable("redis-server not found: install it, or name one in REDIS_SERVER")
        self.port, self.tls_port = free_port(), None
        self.folder = pathlib.Path(folder, f"redis-{self.port}")
        self.folder.mkdir()
        self.socket = self.folder / "s"
        options = [*options]
        if tls:
            self.tls_port = free_port()
            options += ["--tls-port", self.tls_port, "--tls-cert-file", tls / "server.crt", "--tls-key-file",
                        tls / "server.key", "--tls-ca-cert-file", tls / "ca.crt", "--tls-auth-clients", "no"]
        command = [program, "--port", self.port, "--bind", "127.0.0.1", "--unixsocket", self.socket, "--save", "",
                   "--dir", self.folder, "--io-threads", 1, *options]
        self.process = subprocess.Popen(machine.pinned(command), stdout=subprocess.DEVNULL)
        wait_for(lambda: connects(("127.0.0.1", self.port)), "redis-server", self.process)
        self.stream = socket.create_connection(("127.0.0.1", self.port)).makefile("rwb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        stop(self.process)

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
        return machine.cpu_seconds([self.process.pid])

    def connections(self):
        """How many clients there are beside us."""
        return int(self.info("clients")["connected_clients"]) - 1


class Cluster:
    """As many primaries as asked for, without replicas."""

    def __init__(self, folder, primaries):
        self.nodes = []
        try:
            for number in range(primaries):
                node = Redis(folder, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
                self.nodes.append(node)
                node.ask("CLUSTER", "ADDSLOTSRANGE", 16384 * number // primaries, 16384 * (number + 1) // primaries - 1)
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            for node in self.nodes[1:]:
                node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
            wait_for(self.agrees, "the cluster")
        except BaseException:
            self.__exit__()
            raise

    def agrees(self):
        return all(len(node.ask("CLUSTER", "SLOTS")) == len(self.nodes) and "ok" in node.ask("CLUSTER", "INFO").decode().split()[0]
                   for node in self.nodes)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            stop(node.process)

    def cpu(self):
        return sum(node.cpu() for node in self.nodes)

    def connections(self):
        return sum(node.connections() for node in self.nodes)


def certificates(folder):
    """An authority and a server's certificate for 127.0.0.1, in `folder`/tls."""
    tls = pathlib.Path(folder, "tls")
    tls.mkdir()
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-x509", "-days", "2"]
    for command in (
        [*new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=authority"],
        [*new, "-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=localhost", "-CA", "ca.crt", "-CAkey",
         "ca.key", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
    ):
        made = subprocess.run(command, cwd=tls, capture_output=True, text=True, check=False)
        if made.returncode:
            raise Unusable(f"openssl made no certificate: {made.stderr.strip()}")
    return tls
