"""A client that reads as strictly as PYME's raw-socket writers do, or more so.

Every reply header line must hold ": " exactly once with a value behind it, a reply has a
Content-Length unless its status forbids a body, and nothing is chunked (docs/wire.md, "HTTP
rules"). A breach is an AssertionError that shows the line. $SKEIN_TEST_SLOW stretches deadlines.
"""
import fcntl
import os
import re
import select
import socket
import struct
import termios

SLOW = float(os.environ.get("SKEIN_TEST_SLOW", "1"))
MAX_HEADERS = 100
STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [!-~][ -~]*")


def readable(connection, seconds):
    """True if bytes or the end can be read from a socket within that time. Not select(2): it
    knows no descriptor above 1023."""
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(max(0, seconds) * 1000))


class Closed(Exception):
    """The server ended the connection where a reply was due."""


class Reply:
    """status, reason, headers (names in lower case), body, interim (statuses 1xx before it)."""

    def __init__(self, status, reason, headers, interim):
        self.status, self.reason, self.headers, self.interim = status, reason, headers, interim
        self.body = b""

    def __repr__(self):
        return f"Reply({self.status} {self.reason}, {self.headers}, {self.body[:200]!r})"


def encode_head(method, target, headers, host=True):
    """`target` is str (ASCII, escaped already) or raw bytes. `headers` values are str."""
    raw_target = target.encode("ascii") if isinstance(target, str) else target
    lines = [method.encode() + b" " + raw_target + b" HTTP/1.1"]
    if host:
        lines.append(b"Host: conformance")
    lines += [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def encode_put(target, body=b"", headers=None, host=True):
    return encode_head("PUT", target, {"Content-Length": len(body), **(headers or {})},
                       host) + body


def raw_put(target, body, last=False):
    """A PUT as PYME's put_files and Stream send it: no Host, a raw UTF-8 target."""
    return (b"PUT " + target.encode() + b" HTTP/1.1\r\nConnection: "
            + (b"close" if last else b"keep-alive")
            + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def parse_head(text, interim=()):
    """A reply's head without its empty line."""
    first, *lines = text.split(b"\r\n")
    match = STATUS_LINE.fullmatch(first)
    assert match, f"not a status line: {first!r}"
    assert len(lines) <= MAX_HEADERS, f"{len(lines)} header lines"
    headers = {}
    for line in lines:
        parts = line.split(b": ")
        assert len(parts) == 2 and parts[0] and parts[1].strip(), f"PYME dies of header {line!r}"
        name = parts[0].decode("ascii").lower()
        assert name not in headers, f"header twice: {line!r}"
        headers[name] = parts[1].decode("latin-1")
    status = int(match.group(1))
    reason = first.split(b" ", 2)[2].decode("ascii")
    return Reply(status, reason, headers, list(interim))


class Wire:
    """One connection. A context manager; closed with it."""

    def __init__(self, address, timeout=10):
        self.timeout = timeout * SLOW
        self.socket = socket.create_connection(address, self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes so that the server gets RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def finish_sending(self):
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data)

    def _receive(self):
        assert readable(self.socket, self.timeout), \
            f"no answer within {self.timeout:g} s; received so far {self.buffer[:200]!r}"
        try:
            piece = self.socket.recv(1 << 20)
        except ConnectionError as why:
            raise Closed(f"{why}; received before it: {bytes(self.buffer[:200])!r}") from None
        if not piece:
            raise Closed(f"closed; received before it: {bytes(self.buffer[:200])!r}")
        self.buffer += piece

    def _head(self, interim=()):
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            assert len(self.buffer) < 100_000, "a head without end"
            self._receive()
        head = bytes(self.buffer[:end])
        del self.buffer[:end + 4]
        return parse_head(head, interim)

    def reply(self, method="GET"):
        """The next reply, 1xx skipped. Raises Closed when the connection ends before or in it."""
        reply = self._head()
        while reply.status < 200:
            reply = self._head([*reply.interim, reply.status])
        assert "transfer-encoding" not in reply.headers, f"chunked reply: {reply}"
        if reply.status in (204, 304):
            assert reply.headers.get("content-length", "0") == "0" or reply.status == 304, reply
            return reply
        length = reply.headers.get("content-length", "")
        assert length.isdigit(), f"no Content-Length: {reply}"
        if method != "HEAD":
            reply.body = self.take(int(length))
        return reply

    def interim(self):
        """The next head, which has to be an interim one."""
        reply = self._head()
        assert reply.status < 200, reply
        return reply.status

    def take(self, size_bytes):
        while len(self.buffer) < size_bytes:
            self._receive()
        data = bytes(self.buffer[:size_bytes])
        del self.buffer[:size_bytes]
        return data

    def request(self, method, target, body=None, headers=None, host=True):
        fields = dict(headers or {})
        if body is not None:
            fields.setdefault("Content-Length", len(body))
        self.send(encode_head(method, target, fields, host) + (body or b""))
        return self.reply(method)

    def get(self, target, headers=None):
        return self.request("GET", target, None, headers)

    def put(self, target, body=b"", headers=None):
        return self.request("PUT", target, body, headers)

    def is_closed(self):
        """Waits for the server to close, and takes whatever bytes come before it as a failure."""
        assert not self.buffer, f"bytes after the reply: {bytes(self.buffer[:200])!r}"
        try:
            self._receive()
        except Closed:
            return True
        raise AssertionError(f"bytes in place of the end: {bytes(self.buffer[:200])!r}")

    def stays_quiet(self, seconds):
        """True if neither a byte nor the end arrives for that long."""
        return not self.buffer and not readable(self.socket, seconds)

    def unsent_bytes(self):
        """What the server's kernel has not acknowledged yet (SIOCOUTQ, tcp(7))."""
        return struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]
