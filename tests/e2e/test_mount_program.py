"""skein-mount as a program: what it says, when it returns, how it ends, and how fstab uses it."""
import errno
import itertools
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest
from harness import (BUILD, MOUNT, SLOW, eventually, mounts_under, needs_fuse, needs_root,
                     runnable_by_anyone)

pytestmark = [needs_fuse, needs_root]

HELPER = BUILD / "fuse" / "mount.fuse.skein"


def call(*words, program=MOUNT, timeout=20, **options):
    return subprocess.run([str(program), *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=timeout * SLOW, **options)


def assert_refused(done, status, *parts):
    assert done.returncode == status, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr


def test_help_and_version():
    done = call("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "exit status: 0 mounted" in done.stdout
    assert call("--version").stdout.startswith("skein-mount ")


def test_wrong_usage(tmp_path):
    assert mounts_under(tmp_path) == []
    assert_refused(call(), 2, "MOUNTPOINT")
    assert_refused(call(tmp_path, "--no-such-flag"), 2, "--no-such-flag")
    assert_refused(call(tmp_path, "-o", "no_such_option"), 2, "no_such_option")
    assert_refused(call(tmp_path, "--node", "http://:x/"), 2, "--node")
    (tmp_path / "bad.toml").write_text("no_such = 1\n")
    assert_refused(call(tmp_path, env={**os.environ, "SKEIN_CONFIG": str(tmp_path / "bad.toml")}),
                   2, "no_such", "bad.toml:1")


def test_mount_points_that_will_not_do(tmp_path, servers, mounts):
    server = servers()
    assert_refused(call(tmp_path / "none", "--node", server.url), 1, "none", "No such file")
    (tmp_path / "file").touch()
    assert_refused(call(tmp_path / "file", "--node", server.url), 1, "not a directory")
    mount = mounts(nodes=[server])
    assert_refused(call(mount.path, "--node", server.url), 1, "already a Skein mount")
    for pid in mount.pids():
        os.kill(pid, signal.SIGKILL)
    assert_refused(call(mount.path, "--node", server.url), 1, "fusermount3 -u -z")
    subprocess.run(["umount", "-l", mount.path], check=True)
    assert_refused(call(tmp_path, "--node", server.url,
                        env={**os.environ, "SKEIN_MOUNT_CACHE_DIR": "/proc/none"}), 1, "/proc/none")
    assert mounts_under(tmp_path) == []


def test_no_node_found(tmp_path):
    started = time.monotonic()
    assert_refused(call(tmp_path, "--cluster", "nobody", "--wait-for-nodes", "1"), 3,
                   "'nobody'", "skein-dataserver")
    assert time.monotonic() - started < 5 * SLOW
    assert_refused(call(tmp_path, "--node", "http://127.0.0.1:1", "--wait-for-nodes", "1"), 3,
                   "127.0.0.1:1")
    assert mounts_under(tmp_path) == []


def test_a_mount_without_nodes_gets_them_later(tmp_path, servers, mounts):
    mount = mounts(cluster="test", args=["--wait-for-nodes", "0"])
    with pytest.raises(OSError):
        (mount.path / "f").write_bytes(b"nowhere to go")
    servers(advertise="local")
    eventually(lambda: (mount.path / "f").write_bytes(b"x") if os.listdir(mount.path) == [] else 1,
               5)
    assert (mount.path / "f").read_bytes() == b"x"


def test_it_waits_for_a_node_that_starts_meanwhile(tmp_path, servers):
    (tmp_path / "m").mkdir()
    waiting = subprocess.Popen([MOUNT, tmp_path / "m", "--cluster", "test"],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    servers(advertise="local")
    _, said = waiting.communicate(timeout=15)
    assert (waiting.returncode, said) == (0, b"")
    subprocess.run(["umount", tmp_path / "m"], check=True, timeout=10)
    eventually(lambda: not list_of_mounts(tmp_path), 5)


def list_of_mounts(folder):
    lines = [read_or_nothing(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc")
             if pid.isdigit()]
    return [line for line in lines
            if b"mount" in os.path.basename(line.split(b"\0")[0])
            and str(folder).encode() in line]


def read_or_nothing(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def test_the_metrics_port_tells_what_was_asked(servers, mounts):
    node = servers()
    (node.root / "foreign").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = call("/tmp", "--node", servers().url, "--metrics-port", port)
        assert_refused(done, 1, "listen on 127.0.0.1")
    mount = mounts(nodes=[node], args=["--metrics-port", port])
    os.mkdir(mount.path / "d")
    with pytest.raises(FileExistsError):
        os.mkdir(mount.path / "d")
    with pytest.raises(PermissionError):
        os.rmdir(mount.path / "foreign")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = reply.read().decode()
    for line in ('skein_mount_requests_total{kind="mkdir"} 1',
                 'skein_mount_requests_total{kind="rmdir"} 1',
                 'skein_mount_refusals_total{errno="EPERM"} 1', "skein_mount_nodes_alive 1.0"):
        assert line in text, text
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)


@pytest.mark.parametrize("options", [[], ["--no-passthrough"]])
def test_writes_ask_the_mount_for_capabilities_once_per_file(servers, mounts, options):
    """The kernel wants to know of each file whether set-uid bits or capabilities are to be dropped."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    mount = mounts(nodes=[servers()], args=["--metrics-port", port, *options])

    def asked():
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        return int(re.search(r'skein_mount_requests_total\{kind="getxattr"\} (\d+)', text)[1])

    before = asked()
    for name in ("a", "b"):
        with (mount.path / name).open("wb", buffering=0) as file:
            for _ in range(50):
                file.write(bytes(1000))
    assert asked() - before <= 2


def test_flags_name_deadline_cache_and_spool(servers, mounts, tmp_path):
    mount = mounts(nodes=[servers()], args=[
        "--deadline-ms", "700", "--listing-trust-ms", "100", "--cache", tmp_path / "c",
        "--cache-bytes", str(1 << 24), "--spool", tmp_path / "s", "--spool-bytes", "5000000",
        "--no-bypass"])
    assert (tmp_path / "c").is_dir() and (tmp_path / "s" / "recover").is_dir()
    with pytest.raises(OSError) as refused, open(mount.path / "big", "wb") as file:
        file.write(bytes(8 << 20))
    assert refused.value.errno == errno.ENOSPC
    assert_refused(call(tmp_path, "--deadline-ms", "soon"), 2, "deadline_ms", "soon")
    assert_refused(call(tmp_path, "--deadline-ms", "5"), 2, "at least 100")
    assert_refused(call(tmp_path, "--metrics-port", "70000"), 2, "65535")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it_in_the_foreground(servers, mounts, end):
    mount = mounts(nodes=[servers()], foreground=True)
    (mount.path / "f").write_bytes(b"x")
    mount.process.send_signal(end)
    assert mount.process.wait(10) == 0
    assert not mount.is_mounted()


def test_a_signal_at_any_moment_of_the_start_ends_it(servers, tmp_path):
    server = servers()
    (tmp_path / "m").mkdir()
    for i in range(16):
        starting = subprocess.Popen([MOUNT, tmp_path / "m", "--foreground", "--node", server.url],
                                    stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # Any moment will do: nothing is waited for here, the start itself is what is cut.
        time.sleep(i * 0.004)
        starting.send_signal(signal.SIGTERM)
        try:
            starting.wait(10 * SLOW)
        finally:
            starting.kill()
        assert mounts_under(tmp_path) == []


@pytest.mark.parametrize("way", [[], ["--foreground"]])
def test_closed_standard_descriptors_are_not_taken_for_files(servers, tmp_path, way):
    server = servers()
    (tmp_path / "m").mkdir()
    log = tmp_path / "log"
    command = [str(MOUNT), str(tmp_path / "m"), "--node", server.url, "--log-file", str(log), *way]
    started = subprocess.Popen(["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
    eventually(lambda: mounts_under(tmp_path), 10)
    try:
        for i in range(8):
            (tmp_path / "m" / f"f{i}").write_bytes(b"only this")
            assert (tmp_path / "m" / f"f{i}").read_bytes() == b"only this"
        assert "mounted:" in log.read_text()
    finally:
        subprocess.run(["umount", tmp_path / "m"], check=True, timeout=10)
    started.wait(10)
    eventually(lambda: not list_of_mounts(tmp_path), 5)
    for i in range(8):
        assert (server.root / f"f{i}").read_bytes() == b"only this"


def test_the_forced_end_ends_readers_of_remote_files(servers, mounts):
    server = servers()
    (server.root / "big").write_bytes(b"x" * (64 << 20))
    mount = mounts(nodes=[server], args=["--no-bypass"], foreground=True)
    with open(mount.path / "big", "rb") as reader:
        assert reader.read(1 << 20) == b"x" * (1 << 20)
        mount.process.send_signal(signal.SIGTERM)
        assert mount.process.wait(10 * SLOW) == 0
    assert not mount.is_mounted()


@pytest.mark.parametrize("command", [["umount"], ["fusermount3", "-u"]])
def test_unmounting_ends_the_program(servers, mounts, command):
    mount = mounts(nodes=[servers()])
    pids = mount.pids()
    assert len(pids) == 1
    file = open(mount.path / "f", "wb")
    busy = subprocess.run([*command, mount.path], capture_output=True, text=True, timeout=10)
    assert busy.returncode != 0 and "busy" in busy.stderr
    file.close()
    eventually(lambda: subprocess.run([*command, mount.path], capture_output=True,
                                      timeout=10).returncode == 0, 5)
    eventually(lambda: not mount.pids(), 5, "the program ends")


def test_it_holds_no_terminal_and_says_nothing(servers, tmp_path):
    server = servers()
    (tmp_path / "m").mkdir()
    # communicate() returns at the end of file only: a daemon that kept stdout would hold it.
    started = subprocess.Popen([MOUNT, tmp_path / "m", "--node", server.url],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = started.communicate(timeout=10)
    try:
        assert (started.returncode, out, err) == (0, b"", b"")
        line = [row for row in pathlib.Path("/proc/self/mounts").read_text().splitlines()
                if str(tmp_path / "m") in row][0]
        assert line.startswith("skein:") and " fuse.skein " in line
    finally:
        subprocess.run(["umount", tmp_path / "m"], check=True, timeout=10)
    eventually(lambda: not list_of_mounts(tmp_path), 5)


def mount_in_namespace(script, tmp_path, run_dir, timeout=40):
    """Runs a shell script in a mount namespace of its own where mount(8) finds our helper."""
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    overlay = (f"mount -t tmpfs none {sbin} && mkdir {sbin}/up {sbin}/work && "
               f"mount -t overlay none -o lowerdir=/usr/sbin,upperdir={sbin}/up,"
               f"workdir={sbin}/work /usr/sbin && ln -s {HELPER} /usr/sbin/mount.fuse.skein && ")
    return subprocess.run(["unshare", "-m", "bash", "-c", overlay + script], capture_output=True,
                          text=True, timeout=timeout * SLOW, stdin=subprocess.DEVNULL)


def test_fstab(servers, tmp_path, run_dir):
    if mount_in_namespace("true", tmp_path, run_dir).returncode != 0:
        pytest.skip("needs overlay: /usr/sbin cannot be overlaid here")
    (tmp_path / "sbin").rmdir()
    server = servers(advertise="local")
    point = tmp_path / "m"
    point.mkdir()
    lines = [f"test {point} fuse.skein _netdev,nofail,noauto,x-systemd.automount,umask=027 0 0",
             f"skein {point} fuse.skein noauto,cluster=test,ro 0 0",
             f"{server.url} {point} fuse.skein noauto,defaults 0 0"]
    script = "true"
    for i, line in enumerate(lines):
        write = f"echo {i} > {point}/f{i}" if ",ro" not in line else f"! touch {point}/no 2>&-"
        script += (f" && echo '{line}' > {tmp_path}/fstab && mount -T {tmp_path}/fstab {point}"
                   f" && findmnt -n -o FSTYPE,OPTIONS {point} && {write} && umount {point}")
    done = mount_in_namespace(script, tmp_path, run_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout.splitlines()
    assert len(shown) == 3 and all(row.startswith("fuse.skein") for row in shown), shown
    eventually(lambda: {p.name for p in server.root.glob("f*")} == {"f0", "f2"}, 5)
    eventually(lambda: not list_of_mounts(point), 5, "the programs end")


def test_the_helper_refuses_what_it_does_not_know(tmp_path):
    assert_refused(call("test", tmp_path, "-o", "no_such=1", program=HELPER), 2, "no_such")
    assert_refused(call("test", program=HELPER), 2, "SOURCE MOUNTPOINT")
    assert mounts_under(tmp_path) == []


def test_modes_and_owner_are_options(servers, mounts):
    mount = mounts(nodes=[servers()], args=["-o", "uid=12,gid=34,umask=077"])
    (mount.path / "d").mkdir()
    (mount.path / "f").touch()
    eventually(lambda: (mount.path / "f").stat().st_mode & 0o777 == 0o400, 5)
    assert (mount.path / "d").stat().st_mode & 0o777 == 0o700
    assert ((mount.path / "f").stat().st_uid, (mount.path / "f").stat().st_gid) == (12, 34)


def test_others_are_let_in_by_allow_other_only(servers, mounts, tmp_path):
    node = servers()
    for parent in itertools.takewhile(lambda path: path != pathlib.Path(tempfile.gettempdir()),
                                      (tmp_path, *tmp_path.parents)):
        parent.chmod(0o755)
    private, shared = mounts(nodes=[node]), mounts(nodes=[node], args=["--allow-other"])
    (private.path / "f").write_bytes(b"hello")

    def as_nobody(script):
        return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               "bash", "-c", script], capture_output=True, text=True, timeout=30)

    refused = as_nobody(f"cat {private.path}/f")
    assert refused.returncode != 0 and "Permission denied" in refused.stderr, refused
    done = as_nobody(f"cat {shared.path}/f; (echo torn; kill -9 $BASHPID) > {shared.path}/torn; "
                     f"echo more > {shared.path}/g")
    assert (done.stdout, done.returncode) == ("hello", 0), done
    eventually(lambda: {path.name for path in node.root.glob("[a-z]*")} == {"f", "g"}, 20)


def test_another_user_mounts_through_fusermount3(servers, tmp_path, run_dir):
    server = servers()
    home = pathlib.Path(tempfile.mkdtemp(prefix="skein-nobody-", dir="/tmp"))
    try:
        (home / "m").mkdir()
        for path in (home, home / "m"):
            os.chown(path, 65534, 65534)
        if os.stat("/dev/fuse").st_mode & 0o006 != 0o006:
            pytest.skip("needs fuse for users: /dev/fuse is for root only here")
        script = (f"{runnable_by_anyone(MOUNT)} {home}/m --node {server.url} && echo hello > {home}/m/f && "
                  f"cat {home}/m/f && fusermount3 -u {home}/m")
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                               "bash", "-c", script], capture_output=True, text=True, timeout=30,
                              env={**os.environ, "SKEIN_MOUNT_CACHE_DIR": f"{home}/cache",
                                   "SKEIN_RUN_DIR": f"{home}/run"})
        assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
        eventually(lambda: (server.root / "f").exists(), 5)
    finally:
        subprocess.run(["umount", "-l", home / "m"], capture_output=True)
        subprocess.run(["rm", "-rf", home])
