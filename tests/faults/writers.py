"""Writers for the fault tests: each file's bytes follow from its name, so that whatever is found
after a crash can be judged without a record of it; what was acknowledged is recorded at once."""
import array
import hashlib
import http.client
import itertools
import os
import random
import socket
import struct
import threading
import urllib.parse
import uuid


def size_of(name):
    """Sizes from empty to 3 MiB, most of them small, by name."""
    draw = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    kind = draw % 10
    if kind == 0:
        return 0
    if kind < 7:
        return draw // 16 % 70_000
    return draw // 16 % 3_000_000


def content_of(name, limit=3_000_000):
    return random.Random(name).randbytes(min(size_of(name), limit))


class Writer(threading.Thread):
    """Writes files until the server is gone. `acknowledged` holds the names the server vouched for."""

    def __init__(self, server, prefix, folders=5):
        super().__init__(daemon=True)
        self.server, self.prefix, self.folders = server, prefix, folders
        self.acknowledged = []
        self.problem = None

    def names(self):
        return (f"{self.prefix}/d{n % self.folders}/f{n:06d}" for n in range(1_000_000))

    def run(self):
        for name in self.names():
            try:
                if not self.write(name, content_of(name)):
                    return
            except (OSError, http.client.HTTPException):
                return  # the server died, as it should
            self.acknowledged.append(name)

    def expect(self, status, name):
        if status != 200:
            self.problem = f"{type(self).__name__}: {name} answered with {status}"
        return status == 200


class PutWriter(Writer):
    """One file after another on a kept connection."""

    connection = None

    def request(self, target, body):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=20)
        self.connection.request("PUT", target, body=body)
        reply = self.connection.getresponse()
        reply.read()
        return reply.status

    def write(self, name, body):
        return self.expect(self.request("/" + name, body), name)


class StageWriter(PutWriter):
    """Stage, then publish: acknowledged when published."""

    def write(self, name, body):
        stage = uuid.uuid4()
        return (self.expect(self.request(f"/__stage/{stage}/{name}", body), name)
                and self.expect(self.request(f"/__publish/{stage}/{name}", b""), name))


class MirrorWriter(PutWriter):
    """The server fetches each file itself, from a node that holds what fill() put there."""

    FILES = 150

    def __init__(self, server, prefix, source):
        super().__init__(server, prefix)
        self.source = source

    @classmethod
    def fill(cls, source, prefix):
        filler = cls(source, prefix, None)
        for name in filler.names():
            assert source.put("/" + name, content_of(name)).status == 200, name

    def names(self):
        return itertools.islice(super().names(), self.FILES)

    def write(self, name, body):
        url = urllib.parse.quote(f"{self.source.url}{name}", safe="")
        return self.expect(self.request(f"/{name}?MirrorSource={url}", b""), name)


class PipelineWriter(Writer):
    """Bursts of PUTs in one write, replies read after."""

    BURST = 20
    FIELDS = "Host: test\r\n"

    def run(self):
        try:
            with socket.create_connection((self.server.host, self.server.port), timeout=20) as s:
                replies = s.makefile("rb")
                for n in range(100_000):
                    names = [f"{self.prefix}/p{n:05d}.{k}" for k in range(self.BURST)]
                    burst = b""
                    for name in names:
                        body = expected(name)
                        burst += (f"PUT /{name} HTTP/1.1\r\n{self.FIELDS}"
                                  f"Content-Length: {len(body)}\r\n\r\n").encode() + body
                    s.sendall(burst)
                    for name in names:
                        status = replies.readline()
                        while replies.readline() not in (b"\r\n", b""):
                            pass
                        if not status:
                            return
                        if not self.expect(int(status.split()[1]), name):
                            return
                        self.acknowledged.append(name)
        except (OSError, IndexError):
            return


class RawWriter(PipelineWriter):
    """As PYME's writers: without Host its replies are held back for a second, seldom seen here."""

    FIELDS = ""


class LaneWriter(Writer):
    """Create, write through the passed descriptor, seal (core/lane.h)."""

    HEADER = struct.Struct("=IIQQ")
    MAGIC = 0x314C4B53
    CREATE, SEAL = 3, 4

    def __init__(self, server, prefix, lane):
        super().__init__(server, prefix)
        self.lane = lane
        self.socket = None

    def call(self, verb, stage, size, path):
        self.socket.send(self.HEADER.pack(self.MAGIC, verb, stage, size) + path.encode())
        data, control, _, _ = self.socket.recvmsg(8192, socket.CMSG_SPACE(4))
        if not data:
            raise OSError("lane closed")
        _, error, stage, _ = self.HEADER.unpack_from(data)
        fds = array.array("i")
        for level, kind, payload in control:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(payload[: len(payload) // 4 * 4])
        return error, stage, fds

    def write(self, name, body):
        if self.socket is None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket.settimeout(20)
            self.socket.connect(self.lane)
        error, stage, fds = self.call(self.CREATE, 0, 0, name)
        if error or not fds:
            self.problem = f"lane create of {name}: errno {error}"
            return False
        try:
            view = memoryview(body)
            while view:
                view = view[os.write(fds[0], view):]
        finally:
            os.close(fds[0])
        error, _, _ = self.call(self.SEAL, stage, len(body), name)
        if error:
            self.problem = f"lane seal of {name}: errno {error}"
        return error == 0


def expected(name):
    """The bytes a file of that name must have; pipelined ones are small."""
    return content_of(name, 20_000) if "/p" in name else content_of(name)


def judge(root, acknowledged):
    """Problems found in the folder: lost or wrong acknowledged files, visible partial ones."""
    problems = []
    seen = set()
    for folder, folders, files in os.walk(root):
        if folder == str(root) and ".skein" in folders:
            folders.remove(".skein")
        if folder == str(root) and "lost+found" in folders:
            folders.remove("lost+found")
        for file in files:
            path = os.path.join(folder, file)
            name = os.path.relpath(path, root)
            seen.add(name)
            with open(path, "rb") as f:
                data = f.read()
            if data != expected(name):
                state = "acknowledged" if name in acknowledged else "unacknowledged"
                problems.append(f"{name} ({state}): {len(data)} bytes of {len(expected(name))},"
                                " not what was sent")
    problems += [f"{name}: acknowledged and gone" for name in sorted(set(acknowledged) - seen)]
    return problems
