"""Slow and hostile clients: bounded memory, deadlines, the right status, and the server lives."""
import concurrent.futures
import os
import pathlib
import random
import re
import resource
import socket
import time
import zlib

import harness
import pytest
import wire

MEBI = 1 << 20
LONG = os.environ.get("SKEIN_CONFORMANCE_LONG") == "1"
# A request may stall this long in the servers started here, so that tests see it end.
STALL_S = 1.0
QUICK = {"SKEIN_SERVER_STALL_MS": str(int(STALL_S * 1000))}


def resident_bytes(server):
    text = pathlib.Path(f"/proc/{server.own.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1)) * 1024


def check_grown(server, before, limit_bytes):
    """Sanitizers keep memory of their own, so there the size says nothing."""
    grown = resident_bytes(server) - before
    assert grown < limit_bytes or wire.SLOW > 1, f"{grown // MEBI} MiB more than before"


def closes_within(connection, seconds):
    """How long until the server ended it; whatever reply comes before is taken."""
    started = time.monotonic()
    deadline = started + seconds * wire.SLOW
    while time.monotonic() < deadline:
        if wire.readable(connection.socket, deadline - time.monotonic()):
            try:
                piece = connection.socket.recv(65536)
            except ConnectionError:
                piece = b""
            if not piece:
                return time.monotonic() - started
            connection.buffer += piece
    raise AssertionError(f"still open after {seconds} s; received {bytes(connection.buffer[:200])}")


def first_status(connection):
    match = re.match(rb"HTTP/1\.1 (\d{3}) ", connection.buffer)
    return int(match.group(1)) if match else None


@pytest.fixture(scope="module")
def unharmed(target):
    """After all tests here, the server under test answers as before."""
    yield
    reply = target.get("/__status")
    assert reply.status == 200


pytestmark = pytest.mark.usefixtures("unharmed")

SMUGGLES = {
    "length and chunked": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "chunked and length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "list of lengths": b"Content-Length: 5, 6\r\n",
    "negative length": b"Content-Length: -5\r\n",
    "plus length": b"Content-Length: +5\r\n",
    "hex length": b"Content-Length: 0x5\r\n",
    "length with a space": b"Content-Length: 5 5\r\n",
    "empty length": b"Content-Length:\r\n",
    "length beyond 64 bits": b"Content-Length: 99999999999999999999999\r\n",
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "chunked, identity": b"Transfer-Encoding: chunked, identity\r\n",
    "hidden chunked": b"Transfer-Encoding: xchunked\r\n",
    "vertical tab": b"Transfer-Encoding:\x0bchunked\r\n",
    "space before the colon": b"Content-Length : 5\r\n",
    "folded header": b"Content-Length: 5\r\nX: a\r\n b: c\r\n",
    "folded first header": b" X: a\r\nContent-Length: 5\r\n",
    "bare CR": b"X: a\rContent-Length: 5\r\n",
    "NUL in a value": b"X: a\x00b\r\nContent-Length: 5\r\n",
    "no colon": b"Content-Length\r\n",
    "no name": b": x\r\nContent-Length: 5\r\n",
}


@pytest.mark.parametrize("form", SMUGGLES)
def test_what_two_readers_frame_differently_is_refused(target, folder, form):
    trap = wire.encode_put(f"{folder}/trap", b"x")
    with target.connect() as connection:
        connection.send(b"PUT " + f"{folder}/a".encode() + b" HTTP/1.1\r\nHost: h\r\n"
                        + SMUGGLES[form] + b"\r\n" + b"0\r\n\r\n" + trap)
        reply = connection.reply()
        assert reply.status in (400, 501) or \
            form == "length beyond 64 bits" and reply.status in (400, 413), reply
        assert reply.headers["connection"].lower() == "close"
        closes_within(connection, 10)
    assert target.names(f"{folder}/") == {}


@pytest.mark.parametrize("line", [b"GET", b"GET /", b"GET / HTTP/2.0", b"GET / HTTP/0.9",
                                  b"GET  / HTTP/1.1", b"GET / x HTTP/1.1", b"GET / http/1.1",
                                  b" GET / HTTP/1.1", b"G\x00T / HTTP/1.1", b"GET / HTTP/1.11",
                                  b"\x16\x03\x01\x02\x00\x01\x00",
                                  b"GET /\x01 HTTP/1.1", b"GET /\tx HTTP/1.1"])
def test_a_malformed_request_line_is_refused_and_the_connection_ends(target, line):
    with target.connect() as connection:
        connection.send(line + b"\r\nHost: h\r\n\r\n")
        assert connection.reply().status in (400, 501, 505)
        closes_within(connection, 10)


def test_a_target_that_is_no_path_is_400(target):
    for spelled in ("nonsense", "*", "http:/", "https://h/", "h:80", "ftp://h/a"):
        with target.connect() as connection:
            assert connection.get(spelled).status == 400, spelled


def test_bare_line_feeds_are_no_head(own):
    server = own(env=QUICK)
    with server.connect() as connection:
        connection.send(b"GET /__status HTTP/1.1\nHost: h\n\n")
        closes_within(connection, 8)
        assert first_status(connection) in (None, 400, 408)


@pytest.mark.parametrize("head", [
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(101)) + b"\r\n"],
    ids=["target", "value", "fields", "101 fields"])
def test_an_oversized_head_is_refused(target, head):
    with target.connect() as connection:
        try:
            connection.send(head)
        except ConnectionError:
            pass  # refused before it was all sent
        closes_within(connection, 10)
        assert first_status(connection) in (None, 400, 413, 414, 431)


def test_a_head_that_never_ends_costs_no_memory(own):
    server = own()
    before = resident_bytes(server)
    with server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\n")
        ends = time.monotonic() + 15 * wire.SLOW
        with pytest.raises(ConnectionError):
            while time.monotonic() < ends:
                connection.send(b"X: " + b"y" * 60_000 + b"\r\n")
    check_grown(server, before, 32 * MEBI)


@pytest.mark.must
def test_an_absurd_length_is_refused_at_once(target, folder):
    with target.connect() as connection:
        connection.send(wire.encode_head("PUT", f"{folder}/a", {"Content-Length": 1 << 60}))
        assert connection.reply().status in (400, 413, 507)
    assert target.get(f"{folder}/a").status == 404


def drip(connection, data, seconds):
    """A byte at a time, never silent for long. Returns when the server has closed."""
    pause = STALL_S / 4
    ends = time.monotonic() + seconds * wire.SLOW
    for n in range(len(data)):
        try:
            connection.socket.send(data[n:n + 1])
        except ConnectionError:
            return
        if wire.readable(connection.socket, pause):
            return
        assert time.monotonic() < ends, f"a dripping request is still served after {seconds} s"


def test_a_slow_loris_head_has_a_deadline(own):
    """Each byte arrives in time, the head as a whole does not."""
    server = own(env=QUICK)
    with server.connect() as connection:
        drip(connection, b"GET /__status HTTP/1.1\r\nX: " + b"y" * 1000, STALL_S * 6)
        closes_within(connection, 5)
        assert first_status(connection) in (None, 408)


@pytest.mark.parametrize("sent", [b"G", b"PUT /a HTTP/1.1\r\nContent-Le",
                                  b"PUT /a HTTP/1.1\r\nContent-Length: 100\r\n\r\n",
                                  b"PUT /a HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + b"x" * 99,
                                  b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"])
def test_a_stalled_request_is_given_up(own, sent):
    server = own(env=QUICK)
    with server.connect() as connection:
        connection.send(sent)
        waited = closes_within(connection, STALL_S * 8)
        assert waited > STALL_S * 0.5, "given up before its time"
        assert first_status(connection) in (None, 408)
    assert server.get("/a").status == 404
    assert not list((server.root / ".skein/stage").iterdir())


def test_stalled_bodies_do_not_starve_others(own):
    """More stalled uploads than threads: a request on another connection is still served soon."""
    server = own(env={"SKEIN_SERVER_STALL_MS": "4000"}, args=["--threads", "4"])
    stalled = [server.connect() for _ in range(40)]
    try:
        for n, connection in enumerate(stalled):
            connection.send(wire.encode_head("PUT", f"/s{n}", {"Content-Length": MEBI}) + b"x" * 9)
        started = time.monotonic()
        with server.connect(20) as connection:
            assert connection.put("/good", b"x").status == 200
        waited = time.monotonic() - started
    finally:
        for connection in stalled:
            connection.close()
    assert waited < 6 * wire.SLOW, f"waited {waited:.1f} s behind stalled uploads"


def test_a_client_that_does_not_read_its_replies_is_given_up(own, tmp_path):
    server = own(env=QUICK)
    server.put("/big", b"x" * (8 * MEBI))
    before = resident_bytes(server)
    readers = []
    for _ in range(20):
        connection = server.connect()
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(wire.encode_head("GET", "/big", {}) * 50)
        readers.append(connection)
    with server.connect() as connection:
        assert connection.get("/big").status == 200
    check_grown(server, before, 64 * MEBI)
    for connection in readers:
        connection.close()
    assert server.get("/__status").status == 200


@pytest.mark.must
@pytest.mark.time_limit(120)
def test_ten_thousand_idle_connections_starve_nobody(own):
    count = 10_000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = count + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        count = max(100, hard - 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    server = own()
    before = resident_bytes(server)
    idle = []
    try:
        for _ in range(count):
            idle.append(socket.create_connection(server.address, 10))
        with server.connect(20) as connection:
            for n in range(50):
                assert connection.put(f"/f{n}", b"x").status == 200
        check_grown(server, before, 256 * MEBI)
        for one in random.sample(idle, 20):
            one.sendall(wire.encode_head("GET", "/f1", {}))
            assert one.recv(100).startswith(b"HTTP/1.1 200 ")
    finally:
        for one in idle:
            one.close()


def test_at_the_limit_the_longest_idle_connection_goes_first(own):
    server = own(env={"SKEIN_SERVER_CONNECTIONS": "8"})
    held = []
    for n in range(8):
        held.append(server.connect())
        assert held[-1].put(f"/f{n}", b"x").status == 200
        # A connection counts as idle a few milliseconds after its last reply.
        assert held[-1].stays_quiet(0.05)
    assert held[0].put("/again", b"x").status == 200
    assert held[0].stays_quiet(0.05)
    with server.connect() as newcomer:
        assert newcomer.get("/f1").body == b"x"
        closes_within(held[1], 5)
        assert held[0].get("/f1").body == b"x"
        assert held[7].get("/f1").body == b"x"
    for connection in held:
        connection.close()


def test_at_the_limit_with_all_busy_a_newcomer_hears_503_or_waits(own):
    server = own(env={"SKEIN_SERVER_CONNECTIONS": "4"})
    busy = [server.connect() for _ in range(4)]
    for n, connection in enumerate(busy):
        connection.send(wire.encode_head("PUT", f"/f{n}", {"Content-Length": 10}) + b"12345")
        # The server has this request in hand once it asks for nothing more: the bytes are gone.
        harness.eventually(lambda c=connection: c.unsent_bytes() == 0, 5)
    with server.connect() as newcomer:
        newcomer.send(wire.encode_head("GET", "/__status", {}))
        if wire.readable(newcomer.socket, 3):
            try:
                assert newcomer.reply().status in (200, 503)
            except wire.Closed:
                pass
        for connection in busy:
            try:
                connection.send(b"67890")
                assert connection.reply().status == 200
            except (wire.Closed, ConnectionError) as why:
                raise AssertionError("a connection in the middle of a PUT was closed") from why
            connection.close()
    assert len(server.names("/")) == 4


def test_random_bytes_are_survived(target, folder):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    words = [b"GET ", b"PUT ", b"HEAD ", folder.encode(), b"/", b" HTTP/1.1", b"\r\n", b"\r\n\r\n",
             b"Content-Length: ", b"5", b"99999999", b"Transfer-Encoding: chunked", b": ", b"\0",
             b"Range: bytes=", b"-", b",", b"If-None-Match: ", b'"', b"%2e%2e", b"%00", b"?", b"#",
             b"Content-Encoding: gzip", b"__stage/", b"__glob?pattern=", b"\xff\xfe", b"Expect: "]
    for _ in range(300 if not LONG else 20_000):
        if draw.random() < 0.3:
            data = draw.randbytes(draw.randrange(1, 5000))
        else:
            data = b"".join(draw.choice(words) for _ in range(draw.randrange(1, 60)))
        with target.connect() as connection:
            try:
                connection.send(data)
                connection.finish_sending()
                while connection.socket.recv(1 << 16):
                    pass
            except ConnectionError:
                pass
    assert target.get("/__status").status == 200


def test_mutations_of_good_requests_are_survived(target, folder):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    target.put(f"{folder}/a", b"x" * 1000)
    good = [wire.raw_put(f"{folder}/ä", b"body"), wire.encode_head("GET", f"{folder}/", {}),
            wire.encode_head("GET", f"{folder}/a", {"Range": "bytes=1-2,5-9"}),
            wire.encode_head("PUT", f"{folder}/c", {"Transfer-Encoding": "chunked"})
            + b"4\r\nwiki\r\n0\r\n\r\n"]
    for _ in range(300 if not LONG else 20_000):
        data = bytearray(b"".join(draw.choices(good, k=3)))
        for _ in range(draw.randrange(1, 5)):
            place = draw.randrange(len(data))
            kind = draw.randrange(3)
            if kind == 0:
                data[place] = draw.randrange(256)
            elif kind == 1:
                del data[place:place + draw.randrange(1, 20)]
            else:
                data[place:place] = draw.randbytes(draw.randrange(1, 20))
            if not data:
                break
        with target.connect() as connection:
            try:
                connection.send(bytes(data))
                connection.finish_sending()
                while connection.socket.recv(1 << 16):
                    pass
            except ConnectionError:
                pass
    assert target.get(f"{folder}/a").body == b"x" * 1000


@pytest.mark.time_limit(180)
def test_memory_does_not_grow_with_bodies(own):
    server = own()
    size = (1024 if LONG else 192) * MEBI
    piece = b"m" * MEBI
    before = resident_bytes(server)

    def upload(n):
        with server.connect(120) as connection:
            connection.send(wire.encode_head("PUT", f"/f{n}", {"Content-Length": size // 8}))
            for _ in range(size // 8 // MEBI):
                connection.send(piece)
                check_grown(server, before, 96 * MEBI)
            return connection.reply().status

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(upload, range(8))) == [200] * 8
    assert len(server.names("/")) == 8


def test_a_gzip_bomb_costs_no_memory(own):
    server = own(env={"SKEIN_SERVER_STALL_MS": "20000"})
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b"\0" * MEBI) for _ in range(128)) + packer.flush()
    before = resident_bytes(server)
    assert server.put("/a", packed, {"Content-Encoding": "gzip"}).status == 200
    check_grown(server, before, 48 * MEBI)
    assert server.names("/")["a"] == [0, 128 * MEBI]
