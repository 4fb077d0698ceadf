"""Draws the plots in a Python of their own, as they need a library that nothing else here does."""
import os
import pathlib
import subprocess
import sys

LIBRARY = "matplotlib==3.10.8"


def cache():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "redis-session")


def python():
    """A Python that has the library; made at the first use."""
    home = cache() / f"bench-{LIBRARY.replace('==', '-')}"
    if not (home / "complete").exists():
        print(f"==> {LIBRARY} into {home}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", "--disable-pip-version-check", LIBRARY], check=True)
        (home / "complete").touch()
    return home / "bin" / "python"


def draw(results_csv):
    """Draws beside the CSV. Without the library, the tables have to do."""
    try:
        root = pathlib.Path(__file__).parent.parent
        subprocess.run([python(), "-B", "-m", "bench.drawing", results_csv.resolve()], cwd=root, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"skipped: no plots: {error}", file=sys.stderr)
