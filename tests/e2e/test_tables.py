"""Tables and series in HDF5 files: appended over HTTP from many processes, read back with h5py and
PyTables (docs/wire.md, "Tables" and "Series in one file")."""
import concurrent.futures
import gzip
import http.client
import io
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import urllib.parse
import uuid
import warnings

import harness
import pytest

numpy = pytest.importorskip("numpy", reason="python3-tables is not installed")
tables = pytest.importorskip("tables", reason="python3-tables is not installed")
h5py = pytest.importorskip("h5py", reason="python3-h5py is not installed")

FAULTS = pathlib.Path(__file__).resolve().parents[1] / "faults"
# Where a checkout has data from real instruments beside it.
REAL_DATA = harness.REPOSITORY.parent / "shared" / "data"
FIT = numpy.dtype([("tIndex", "<i4"), ("fitResults", [("A", "<f4"), ("x0", "<f8")]),
                   ("name", "S8"), ("good", "?"), ("start", "<f4", (3,))])


@pytest.fixture
def server(table_server):
    return table_server


def fits(count, first=0):
    rows = numpy.zeros(count, FIT)
    rows["tIndex"] = numpy.arange(first, first + count)
    rows["fitResults"]["A"] = numpy.sqrt(rows["tIndex"])
    rows["fitResults"]["x0"] = rows["tIndex"] / 3
    rows["name"] = [b"n%d" % n for n in rows["tIndex"]]
    rows["good"] = rows["tIndex"] % 2 == 0
    rows["start"] = rows["tIndex"][:, None] + numpy.arange(3)
    return rows


def npy(rows):
    out = io.BytesIO()
    numpy.save(out, rows)
    return out.getvalue()


def send(url, target, bodies, headers=None):
    """In a process of its own: the statuses of appends over one connection."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    statuses = []
    for body in bodies:
        connection.request("PUT", target, body, headers or {})
        reply = connection.getresponse()
        reply.read()
        statuses.append(reply.status)
    return statuses


def send_from_processes(server, target, shares, headers=None):
    with concurrent.futures.ProcessPoolExecutor(len(shares)) as pool:
        sent = [pool.submit(send, server.url, target, share, headers) for share in shares]
        return [status for future in sent for status in future.result()]


def test_eight_processes_append_and_no_row_is_lost(server):
    shares = [[npy(fits(50, 1000 * writer + 50 * n)) for n in range(20)] for writer in range(8)]
    statuses = send_from_processes(server, "/__aggregate_h5r/a/r.h5r/FitResults", shares)
    assert statuses == [200] * 160
    wanted = numpy.concatenate([fits(1000, 1000 * writer) for writer in range(8)])
    with tables.open_file(server.root / "a/r.h5r") as file:
        got = file.root.FitResults[:]
        assert file.root.FitResults.filters.complevel == 5 and file.root.FitResults.filters.shuffle
        assert file.root.FitResults.attrs.NROWS == 8000
    assert got.dtype == FIT
    # Each append is in one piece.
    assert all((numpy.diff(got["tIndex"][at:at + 50]) == 1).all() for at in range(0, 8000, 50))
    assert numpy.array_equal(numpy.sort(got, order="tIndex"), wanted)
    with h5py.File(server.root / "a/r.h5r", "r") as file:
        assert numpy.array_equal(numpy.sort(file["FitResults"]["tIndex"]), wanted["tIndex"])
    # What a GET of the whole file gives can be opened too, and is known to be of this moment.
    reply = server.get("/a/r.h5r")
    assert reply.headers["ETag"].endswith('-grows"') and "Last-Modified" not in reply.headers
    (server.root.parent / "got.h5r").write_bytes(server.get("/a/r.h5r").body)
    with tables.open_file(server.root.parent / "got.h5r") as file:
        assert file.root.FitResults.nrows == 8000


def real_or_generated():
    """The table of localizations, with a column that tells rows apart."""
    if (REAL_DATA / "localizations.hdf").exists():
        with tables.open_file(REAL_DATA / "localizations.hdf") as file:
            rows = file.root.Localizations[:]
    else:
        random = numpy.random.default_rng(7)
        rows = numpy.zeros(4281, [(name, "<f4") for name in ("A", "x", "y", "z", "sig", "t")])
        for name in rows.dtype.names:
            rows[name] = random.normal(100, 30, len(rows))
    numbered = numpy.zeros(len(rows), [("index", "<i8")] + rows.dtype.descr)
    numbered["index"] = numpy.arange(len(rows))
    for name in rows.dtype.names:
        numbered[name] = rows[name]
    return numbered


@pytest.mark.parametrize("form", ["npy", "csv", "dumps"])
def test_localizations_in_a_hundred_pieces_from_eight_processes_are_the_same_table(server, form):
    rows = real_or_generated()
    target = f"/_aggregate/real/{form}.hdf/Localizations"
    headers = {}

    def as_csv(piece):
        lines = ["#" + ", ".join(piece.dtype.names)]
        lines += [", ".join(repr(value.item()) for value in row) for row in piece]
        return "\n".join(lines).encode()

    as_body = {"npy": npy, "csv": as_csv, "dumps": lambda piece: gzip.compress(piece.dumps())}[form]
    if form == "dumps":
        headers = {"Content-Encoding": "gzip"}
    pieces = numpy.array_split(rows, 100)
    if form == "csv":
        # A table of these types; text alone would make float64 of the columns.
        assert server.put(target, npy(pieces.pop(0))).status == 200
    bodies = [as_body(piece) for piece in pieces]
    statuses = send_from_processes(server, target, [bodies[n::8] for n in range(8)], headers)
    assert statuses == [200] * len(bodies)
    with tables.open_file(server.root / f"_aggregate/real/{form}.hdf") as file:
        got = file.root.Localizations[:]
    assert numpy.array_equal(numpy.sort(got, order="index"), rows)


def test_rows_of_another_type_are_409_and_change_nothing(server):
    target = "/__aggregate_h5r/s.h5r/T"
    assert server.put(target, npy(fits(3))).status == 200
    before = (server.root / "s.h5r").read_bytes()
    other = numpy.zeros(2, [("tIndex", "<f8")])
    for body in (npy(other), b"tIndex\n1\n", b'[{"tIndex":1}]', other.dumps()):
        reply = server.put(target, body)
        assert reply.status == 409, reply
        assert len(reply.body) > 20
    narrow = fits(2).astype([(n, FIT[n]) if n != "tIndex" else (n, "<i8") for n in FIT.names])
    reply = server.put(target, npy(narrow))
    assert reply.status == 409 and b"tIndex is int32 in the table, int64" in reply.body
    assert (server.root / "s.h5r").read_bytes() == before
    assert server.put(target, npy(fits(1))).status == 200


@pytest.mark.parametrize("body, status, says", [
    (pickle.dumps(eval, 2), 415, b"__builtin__.eval"),
    (b"cos\nsystem\n(S'touch /tmp/x'\ntR.", 415, b"os.system"),
    (pickle.dumps({"a": 1}), 415, b".npy"),
    (b"ARROW1\0\0", 415, b"Arrow"),
    (b"\xff\xff\xff\xff\x10\0\0\0", 415, b"Arrow"),
    (b"PAR1", 415, b"Parquet"),
    (b"\0\1\2\3", 415, b".npy"),
    (npy(numpy.zeros(3)), 415, b"named fields"),
    (npy(fits(3))[:-1], 400, b"length"),
    (b"", 400, b"no rows"),
    (b"[", 400, b"JSON"),
    (b"1,2\n", 400, b"columns"),
])
def test_what_is_no_rows_is_refused_and_makes_no_file(server, body, status, says):
    reply = server.put("/__aggregate_h5r/none.h5r/T", body)
    assert (reply.status, says in reply.body) == (status, True), reply
    assert not (server.root / "none.h5r").exists()
    assert server.put("/__aggregate_h5r/none.h5r", b"x\n1\n").status == 400
    assert server.put("/__aggregate_h5r/none.h5r/a/b", b"x\n1\n").status == 400


def test_slices_in_every_form_follow_python(server):
    rows = fits(10)
    assert server.put("/__aggregate_h5r/q.h5r/T", npy(rows)).status == 200
    for query, wanted in {"": rows, "?from=2&to=5": rows[2:5], "?from=-3": rows[-3:],
                          "?to=-8": rows[:-8], "?from=9&to=99": rows[9:99],
                          "?from=5&to=2": rows[5:2], "?from=10": rows[10:]}.items():
        got = numpy.load(io.BytesIO(server.get(f"/q.h5r/T.npy{query}").body))
        assert numpy.array_equal(got, wanted), query
        unpickled = pickle.loads(server.get(f"/q.h5r/T{query}").body)
        assert unpickled.dtype == FIT and numpy.array_equal(unpickled, wanted), query
        columns = json.loads(server.get(f"/q.h5r/T.json{query}").body)
        assert list(columns["fitResults_x0"].values()) == list(wanted["fitResults"]["x0"]), query
        assert list(columns["tIndex"]) == [str(n) for n in range(len(wanted))], query
        lines = server.get(f"/q.h5r/T.csv{query}").body.decode().splitlines()
        assert len(lines) == 1 + len(wanted), query
    assert server.get("/q.h5r/T.npy?from=x").status == 400
    assert server.get("/q.h5r/Nothing.json").body == b"{}"
    assert len(numpy.load(io.BytesIO(server.get("/q.h5r/Nothing.npy").body))) == 0
    assert len(pickle.loads(server.get("/q.h5r/Nothing").body)) == 0
    assert server.get("/none.h5r/T.json").status == 404
    assert server.get("/q.h5r/").status == 404


def test_metadata_is_merged_and_opens_in_pytables(server):
    assert server.put("/__aggregate_h5r/m.h5r/MetaData",
                      json.dumps({"Camera.Name": "Zyla", "Camera.Gain": 2.5, "n": 7, "on": True,
                                  "roi": [0, 1], "empty": ""}).encode()).status == 200
    assert server.put("/__aggregate_h5r/m.h5r/MetaData", b'{"n":8}').status == 200
    assert server.put("/__aggregate_h5r/m.h5r/MetaData", b'{"a..b":8}').status == 400
    assert json.loads(server.get("/m.h5r/Metadata").body) == {
        "Camera.Name": "Zyla", "Camera.Gain": 2.5, "n": 8, "on": True, "roi": [0, 1], "empty": ""}
    with tables.open_file(server.root / "m.h5r") as file:
        attributes = file.root.MetaData.Camera._v_attrs
        assert (attributes.Name, attributes.Gain) == ("Zyla", 2.5)
        assert file.root.MetaData._v_attrs.roi == [0, 1]
        assert file.root.MetaData._v_attrs.on


def test_events_come_as_a_pickled_list(server):
    events = [("start", "it began", 1.5), ("end", "\u00fcber", 2.0)]
    assert server.put("/__aggregate_h5r/e.h5r/Events", pickle.dumps(events, 2)).status == 200
    with tables.open_file(server.root / "e.h5r") as file:
        assert [row["EventName"] for row in file.root.Events] == [b"start", b"end"]
        assert file.root.Events[1]["EventDescr"].decode() == "\u00fcber"


def test_a_series_in_one_file_keeps_frames_events_and_metadata(server):
    frames = {n: b"BD" + os.urandom(1000 + n) for n in (5, 0, 123456)}
    for number, frame in frames.items():
        assert server.put(f"/__aggregate_h5/d/s.h5/frame{number:05}.pzf", frame).status == 200
    assert server.put("/__aggregate_h5/d/s.h5/frame00005.pzf", b"BDother").status == 405
    assert server.put("/__aggregate_h5/d/s.h5/metadata.json", b'{"SizeC":1}').status == 200
    assert server.put("/__aggregate_h5/d/s.h5/events.json", b'[["a","b",1.5]]').status == 200
    assert server.put("/__aggregate_h5/d/s.h5/final_metadata.json", b'{"End":2}').status == 200
    assert server.put("/__aggregate_h5/d/s.h5/other.bin", b"x").status == 404
    assert json.loads(server.get("/d/s.h5/").body) == {
        name: [0, 0] for name in ("metadata.json", "events.json", "frame00000.pzf",
                                  "frame00005.pzf", "frame123456.pzf")}
    for number, frame in frames.items():
        assert server.get(f"/d/s.h5/frame{number:05}.pzf").body == frame
    assert json.loads(server.get("/d/s.h5/metadata.json").body) == {"SizeC": 1, "End": 2}
    assert json.loads(server.get("/d/s.h5/events.json").body) == [["a", "b", 1.5]]
    for absent in ("frame00001.pzf", "x", "frame5.pzf"):
        assert server.get(f"/d/s.h5/{absent}").status == 404
    with tables.open_file(server.root / "d/s.h5") as file:
        index = file.root.PZFImageIndex[:]
        for number, frame in frames.items():
            assert file.root.PZFImageData[index["Position"][index["FrameNum"] == number][0]] == frame


def test_a_file_put_whole_takes_no_appends_and_a_directory_may_be_called_like_one(server):
    assert server.put("/__aggregate_h5r/g.h5r/T", npy(fits(2))).status == 200
    whole = server.get("/g.h5r").body
    assert server.put("/whole.h5r", whole).status == 200
    assert server.put("/__aggregate_h5r/whole.h5r/T", npy(fits(2))).status == 409
    assert server.get("/whole.h5r").body == whole
    assert len(numpy.load(io.BytesIO(server.get("/whole.h5r/T.npy").body))) == 2
    assert server.put("/series.h5/metadata.json", b"{}").status == 200
    assert server.get("/series.h5/metadata.json").body == b"{}"
    assert list(json.loads(server.get("/series.h5/").body)) == ["metadata.json"]
    assert server.put("/no.h5r", b"no HDF5").status == 200
    assert server.get("/no.h5r/T.npy").status == 415


def test_links_out_of_a_file_are_not_followed(server, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["T"] = fits(3)
    crafted = tmp_path / "crafted.h5r"
    with h5py.File(crafted, "w") as file:
        file["T"] = h5py.ExternalLink(str(secret), "/T")
        file["Soft"] = h5py.SoftLink("/T")
        file.create_dataset("Outside", (3,), numpy.dtype([("x", "i8")]),
                            external=[(str(secret), 0, 24)])
    assert server.put("/crafted.h5r", crafted.read_bytes()).status == 200
    for name in ("T", "Soft", "Outside"):
        assert server.get(f"/crafted.h5r/{name}.npy").status == 415, name


def test_a_sealed_table_takes_no_more_rows(server):
    assert server.put("/__aggregate_h5r/seal.h5r/T", npy(fits(2))).status == 200
    assert server.put("/__seal/seal.h5r", b"").status == 200
    assert (server.root / "seal.h5r").stat().st_mode & 0o777 == 0o440
    assert not server.get("/seal.h5r").headers["ETag"].endswith('-grows"')
    assert server.put("/__aggregate_h5r/seal.h5r/T", npy(fits(2))).status == 409
    assert len(numpy.load(io.BytesIO(server.get("/seal.h5r/T.npy").body))) == 2


def test_a_request_id_makes_an_append_count_once(server):
    request = {"Skein-Request-Id": str(uuid.uuid4())}

    def append(target):
        connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
        connection.request("PUT", target, npy(fits(2)), request)
        return harness.Reply(connection.getresponse())

    assert append("/__aggregate_h5r/i.h5r/T").status == 200
    again = append("/__aggregate_h5r/i.h5r/T")
    assert (again.status, again.headers["Skein-Repeated"]) == (200, "1")
    assert len(numpy.load(io.BytesIO(server.get("/i.h5r/T.npy").body))) == 2
    assert append("/__aggregate_h5r/elsewhere.h5r/T").status == 409


@pytest.mark.parametrize("target", ["/__aggregate_h5r/k.h5r/T", "/__aggregate_h5r/k.h5r/MetaData",
                                    "/__aggregate_h5/k.h5/frame00003.pzf"])
def test_a_request_id_is_known_after_kill_9(servers, tmp_path, target):
    body = {"T": npy(fits(2)), "MetaData": b'{"a":1}'}.get(target.rpartition("/")[2], b"BD frame")
    request = {"Skein-Request-Id": str(uuid.uuid4())}
    other = {"Skein-Request-Id": str(uuid.uuid4())}
    path = target.split("/")[2]
    server = servers(tmp_path / "root")
    first = server.put(target, body, request)
    if first.status == 501:
        pytest.skip("built without HDF5")
    assert (first.status, first.headers["Skein-Repeated"]) == (200, None)
    for end in (signal.SIGKILL, signal.SIGTERM):
        server.stop(sig=end)
        server = servers(tmp_path / "root")
        again = server.put(target, body, request)
        assert (again.status, again.headers["Skein-Repeated"]) == (200, "1")
    new = server.put(target, body, other)
    # A frame is there already; rows and metadata are taken.
    assert (new.status, new.headers["Skein-Repeated"]) == (405 if path == "k.h5" else 200, None)
    if target.endswith("/T"):
        assert len(numpy.load(io.BytesIO(server.get("/k.h5r/T.npy").body))) == 4


def test_the_request_ids_of_a_file_are_in_nobody_s_way(server):
    """They lie in the file, where PyTables hides them."""
    def append(target, body):
        reply = server.put(target, body, {"Skein-Request-Id": str(uuid.uuid4())})
        assert reply.status == 200, reply
    append("/__aggregate_h5r/n.h5r/T", npy(fits(2)))
    append("/__aggregate_h5r/n.h5r/MetaData", b'{"a":1}')
    append("/__aggregate_h5/n.h5/frame00000.pzf", b"BD x")
    assert list(json.loads(server.get("/n.h5/").body)) == ["metadata.json", "frame00000.pzf"]
    assert server.put("/__aggregate_h5r/n.h5r/_i_skein", b"x\n1\n").status == 400
    assert server.get("/n.h5r/_i_skein").status == 400
    assert server.put("/__seal/n.h5r", b"").status == 200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, nodes in (("n.h5r", {"/", "/T", "/MetaData"}),
                            ("n.h5", {"/", "/PZFImageData", "/PZFImageIndex"})):
            with tables.open_file(server.root / name) as file:
                assert {node._v_pathname for node in file.walk_nodes("/")} == nodes
        with h5py.File(server.root / "n.h5r") as file:
            assert file["_i_skein"].shape == (256, 24)
            assert len(file["T"]) == 2


@pytest.mark.parametrize("sync", ["none", "publish"])
def test_kill_9_tears_no_table(sync):
    """Short; tests/faults/table_crash.py by itself runs 100 rounds."""
    ended = subprocess.run([sys.executable, FAULTS / "table_crash.py", "--rounds", "5", "--sync", sync],
                           capture_output=True, text=True, timeout=110)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_one_node_owns_a_table_and_another_redirects_to_it(servers):
    first, second = servers(advertise="local"), servers(advertise="local")
    if first.put("/__aggregate_h5r/own.h5r/T", npy(fits(2))).status == 501:
        pytest.skip("built without HDF5")
    # The nodes find each other by the registry; until then the second one does not know.
    moved = harness.eventually(
        lambda: (reply := second.put("/__aggregate_h5r/own.h5r/T", npy(fits(2)))).status != 503
        and reply, 10, "the owner is known")
    assert moved.status == 307, moved
    assert moved.headers["Location"] == f"{first.url.rstrip('/')}/__aggregate_h5r/own.h5r/T"
    assert not (second.root / "own.h5r").exists()
    assert len(numpy.load(io.BytesIO(first.get("/own.h5r/T.npy").body))) == 2
