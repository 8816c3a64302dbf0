"""PUT of `?MirrorSource=<url>`: the server fetches the file itself (docs/wire.md, "PUT").

Skein fetches from members of its own cluster, and from addresses that --mirror-from names.
"""
import gzip
import random
import socket
import threading
import time
import urllib.parse

import pytest
import wire

must = pytest.mark.must
BODY = random.Random(3).randbytes(3_000_000)


class Origin:
    """Answers every connection with the given bytes, then closes, or (stall) keeps it open."""

    def __init__(self, answer, stall=False):
        self.answer, self.stall = answer, stall
        self.requests = []
        self.kept = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/source"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(5)
            try:
                self.requests.append(connection.recv(65536))
                connection.sendall(self.answer)
            except OSError:
                continue
            if self.stall:
                self.kept.append(connection)
            else:
                connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.kept:
            connection.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def origin():
    made = []

    def make(*arguments, **options):
        made.append(Origin(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def mirror(target, name, url):
    return target.put(f"{name}?MirrorSource={urllib.parse.quote(url, safe='')}", b"")


@pytest.fixture
def pair(own):
    """Two servers of one cluster that know each other."""
    return own(advertise="local"), own(advertise="local")


@must
def test_a_file_of_a_member_is_copied(pair):
    first, second = pair
    first.put("/d/a%20b.bin", BODY)
    assert mirror(second, "/d/a%20b.bin", f"{first.url}/d/a%20b.bin").status == 200
    assert second.get("/d/a%20b.bin").body == BODY
    assert (second.root / "d/a b.bin").read_bytes() == BODY
    assert mirror(second, "/d/a%20b.bin", f"{first.url}/d/a%20b.bin").status == 405


@must
def test_a_source_url_may_come_unescaped(pair):
    """PYME's mirror_file quotes only what `requests` quotes in a query."""
    first, second = pair
    first.put("/a", b"x")
    assert second.put(f"/a?MirrorSource={first.url}/a", b"").status == 200
    assert second.get("/a").body == b"x"


def test_a_missing_source_stores_nothing(pair):
    first, second = pair
    reply = mirror(second, "/a", f"{first.url}/a")
    assert reply.status in (404, 502), reply
    assert second.get("/a").status == 404
    assert mirror(second, "/d", f"{first.url}/").status in (400, 404, 502)
    assert second.names("/") == {}


def test_a_stranger_is_no_source(own, origin):
    server = own(advertise="local")
    stranger = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert mirror(server, "/a", stranger.url).status == 403
    assert not stranger.requests, "the server asked an address that a request named"
    assert server.get("/a").status == 404


def test_a_member_of_another_cluster_is_a_stranger(own):
    server, other = own(advertise="local"), own(advertise="local", cluster="other")
    other.put("/a", b"x")
    assert mirror(server, "/a", f"{other.url}/a").status == 403


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "/a", "", "http://",
                                 "http://127.0.0.1:99999/a", "http://user:pw@127.0.0.1/a",
                                 "http://127.0.0.1:1/a", "gopher://127.0.0.1:70/_x",
                                 "http://[::1/a", "http://127.0.0.1:15348/a\r\nX: y"])
def test_a_url_that_is_no_members_is_refused(own, url):
    server = own(args=["--mirror-from", "10.9.8.7"])
    assert mirror(server, "/a", url).status in (400, 403)
    assert server.get("/a").status == 404 and server.names("/") == {}


def test_an_allowed_address_is_a_source(own, origin):
    server = own(args=["--mirror-from", "127.0.0.1"])
    source = origin(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    assert mirror(server, "/a", source.url).status == 200
    assert server.get("/a").body == b"hello"
    assert source.requests[0].startswith(b"GET /source HTTP/1.1\r\n")


BROKEN = {
    "404 page": b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nsorry",
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    "no HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "nothing": b"",
    "partial": b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\n"
               b"hello",
    "cut chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_stores_nothing(own, origin, case):
    server = own(args=["--mirror-from", "127.0.0.1"])
    reply = mirror(server, "/a", origin(BROKEN[case]).url)
    assert 400 <= reply.status < 600 and reply.status != 405, reply
    assert server.names("/") == {}
    assert server.put("/a", b"x").status == 200


def test_a_body_up_to_the_close_is_not_known_to_be_whole(own, origin):
    """Without a length a cut cannot be told from the end."""
    server = own(args=["--mirror-from", "127.0.0.1"])
    assert mirror(server, "/a", origin(b"HTTP/1.1 200 OK\r\n\r\nhello").url).status >= 400
    assert server.names("/") == {}


def test_a_packed_answer_is_stored_unpacked_or_refused(own, origin):
    packed = gzip.compress(b"hello")
    server = own(args=["--mirror-from", "127.0.0.1"])
    source = origin(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
                    + f"Content-Length: {len(packed)}\r\n\r\n".encode() + packed)
    if mirror(server, "/a", source.url).status == 200:
        assert server.get("/a").body == b"hello"
    else:
        assert server.names("/") == {}


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"])
def test_a_source_that_stalls_is_given_up(own, origin, answer):
    server = own(args=["--mirror-from", "127.0.0.1"],
                 env={"SKEIN_DEADLINE_MS": "1000", "SKEIN_SERVER_STALL_MS": "1000"})
    started = time.monotonic()
    reply = mirror(server, "/a", origin(answer, stall=True).url)
    assert reply.status in (502, 504), reply
    assert time.monotonic() - started < 8 * wire.SLOW
    assert server.names("/") == {}


def test_a_source_too_large_for_the_disk_is_507(own, origin):
    server = own(args=["--mirror-from", "127.0.0.1"])
    source = origin(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 60}\r\n\r\n".encode(), stall=True)
    assert mirror(server, "/a", source.url).status in (413, 507)
    assert server.names("/") == {}


def test_servers_that_mirror_from_each_other_do_not_lock_up(pair):
    first, second = pair
    for n in range(12):
        (first if n % 2 else second).put(f"/f{n}", BODY[:100_000])
    threads, statuses = [], {}

    def copy(n):
        to, source = (second, first) if n % 2 else (first, second)
        statuses[n] = mirror(to, f"/f{n}", f"{source.url}/f{n}").status

    for n in range(12):
        threads.append(threading.Thread(target=copy, args=(n,)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert set(statuses.values()) == {200} and len(statuses) == 12
    assert len(first.names("/")) == len(second.names("/")) == 12


def test_a_file_that_arrives_with_other_bytes_than_the_source_announced_is_not_stored(own, origin):
    def answer(digest):
        return (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nRepr-Digest: xxh3-64=:" + digest
                + b":\r\n\r\nabc")
    server = own(args=["--mirror-from", "127.0.0.1"])
    wrong = mirror(server, "/a", origin(answer(b"AAAAAAAAAAE=")).url)
    assert wrong.status == 502 and b"announced" in wrong.body
    assert server.get("/a").status == 404
    assert mirror(server, "/a", origin(answer(b"eK9flIkvOVA=")).url).status == 200
    assert server.get("/a").body == b"abc"
