"""The session handlers that are compared, and the php.ini that chooses each."""
import pathlib
import subprocess

from . import machine

OURS, PEER, PEER_NEW, FILES = "redis-session", "php-redis, persistent=1", "php-redis, persistent=0", "files"
ALL = (OURS, PEER, PEER_NEW, FILES)

# As long as it takes: what is compared is how long that is.
LOCKED = {"redis.session.locking_enabled": 1, "redis.session.lock_retries": 20000}
# Sessions only, no cookies and no headers: the same work around each handler.
PLAIN = {"session.use_cookies": 0, "session.use_only_cookies": 0, "session.cache_limiter": "", "session.gc_probability": 0}


class Handlers:
    """Writes php.ini files into `folder`; `so` is the extension to measure."""

    def __init__(self, folder, so):
        self.folder, self.so = pathlib.Path(folder), so
        self.sessions = self.folder / "sessions"
        self.sessions.mkdir()
        self.written = 0

    def extension(self, name):
        if name == OURS:
            return [f"extension = '{self.so}'"]
        return ["extension = igbinary", "extension = redis"] if name in (PEER, PEER_NEW) else []

    def ini(self, name, address="", locked=False, more=None, plain=True):
        """A php.ini for handler `name` with its sessions at `address`, whose query may have begun."""
        if name == FILES:
            handler, path = "files", self.sessions
        else:
            handler = "rediscluster" if address.startswith("seed") else "redis"
            separator = "&" if "?" in address or handler == "rediscluster" else "?"
            path = f"{address}{separator}persistent={0 if name == PEER_NEW else 1}"
        settings = {"session.save_handler": handler, "session.save_path": path}
        if plain:
            settings |= PLAIN
        if locked and name != FILES:
            settings |= LOCKED
        settings |= more or {}
        lines = self.extension(name) + [f"{key} = \"{value}\"" for key, value in settings.items()]
        self.written += 1
        ini = self.folder / f"php-{self.written}.ini"
        ini.write_text("\n".join(lines) + "\n")
        return ini

    def clear_files(self):
        for file in self.sessions.iterdir():
            file.unlink()


def php(ini, script, *arguments):
    """Runs a script of bench/php on the measured CPU. Any word of PHP's own is a failure."""
    script = pathlib.Path(__file__).parent / "php" / script
    run = subprocess.run(machine.pinned([machine.PHP, "-n", "-c", ini, script, *arguments]), capture_output=True, text=True, check=False)
    if run.returncode or "Warning" in run.stdout or run.stderr:
        raise RuntimeError(f"{script.name}: {(run.stdout + run.stderr).strip()[:400]}")
    return run.stdout


def can_use(name, handlers, address):
    """Whether PHP has this handler here."""
    try:
        return php(handlers.ini(name, address), "cycle.php", 1, 10) != ""
    except RuntimeError:
        return False
