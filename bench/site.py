"""nginx, PHP-FPM and the load generator."""
import json
import os
import pathlib
import shutil
import subprocess

from . import machine, servers

PAGE = pathlib.Path(__file__).parent / "php" / "page.php"
SESSIONS = 2000
CONNECTIONS = 8

# Each request takes a session by chance, so that they seldom compete for one.
WRK = """
math.randomseed(os.time())
request = function()
  return wrk.format("GET", nil, {["Cookie"] = "PHPSESSID=visitor" .. math.random(%d)})
end
done = function(summary, latency)
  io.write(string.format('{"requests": %%d, "seconds": %%f, "p50": %%f, "p99": %%f, "failed": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout))
end
""" % SESSIONS


class Fpm:
    """One master with a pool of its own, on a Unix socket."""

    def __init__(self, folder, name, ini, workers):
        series = machine.output(machine.PHP, "-n", "-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION;")
        program = next((found for found in (shutil.which(f"php-fpm{series}", path=PATH), shutil.which("php-fpm", path=PATH)) if found), None)
        if not program:
            raise servers.Unusable(f"php-fpm{series} not found")
        self.socket = pathlib.Path(folder, f"{name}.sock")
        log, conf = pathlib.Path(folder, f"{name}.log"), pathlib.Path(folder, f"{name}.conf")
        conf.write_text(f"[global]\nerror_log = {log}\ndaemonize = no\n[www]\nuser = nobody\ngroup = nogroup\n"
                        f"listen = {self.socket}\nlisten.mode = 0666\npm = static\npm.max_children = {workers}\n")
        self.workers = workers
        self.process = subprocess.Popen(machine.pinned([program, "-n", "-c", ini, "-F", "-y", conf]),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        servers.wait_for(lambda: servers.connects(str(self.socket)) and len(self.pids()) == workers, "php-fpm", self.process)

    def pids(self):
        return machine.children(self.process.pid)


PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"


class Nginx:
    """Gives /NAME to the pool of that name."""

    def __init__(self, folder, pools):
        program = shutil.which("nginx", path=PATH)
        if not program:
            raise servers.Unusable("nginx not found")
        self.port = servers.free_port()
        places = "".join(f"location = /{name} {{ fastcgi_pass unix:{pool.socket}; include {folder}/fastcgi; }}\n"
                         for name, pool in pools.items())
        pathlib.Path(folder, "fastcgi").write_text(
            f"fastcgi_param SCRIPT_FILENAME {folder}/page.php;\nfastcgi_param REQUEST_METHOD GET;\n")
        shutil.copy(PAGE, folder)
        # opcache leaves a file alone that has just been written.
        os.utime(pathlib.Path(folder, PAGE.name), (1, 1))
        conf = pathlib.Path(folder, "nginx.conf")
        temporary = "".join(f"{kind}_temp_path {folder}/nginx-{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(f"worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;\n"
                        f"events {{}}\nhttp {{ access_log off; keepalive_requests 10000000;\n{temporary}"
                        f"server {{ listen 127.0.0.1:{self.port};\n{places}}} }}\n")
        self.process = subprocess.Popen([program, "-p", folder, "-c", conf, "-e", f"{folder}/nginx.log"])
        servers.wait_for(lambda: servers.connects(("127.0.0.1", self.port)), "nginx", self.process)

    def load(self, folder, name, seconds):
        """What wrk says of `seconds` of requests to pool `name`."""
        wrk = shutil.which("wrk")
        if not wrk:
            raise servers.Unusable("wrk not found: apt-get install wrk")
        script = pathlib.Path(folder, "wrk.lua")
        script.write_text(WRK)
        run = subprocess.run([wrk, "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", script,
                              f"http://127.0.0.1:{self.port}/{name}"], capture_output=True, text=True, check=False)
        lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError(f"wrk: {(run.stdout + run.stderr).strip()[:400]}")
        said = json.loads(lines[-1])
        if said["failed"] or not said["requests"]:
            raise RuntimeError(f"{name}: {said['failed']} of {said['requests']} requests failed")
        return said


class Site:
    """Pools by name behind one nginx; all gone when the block ends."""

    def __init__(self, folder, inis, workers):
        self.folder, self.pools, self.nginx = folder, {}, None
        try:
            for name, ini in inis.items():
                self.pools[name] = Fpm(folder, name, ini, workers)
            self.nginx = Nginx(folder, self.pools)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in (self.nginx, *self.pools.values()):
            if server:
                servers.stop(server.process)

    def load(self, name, seconds):
        return self.nginx.load(self.folder, name, seconds)
