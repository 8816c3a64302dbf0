"""Starts the real programs for end-to-end tests, and ends them whatever happens.

Programs come from $SKEIN_BUILD [default: <repository>/build]. All of them run with the settings of
one test (conftest.py: run_dir), never with the user's. Every wait has a deadline; $SKEIN_TEST_SLOW
stretches all of them for builds with sanitizers. Fixtures: conftest.py.
"""
import http.client
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SKEIN_BUILD", REPOSITORY / "build")).resolve()
DATASERVER = BUILD / "dataserver" / "skein-dataserver"
MOUNT = BUILD / "fuse" / "skein-mount"
SKEIN = BUILD / "tools" / "skein"
SLOW = float(os.environ.get("SKEIN_TEST_SLOW", "1"))

LOGGED_ERROR = re.compile(r"^\S+ \S+ (error|critical): |Sanitizer")
READY = re.compile(r"ready url=(\S+) root=(.*) id=(\S+) cluster=(.*)$")


def _fuse_missing():
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as why:
        return f"/dev/fuse: {why.strerror}"
    return "" if shutil.which("fusermount3") else "fusermount3 is not installed"


def _avahi_missing():
    if not shutil.which("avahi-browse"):
        return "avahi-browse is not installed"
    try:
        asked = subprocess.run(["avahi-browse", "-t", "_skein-none._tcp"], capture_output=True,
                               timeout=10)
    except subprocess.TimeoutExpired:
        return "the Avahi daemon does not answer"
    return "" if asked.returncode == 0 else "no Avahi daemon (tests/e2e/run starts a private one)"


def _skip(name, why):
    return pytest.mark.skipif(bool(why), reason=f"{name}: {why}")


needs_fuse = _skip("needs fuse", _fuse_missing())
needs_root = _skip("needs root", "" if os.geteuid() == 0 else "not root")
needs_avahi = _skip("needs avahi", _avahi_missing())


def built(program):
    assert program.is_file(), f"not built: {program} (tests/run.sh builds; SKEIN_BUILD: where)"
    return str(program)


def runnable_by_anyone(program):
    """A copy that every user may run: the checkout may lie in a folder that only root may enter."""
    folder = pathlib.Path(os.environ["SKEIN_TEST_LOGS"]).parent / "bin"
    folder.mkdir(exist_ok=True)
    folder.parent.chmod(0o755)
    return shutil.copy(built(program), folder)


def eventually(condition, timeout=10, what=""):
    """Polls until condition() is true and returns its value; on the deadline the test fails."""
    started = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() - started > timeout * SLOW:
            raise AssertionError(f"not within {timeout * SLOW:g} s: {what or condition}")
        time.sleep(0.02)


def new_log(program):
    """Descriptor and path of a log that several may append to."""
    descriptor, path = tempfile.mkstemp(prefix=f"{program}-", suffix=".log",
                                        dir=os.environ.get("SKEIN_TEST_LOGS"))
    os.close(descriptor)
    return os.open(path, os.O_WRONLY | os.O_APPEND), pathlib.Path(path)


def read_log(path):
    return pathlib.Path(path).read_text(errors="replace")


def error_lines(log):
    return [line for line in log.splitlines() if LOGGED_ERROR.search(line)]


def process_environment(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def processes_with(variable, value):
    """Process ids (never ours) that were started with that environment variable."""
    wanted = f"{variable}={value}".encode()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and wanted in process_environment(pid)]


def processes_of(program):
    """Process ids of a program that this test started, directly or not."""
    wanted = str(program).encode()
    return [pid for pid in processes_with("SKEIN_RUN_DIR", os.environ["SKEIN_RUN_DIR"])
            if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == wanted]


def mounts_under(folder):
    """Mount points inside a folder, innermost first."""
    found = []
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        point = line.split(" ")[1].encode().decode("unicode_escape")
        if pathlib.PurePath(point).is_relative_to(folder):
            found.append(point)
    return sorted(found, reverse=True)


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def __repr__(self):
        return f"Reply({self.status}, {self.body[:80]!r})"


class Server:
    """One skein-dataserver. Attributes: url, host, port, id, root, cluster, pid, log (its stderr).

    port 0: the kernel picks. Raises AssertionError with its stderr when it does not get ready.
    """

    def __init__(self, root, *, cluster="test", advertise="none", port=0, bind=None, args=(),
                 env=None, ready_timeout=10, program=DATASERVER):
        self.root = pathlib.Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        command = [built(program), "--root", str(root), "--cluster", cluster,
                   "--advertise", advertise, "--port", str(port)]
        if bind is not None:
            command += ["--bind", bind]
        descriptor, self.log = new_log("server")
        self.process = subprocess.Popen(
            [*command, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=descriptor, env={**os.environ, **(env or {})})
        os.close(descriptor)
        self.pid = self.process.pid
        try:
            self._await_ready(ready_timeout * SLOW)
        except BaseException:
            self.kill()
            raise

    def _await_ready(self, timeout):
        os.set_blocking(self.process.stdout.fileno(), False)
        text = b""
        deadline = time.monotonic() + timeout
        while b"\n" not in text:
            piece = self.process.stdout.read()
            if piece == b"" or self.process.poll() is not None:
                raise AssertionError(f"server ended with {self.process.wait()}: {self.log_text()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"server not ready in {timeout:g} s: {self.log_text()}")
            text += piece or b""
            time.sleep(0.005)
        line = text.decode().splitlines()[0]
        match = READY.match(line)
        assert match, f"not a ready line: {line!r}"
        self.url, _, self.id, self.cluster = match.groups()
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port

    def log_text(self):
        return read_log(self.log)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        """Ends it and returns its exit status (negative: died of that signal)."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.send_signal(signal.SIGCONT)
        try:
            return self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"server did not end {timeout} s after signal {sig}") from None
        finally:
            self.process.stdout.close()

    def kill(self):
        self.process.kill()
        return self.process.wait(30)

    def suspend(self):
        self.process.send_signal(signal.SIGSTOP)
        # On a busy machine its threads go on until one of them has seen the signal.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def request(self, method, path, body=None, headers=None, timeout=10):
        """One request on a connection of its own. `path` is sent as given (already encoded)."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout * SLOW)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, headers=None, timeout=10):
        return self.request("GET", path, headers=headers, timeout=timeout)

    def put(self, path, body=b"", headers=None, timeout=10):
        return self.request("PUT", path, body, headers, timeout)


class Mount:
    """One skein-mount, a daemon unless foreground. Attributes: path, log, command."""

    def __init__(self, mountpoint, *, nodes=(), cluster=None, args=(), env=None, foreground=False,
                 timeout=15):
        self.path = pathlib.Path(mountpoint)
        self.path.mkdir(parents=True, exist_ok=True)
        self.command = [built(MOUNT), str(self.path)]
        if cluster is not None:
            self.command += ["--cluster", cluster]
        for node in nodes:
            self.command += ["--node", node.url if isinstance(node, Server) else str(node)]
        if foreground:
            self.command.append("--foreground")
        self.command += map(str, args)
        descriptor, self.log = new_log("mount")
        if "--log-file" not in self.command:
            self.command += ["--log-file", str(self.log)]
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=descriptor,
                                        stderr=descriptor, env={**os.environ, **(env or {})})
        os.close(descriptor)
        try:
            self._await_mounted(foreground, timeout)
        except BaseException:
            self.abandon()
            raise

    def _await_mounted(self, foreground, timeout):
        if not foreground:
            try:
                status = self.process.wait(timeout * SLOW)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"skein-mount did not return: {self.log_text()}") from None
            assert status == 0, f"skein-mount exit status {status}: {self.log_text()}"
            assert self.is_mounted(), "skein-mount returned 0 without mounting"
            return
        eventually(lambda: self.is_mounted() or self.process.poll() is not None, timeout, "mounted")
        assert self.process.poll() is None, f"skein-mount ended: {self.log_text()}"

    def log_text(self):
        return read_log(self.log)

    def is_mounted(self):
        return str(self.path) in mounts_under(self.path)

    def pids(self):
        """The processes that serve this mount point."""
        found = []
        for pid in processes_with("SKEIN_RUN_DIR", os.environ["SKEIN_RUN_DIR"]):
            try:
                line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if line[0].endswith(b"skein-mount") and str(self.path).encode() in line:
                found.append(pid)
        return found

    def stop(self, timeout=15):
        """Unmounts and waits until its process is gone; fails the test when that takes longer."""
        pids = self.pids()
        if self.is_mounted():
            ended = subprocess.run(["fusermount3", "-u", str(self.path)], capture_output=True,
                                   text=True, timeout=timeout * SLOW)
            if ended.returncode != 0:
                self.abandon()
                raise AssertionError(f"umount: {ended.stderr.strip()}")
        try:
            eventually(lambda: self.process.poll() is not None
                       and not [pid for pid in pids if process_environment(pid)],
                       timeout, "skein-mount ends after umount")
        except AssertionError:
            self.abandon()
            raise

    def abandon(self):
        """Ends it by force: for failures, and as what a crash of the mount is."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        subprocess.run(["umount", "-l", str(self.path)], capture_output=True, timeout=10)


def skein(*args, nodes=(), cluster=None, timeout=30, env=None, input=None):
    """Runs one `skein` command to its end. stdout and stderr are text (surrogateescape)."""
    command = [built(SKEIN)]
    if cluster is not None:
        command += ["--cluster", cluster]
    for node in nodes:
        command += ["--node", node.url if isinstance(node, Server) else str(node)]
    return subprocess.run([*command, *map(str, args)], capture_output=True, text=True,
                          errors="surrogateescape", timeout=timeout * SLOW, input=input,
                          stdin=subprocess.DEVNULL if input is None else None,
                          env={**os.environ, **(env or {})})
