"""HDF5 files that somebody put: read by a process of their own, which may end as it likes."""
import http.client
import io
import json
import os
import pathlib
import random
import signal
import threading
import uuid

import pytest

from harness import eventually

numpy = pytest.importorskip("numpy", reason="python3-numpy is not installed")
h5py = pytest.importorskip("h5py", reason="python3-h5py is not installed")

ROWS = 2000


@pytest.fixture
def server(table_server):
    return table_server


def rows(count=ROWS):
    made = numpy.zeros(count, [("x", "<f8"), ("y", "<f4"), ("n", "<i8"), ("name", "S8")])
    made["x"] = numpy.arange(count) / 3
    made["n"] = numpy.arange(count)
    made["name"] = b"name"
    return made


def container(made, **options):
    """An HDF5 file as bytes, with a table T, metadata, and frames of a series."""
    place = io.BytesIO()
    with h5py.File(place, "w", **options) as file:
        file.create_dataset("T", data=made, chunks=(256,), maxshape=(None,), compression="gzip",
                            shuffle=True)
        group = file.create_group("MetaData/Camera")
        group.attrs["Gain"] = 3
        frames = file.create_dataset("PZFImageData", (3,), h5py.vlen_dtype(numpy.uint8))
        for n in range(3):
            frames[n] = numpy.frombuffer(b"frame %d" % n, numpy.uint8)
    return place.getvalue()


PARTS = ("T.npy", "T.json?to=5", "T.csv?from=-5", "T", "Metadata.json", "Events", "none.npy")
MEMBERS = ("", "metadata.json", "events.json", "frame00001.pzf", "frame00009.pzf")


def test_what_was_put_reads_as_what_grew(server):
    made = rows()
    body = container(made)
    assert server.put("/put.h5r", body).status == 200 and server.put("/put.h5", body).status == 200
    grown = io.BytesIO()
    numpy.save(grown, made)
    assert server.put("/__aggregate_h5r/grown.h5r/T", grown.getvalue()).status == 200
    assert server.put("/__aggregate_h5r/grown.h5r/MetaData", b'{"Camera.Gain": 3}').status == 200
    for sealed in (False, True):
        for part in PARTS:
            ours, theirs = server.get(f"/grown.h5r/{part}"), server.get(f"/put.h5r/{part}")
            assert ours.status == theirs.status == 200, (part, ours, theirs)
            assert ours.body == theirs.body, part
            assert ours.headers["Content-Type"] == theirs.headers["Content-Type"], part
        assert sealed or server.put("/__seal/grown.h5r").status == 200
    assert (numpy.load(io.BytesIO(server.get("/put.h5r/T.npy").body)) == made).all()
    assert "frame00001.pzf" in json.loads(server.get("/put.h5/").body)
    assert server.get("/put.h5/frame00001.pzf").body == b"frame 1"
    assert server.get("/put.h5/frame00009.pzf").status == 404
    assert server.get("/put.h5r/T.npy?from=x").status == 400
    # By HEAD and in ranges of requests on one connection as all else.
    assert server.request("HEAD", "/put.h5r/T.npy").headers["Content-Length"] == \
        server.get("/put.h5r/T.npy").headers["Content-Length"]


@pytest.mark.allow_errors
def test_damaged_files_are_refused_and_the_server_goes_on(server):
    """Seeded damage, mostly where HDF5 keeps how the file is built."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    whole = container(rows(300))
    statuses = set()
    for turn in range(40):
        body = bytearray(whole)
        if turn % 8 == 0:
            del body[chance.randrange(len(body)):]
        for _ in range(chance.choice([1, 3, 30])):
            if body:
                at = chance.choice([chance.randrange(len(body)),
                                    chance.randrange(min(len(body), 4096))])
                body[at] = chance.choice([0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)])
        for name, part in ((f"d{turn}.h5r", chance.choice(PARTS)),
                           (f"d{turn}.h5", chance.choice(MEMBERS))):
            assert server.put(f"/{name}", bytes(body)).status == 200
            reply = server.get(f"/{name}/{part}", timeout=60)
            # Whole by chance; no such member or table; refused, with a sentence.
            assert reply.status in (200, 404, 413, 415, 500), (turn, name, part, reply)
            assert reply.status in (200, 404) or reply.body.strip(), (turn, name, part)
            statuses.add(reply.status)
    assert 415 in statuses and 200 in statuses, statuses
    assert server.put("/__aggregate_h5r/grows.h5r/T", b"x\n2\n").status == 200
    assert server.get("/grows.h5r/T.csv").body.count(b"\n") == 3


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def readers(server):
    """The processes that read foreign files for this server."""
    found = []
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        try:
            found += [int(pid) for pid in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return [pid for pid in found if b"table-reader" in command_of(pid)]


def ask(server, replies):
    try:
        replies.append(server.get("/large.h5r/T.json", timeout=90))
    except (OSError, http.client.HTTPException) as error:
        replies.append(error)


def struck(server, *signals):
    """What a request is told whose reader gets the signals; it may be too fast a few times."""
    for _ in range(20):
        replies = []
        asking = threading.Thread(target=ask, args=(server, replies))
        asking.start()
        try:
            for pid in eventually(lambda: readers(server), 30, "a process reads the file"):
                for one in signals:
                    os.kill(pid, one)
                    # Tables that grow are not held up meanwhile.
                    assert server.put("/__aggregate_h5r/grows.h5r/T", b"x\n2\n").status == 200
        except ProcessLookupError:
            pass
        asking.join(120)
        if replies[0].status != 200:
            return replies[0]
    raise AssertionError("each reader was too fast")


@pytest.mark.allow_errors
def test_a_reader_that_crashes_or_hangs_costs_one_request(server):
    """What a file could make libhdf5 do to its process, done by signals that no sanitizer handles."""
    assert server.put("/large.h5r", container(rows(500_000))).status == 200
    crashed = struck(server, signal.SIGABRT)
    assert crashed.status == 415 and b"signal 6" in crashed.body, crashed.body
    killed = struck(server, signal.SIGSTOP, signal.SIGKILL)
    assert killed.status == 415 and b"signal 9" in killed.body, killed.body
    assert not readers(server)
    assert server.get("/large.h5r/T.csv?to=3").status == 200


@pytest.mark.allow_errors
def test_a_server_that_is_killed_takes_its_readers_with_it(server):
    assert server.put("/large.h5r", container(rows(500_000))).status == 200
    replies = []
    asking = threading.Thread(target=ask, args=(server, replies))
    asking.start()
    mine = eventually(lambda: readers(server), 30, "a process reads the file")
    server.kill()
    asking.join(120)
    eventually(lambda: not any(b"table-reader" in command_of(pid) for pid in mine), 20,
               "the readers ended")


def test_more_rows_than_a_reply_may_have_are_413_whatever_the_file_promises(server):
    place = io.BytesIO()
    with h5py.File(place, "w") as file:
        # Nothing of it is in the file.
        file.create_dataset("T", (1 << 40,), [("x", "<f8")], chunks=(1 << 20,), maxshape=(None,))
    assert server.put("/promises.h5r", place.getvalue()).status == 200
    assert server.get("/promises.h5r/T.npy").status == 413
    few = server.get("/promises.h5r/T.npy?from=-3")
    assert few.status == 200 and len(numpy.load(io.BytesIO(few.body))) == 3


def where_ids_lie(file, how):
    """Something else than a server keeps in /_i_skein."""
    if how == "another shape":
        file["_i_skein"] = numpy.zeros((7, 24), numpy.uint8)
    elif how == "another type":
        file["_i_skein"] = numpy.zeros((256, 24))
    elif how == "a group":
        file.create_group("_i_skein")
    elif how == "a link":
        file["_i_skein"] = h5py.SoftLink("/T")
    else:
        file["_i_skein"] = "text"


@pytest.mark.parametrize("how", ["another shape", "another type", "a group", "a link", "a text"])
def test_where_request_ids_cannot_be_kept_an_append_with_one_changes_nothing(server, how):
    path = server.root / "by-hand.h5r"
    path.write_bytes(container(rows(5)))
    with h5py.File(path, "a") as file:
        where_ids_lie(file, how)
    path.chmod(0o644)
    before = path.read_bytes()
    more = io.BytesIO()
    numpy.save(more, rows(2))
    target = "/__aggregate_h5r/by-hand.h5r/T"
    refused = server.put(target, more.getvalue(), {"Skein-Request-Id": str(uuid.uuid4())})
    assert refused.status == 415 and b"_i_skein" in refused.body, refused
    assert path.read_bytes() == before
    assert server.put(target, more.getvalue()).status == 200
    assert len(numpy.load(io.BytesIO(server.get("/by-hand.h5r/T.npy").body))) == 7
    assert server.put("/__aggregate_h5r/by-hand.h5r/_i_skein", more.getvalue()).status == 400
    # What somebody else put there is not touched.
    assert server.put("/__seal/by-hand.h5r").status == 200
    with h5py.File(path) as file:
        assert "_i_skein" in file and len(file["T"]) == 7
