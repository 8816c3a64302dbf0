"""Frames that are damaged on their way are refused by the node and sent again; memory stays flat."""
import contextlib
import json
import re
import socket
import subprocess
import threading

import pytest
from frame_reader import Frame
from harness import BUILD, SKEIN, built, eventually, skein

FRAME_BYTES = 64 + 2 * 256 * 256  # and some 200 bytes of a request's head


class Proxy:
    """Passes connections on to `node`; of what a client sends, the byte at each of `damaged`."""

    def __init__(self, node, damaged):
        self.target, self.damaged = ("127.0.0.1", node.port), damaged
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.flipped, self.refused = 0, 0
        self.lock = threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                for pump in (self.request, self.answer):
                    threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def request(self, client, server):
        at = 0
        with contextlib.suppress(OSError):
            while piece := bytearray(client.recv(65536)):
                for place in self.damaged:
                    if at <= place < at + len(piece):
                        piece[place - at] ^= 0x20
                        with self.lock:
                            self.flipped += 1
                at += len(piece)
                server.sendall(piece)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def answer(self, client, server):
        seen = b""
        with contextlib.suppress(OSError):
            while piece := server.recv(65536):
                seen += piece
                client.sendall(piece)
        with self.lock:
            self.refused += seen.count(b"HTTP/1.1 400 ")
        client.close()
        server.close()

    def close(self):
        # A thread that waits in accept() is not woken by close() alone.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def proxies():
    started = []

    def start(node, damaged):
        started.append(Proxy(node, damaged))
        return started[-1]

    yield start
    for proxy in started:
        proxy.close()


def record(nodes, series, frames):
    done = skein("stream", "--json", "--simulate", "256x256", "--seed", "5", "--frames", frames,
                 series, nodes=nodes, timeout=120)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])["summary"]


def frames_of(nodes, series):
    """{number: pixels}; every frame is on one node only."""
    found = {}
    for node in nodes:
        for file in (node.root / series).glob("frame*"):
            frame = Frame(file.read_bytes())
            assert frame.number not in found
            found[frame.number] = frame.bytes
    return found


def test_frames_damaged_on_the_way_to_the_only_node_are_sent_again(servers, proxies):
    node = servers()
    # In the first, the 21st and the 41st frame that a connection carries.
    proxy = proxies(node, [60_000 + n * 20 * FRAME_BYTES for n in range(3)])
    record([node], "/plain.pcs", 80)
    summary = record([proxy.address], "/damaged.pcs", 80)
    assert proxy.flipped >= 3 and summary["stored"] == 80 and summary["lost"] == 0
    eventually(lambda: proxy.refused == proxy.flipped, 20, "each damaged frame was refused")
    assert frames_of([node], "damaged.pcs") == frames_of([node], "plain.pcs")
    checked = skein("series", "check", "--decode", "/damaged.pcs", nodes=[node])
    assert checked.returncode == 0 and "complete: 80 of 80" in checked.stdout, checked


def test_frames_that_one_way_always_damages_go_another_way(servers, proxies):
    bad, good = servers(), servers()
    proxy = proxies(bad, [60_000 + n * FRAME_BYTES for n in range(1000)])
    record([good], "/plain.pcs", 60)
    record([proxy.address, good.url], "/damaged.pcs", 60)
    assert proxy.flipped >= 3
    assert frames_of([good], "damaged.pcs") == frames_of([good], "plain.pcs")
    assert not list((bad.root / "damaged.pcs").glob("frame*"))


def resident_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


@pytest.mark.skipif("san" in BUILD.name, reason="a sanitizer keeps freed memory")
def test_memory_is_flat_however_long_the_recording(servers):
    node, frames = servers(), 30_000
    process = subprocess.Popen(
        [built(SKEIN), "--node", node.url, "stream", "--json", "--queue-mb", "8", "--simulate",
         "32x32", "--frames", str(frames), "/long.pcs"], stdout=subprocess.PIPE, text=True)
    early = late = 0
    for count, _ in enumerate(process.stdout, 1):
        if count == frames // 3:
            early = resident_kib(process)
        elif count == frames * 9 // 10:
            # It cannot have ended: a pipe does not hold the lines that are to come.
            late = resident_kib(process)
    process.stdout.close()
    assert process.wait(60) == 0
    # 250 bytes more for each frame would show.
    assert late - early < 4096, (early, late)
