"""A proxy in front of a server: counts flights and commands, or delays every byte.

As a program (`python3 -m bench.wire PORT SECONDS`) it only delays, in a process
of its own so that nothing else holds it up, and prints its port.
"""
import heapq
import itertools
import select
import socket
import sys
import threading
import time

CHUNK = 1 << 18
# Closer than this to its time, a chunk is waited for without sleeping.
SPIN = 0.0003


class Proxy:
    """Takes connections for 127.0.0.1:`port` on one of its own."""

    def __init__(self, port, delay=0.0):
        self.target, self.delay = ("127.0.0.1", port), delay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.other = {}  # each socket's other side
        self.clients = {}  # what each client has sent that is no whole command yet
        self.asked = set()  # clients whose last word is not answered yet
        self.late, self.order = [], itertools.count()
        self.connections = self.flights = 0
        self.commands = []

    def start(self):
        threading.Thread(target=self.run, daemon=True).start()
        return self

    def reset(self):
        self.connections = self.flights = 0
        self.commands = []

    def run(self):
        while True:
            wait = None
            if self.late:
                wait = self.late[0][0] - time.perf_counter()
                wait = 0 if wait < SPIN else wait - SPIN
            for ready in select.select([self.listener, *self.other], [], [], wait)[0]:
                if ready is self.listener:
                    self.accept()
                elif ready in self.other:
                    self.receive(ready)
            while self.late and self.late[0][0] <= time.perf_counter():
                _, _, destination, data = heapq.heappop(self.late)
                self.forward(destination, data)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(self.target)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.other |= {client: server, server: client}
        self.clients[client] = b""
        self.connections += 1

    def receive(self, source):
        try:
            data = source.recv(CHUNK)
        except OSError:
            data = b""
        if data and not self.delay:
            self.record(source, data)
        if self.delay:
            heapq.heappush(self.late, (time.perf_counter() + self.delay, next(self.order), self.other[source], data))
            if not data:
                del self.other[source]
        else:
            self.forward(self.other[source], data)

    def forward(self, destination, data):
        """Passes data on; none of it is the end of the connection."""
        try:
            if data:
                destination.sendall(data)
                return
        except OSError:
            pass
        source = self.other.pop(destination, None)
        for s in (destination, source):
            if s is not None:
                self.other.pop(s, None)
                self.clients.pop(s, None)
                self.asked.discard(s)
                s.close()

    def record(self, source, data):
        if source not in self.clients:
            self.asked.discard(self.other[source])
            return
        if source not in self.asked:
            self.flights += 1
            self.asked.add(source)
        self.clients[source], words = commands(self.clients[source] + data)
        self.commands += words


def commands(data):
    """What is left of `data` after its last whole command, and the names of the commands."""
    names, at = [], 0
    while True:
        start, end = at, data.find(b"\r\n", at)
        if end < 0:
            return data[start:], names
        count, at, name = int(data[at + 1:end]), end + 2, None
        for _ in range(count):
            end = data.find(b"\r\n", at)
            if end < 0:
                return data[start:], names
            size, at = int(data[at + 1:end]), end + 2
            if at + size + 2 > len(data):
                return data[start:], names
            name = name or data[at:at + size].decode().upper()
            at += size + 2
        names.append(name)


if __name__ == "__main__":
    proxy = Proxy(int(sys.argv[1]), float(sys.argv[2]))
    print(proxy.port, flush=True)
    proxy.run()
