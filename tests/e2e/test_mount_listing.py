"""Large directories that a mount lists for the first time: names are shown as they come."""
import contextlib
import os
import socket
import threading
import time

import pytest
from harness import SLOW, eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

NAMES = 8000
# Of a listing with 17 bytes a name; a node begins it with the first two thousand.
HELD_AFTER = 90_000
DEADLINE_S = 3


def fill(folder, names=NAMES):
    """Put there by hand, so that the server has not listed them before."""
    folder.mkdir()
    directory = os.open(folder, os.O_RDONLY)
    for n in range(names):
        os.close(os.open(f"f{n:07d}", os.O_CREAT | os.O_WRONLY, 0o444, dir_fd=directory))
    os.close(directory)


class HoldingRelay:
    """Hands bytes on between clients and a server, but holds each listing of /d/ in its midst.

    go_on() lets all of them go on, cut() ends the connections that are held.
    """

    def __init__(self, server):
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.freed = threading.Event()
        self.held = threading.Event()
        self.cutting = False
        threading.Thread(target=self._accept, daemon=True).start()

    def go_on(self):
        self.freed.set()

    def cut(self):
        self.cutting = True
        self.freed.set()

    def close(self):
        self.listener.close()
        self.freed.set()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                upstream = socket.create_connection((self.server.host, self.server.port))
                asked = threading.Event()
                threading.Thread(target=self._requests, args=(client, upstream, asked),
                                 daemon=True).start()
                threading.Thread(target=self._replies, args=(upstream, client, asked),
                                 daemon=True).start()

    def _requests(self, client, upstream, asked):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if data.startswith(b"GET /d/ "):
                    asked.set()
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)

    def _replies(self, upstream, client, asked):
        given = 0
        with contextlib.suppress(OSError), upstream, client:
            while data := upstream.recv(16384):
                if asked.is_set():
                    given += len(data)
                if given > HELD_AFTER and not self.freed.is_set():
                    self.held.set()
                    self.freed.wait(60)
                    if self.cutting:
                        return
                client.sendall(data)


@pytest.fixture
def held(servers, mounts):
    """(relay, mount, server): /d of the mount is being listed, up to its midst."""
    server = servers()
    fill(server.root / "d")
    (server.root / "other").write_bytes(b"whole")
    relay = HoldingRelay(server)
    mount = mounts(nodes=[relay.url], args=["-o", f"no_bypass,deadline_ms={DEADLINE_S * 1000}"])
    yield relay, mount, server
    relay.close()


def expected():
    return [f"f{n:07d}" for n in range(NAMES)]


def test_names_are_shown_as_they_come_and_each_once(held):
    relay, mount, _ = held
    with os.scandir(mount.path / "d") as entries:
        names = [next(entries).name for _ in range(500)]
        assert relay.held.wait(20 * SLOW)
        # Neither a name that is known nor one to come, nor any other file, waits for the rest.
        assert (mount.path / "d" / "f0000003").stat().st_size == 0
        assert (mount.path / "d" / f"f{NAMES - 1:07d}").exists()
        assert not (mount.path / "d" / "g").exists()
        assert (mount.path / "other").read_bytes() == b"whole"
        relay.go_on()
        names += [entry.name for entry in entries]
    assert names == expected()
    for _ in range(3):
        assert sorted(os.listdir(mount.path / "d")) == expected()


def test_a_listing_that_breaks_off_is_an_error_and_no_shorter_directory(held):
    relay, mount, _ = held
    with os.scandir(mount.path / "d") as entries:
        names = [next(entries).name for _ in range(500)]
        assert relay.held.wait(20 * SLOW)
        relay.cut()
        with pytest.raises(OSError):
            names += [entry.name for entry in entries]
    assert len(names) < NAMES
    eventually(lambda: lists_all(mount), 20, "the directory is listed without a remount")


def lists_all(mount):
    try:
        return sorted(os.listdir(mount.path / "d")) == expected()
    except OSError:
        return False


@pytest.mark.allow_errors
def test_a_listing_that_stalls_costs_its_reader_no_more_than_the_deadline(held):
    relay, mount, _ = held
    with os.scandir(mount.path / "d") as entries:
        for _ in range(500):
            next(entries)
        started = time.monotonic()
        with pytest.raises(OSError):
            for _ in entries:
                pass
        # One read, and the opening that it may have to wait for.
        assert time.monotonic() - started < 2.5 * DEADLINE_S * SLOW
    relay.go_on()
    eventually(lambda: lists_all(mount), 20, "the directory is listed without a remount")


def test_an_unmount_does_not_wait_for_a_listing(held):
    relay, mount, _ = held
    with os.scandir(mount.path / "d") as entries:
        next(entries)
    assert relay.held.wait(20 * SLOW)
    started = time.monotonic()
    mount.stop()
    assert time.monotonic() - started < 2 * DEADLINE_S * SLOW
    assert not relay.freed.is_set()


def test_a_file_written_while_its_directory_is_listed_is_in_it(held):
    relay, mount, server = held
    with os.scandir(mount.path / "d") as entries:
        names = [next(entries).name for _ in range(500)]
        assert relay.held.wait(20 * SLOW)
        (mount.path / "d" / "written").write_bytes(b"now")
        (mount.path / "d" / "a-first").write_bytes(b"behind the reader")
        relay.go_on()
        names += [entry.name for entry in entries]
    names = [name for name in names if name not in ("written", "a-first")]
    assert names == expected()
    assert sorted(os.listdir(mount.path / "d")) == sorted([*expected(), "written", "a-first"])
    assert (server.root / "d" / "written").read_bytes() == b"now"
