"""What the benchmarks share: rounds that interleave the competitors, medians, tables, programs.

A figure counts only as a ratio to a named reference that was measured in the same run: this kind
of machine is noisy, so the competitors take turns, round by round, and medians are compared.
"""
import fcntl
import json
import os
import pathlib
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKEIN_BUILD", REPO / "build"))
LOAD = BUILD / "tests/bench/bench-load"
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


def build(*targets):
    subprocess.run(["ninja", "-C", BUILD, *targets], check=True, stdout=subprocess.DEVNULL)


def load(*words):
    """Runs bench-load and returns what it measured; its failure ends the benchmark."""
    done = subprocess.run([LOAD, *map(str, words)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def warm_memory(directory, size_bytes):
    """Freed memory of a virtual machine goes back to its host within seconds, and its next touch is
    at 0.4 GB/s. The pages that the next file of the filesystem of `directory` gets are those that a
    file there had a moment ago, and not those that a process had."""
    path = directory / "warm"
    block = bytes(256 * KIB)
    with path.open("wb", buffering=0) as out:
        for _ in range(0, size_bytes, len(block)):
            out.write(block)
    path.unlink()


def drop_pages(directory):
    """Writes what is there to the disk and lets its memory go."""
    os.sync()
    for path in directory.iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class Figures:
    """Samples of one competitor in one row."""

    def __init__(self):
        self.samples = []

    def add(self, sample):
        self.samples.append(sample)

    @property
    def median(self):
        return statistics.median(self.samples)

    def text(self, unit=""):
        return (f"{self.median:.4g}{unit} "
                f"({min(self.samples):.4g}-{max(self.samples):.4g})")


def rounds(competitors, measure, count=5):
    """Calls measure(competitor, round) in turns, each round begun by another one; returns
    {competitor: Figures}."""
    names = list(competitors)
    figures = {name: Figures() for name in names}
    for turn in range(count):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            figures[name].add(measure(name, turn))
    return figures


class Table:
    """Rows of a figure, its reference in the same run, their ratio and the goal."""

    HEADER = ["where", "what", "unit", "skein", "reference", "", "ratio", "goal", ""]

    def __init__(self, title, as_json):
        self.title, self.as_json, self.rows = title, as_json, []

    def add(self, where, what, unit, figures, reference, reference_figures, ratio, goal, met):
        """`met`: None where nothing is asked for."""
        verdict = {None: "", True: "met", False: "SHORT"}[met]
        row = [where, what, unit, figures.text(), reference,
               reference_figures.text() if reference_figures else "", ratio, goal, verdict]
        self.rows.append(row)
        if self.as_json:
            print(json.dumps({"where": where, "what": what, "unit": unit,
                              "samples": figures.samples, "reference": reference,
                              "reference_samples": reference_figures and reference_figures.samples,
                              "goal": goal, "met": met}), flush=True)
        else:
            print(*row, sep="  ", file=sys.stderr, flush=True)  # what is known so far

    def ratio(self, where, what, unit, got, reference, least):
        """More is better: got["skein"] is to be `least` times got[reference]."""
        ratio = got["skein"].median / got[reference].median
        self.add(where, what, unit, got["skein"], reference, got[reference], f"{ratio:.2f}",
                 f">= {least}" if least else "", ratio >= least if least else None)

    def at_most(self, where, what, unit, figures, reference, reference_figures, most):
        """Less is better: at most `most` times the reference."""
        ratio = figures.median / reference_figures.median
        self.add(where, what, unit, figures, reference, reference_figures, f"{ratio:.2f}",
                 f"<= {most}", ratio <= most)

    def bound(self, where, what, unit, figures, most):
        """A figure with a bound of its own, or none."""
        self.add(where, what, unit, figures, "", None, "", f"<= {most:.4g}" if most else "",
                 figures.median <= most if most else None)

    def print(self):
        if not self.as_json:
            print_table(self.title, self.HEADER, self.rows)


def print_table(title, header, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    print(f"\n{title}")
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def resident_bytes(pid, key):
    """`key` as in /proc/PID/status: VmRSS, VmHWM (the most so far), RssAnon (no mapped files)."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


class Program:
    """A program that prints one `ready` line and runs until it is told to stop."""

    def __init__(self, *command, env=None):
        self.process = subprocess.Popen([str(word) for word in command], text=True,
                                        stdout=subprocess.PIPE, env=env)
        self.ready = self.process.stdout.readline()
        if not self.ready.startswith("ready"):
            raise SystemExit(f"{command[0]} did not start: {self.ready!r}")

    def resident_bytes(self, peak=False):
        return resident_bytes(self.process.pid, "VmHWM" if peak else "VmRSS")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def spread_subdirectories(directory):
    """Asks ext4 to put each directory made below into a block group of its own (chattr +T).

    Creates in a group where many files were deleted in the last five minutes cost up to 1 ms each,
    for every competitor: ext4 does not reuse such inodes and looks at each. The group is found by
    a hash of the name, so names should be new ones; and nothing is deleted while measuring.
    """
    get_flags, set_flags, top = 0x80086601, 0x40086602, 0x00020000
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = struct.unpack("l", fcntl.ioctl(fd, get_flags, struct.pack("l", 0)))[0]
        fcntl.ioctl(fd, set_flags, struct.pack("l", flags | top))
    except OSError:
        pass  # not ext4, or not ours to change
    finally:
        os.close(fd)


class Workplace:
    """A fresh folder on tmpfs or on the disk, removed at the end."""

    PARENTS = {"tmpfs": "/dev/shm", "disk": os.environ.get("SKEIN_BENCH_DISK", str(REPO / "build"))}

    def __init__(self, kind):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="skein-bench-", dir=self.PARENTS[kind]))
        spread_subdirectories(self.path)

    def __enter__(self):
        return self.path

    def __exit__(self, *exc):
        shutil.rmtree(self.path, ignore_errors=True)


def skein_server(root, run_dir, *args):
    env = {**os.environ, "SKEIN_RUN_DIR": str(run_dir), "SKEIN_CONFIG": "", "SKEIN_LOG_LEVEL": "warn"}
    server = Program(BUILD / "dataserver/skein-dataserver", "--root", root, "--port", 0,
                     "--advertise", "none", *args, env=env)
    url = dict(word.split("=", 1) for word in server.ready.split()[1:])["url"]
    server.port = int(url.rstrip("/").rsplit(":", 1)[1])
    return server


def receiver(root, *args):
    server = Program(BUILD / "tests/bench/bench-receiver", root, *args)
    server.port = int(server.ready.rsplit("=", 1)[1])
    return server


class Nginx:
    """nginx with WebDAV PUT, one worker per core, no access log, requests without number limit."""

    CONF = """
daemon off; worker_processes auto; pid {dir}/pid; error_log {dir}/error.log crit;
events {{ worker_connections 512; }}
http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
  client_max_body_size 0; client_body_buffer_size 1m; output_buffers 2 1m;
  client_body_temp_path {dir}/temp; fastcgi_temp_path {dir}/f; proxy_temp_path {dir}/p;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  server {{ listen 127.0.0.1:{port}; root {root};
    location / {{ dav_methods PUT; create_full_put_path on; dav_access user:r group:r; }} }} }}
"""

    def __init__(self, root, workdir, port):
        workdir.mkdir(exist_ok=True)
        config = workdir / "nginx.conf"
        user = "user root;\n" if os.geteuid() == 0 else ""
        config.write_text(user + self.CONF.format(dir=workdir, root=root, port=port))
        self.port = port
        self.process = subprocess.Popen(["nginx", "-c", str(config), "-p", str(workdir)])
        deadline = time.monotonic() + 10
        while subprocess.run(["curl", "-so", "/dev/null", f"http://127.0.0.1:{port}/"]).returncode:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise SystemExit("nginx did not start: " + (workdir / "error.log").read_text())
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
