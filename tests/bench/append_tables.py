"""Appends of 1,000 rows to an HDF5 table over HTTP, beside a loop of PyTables or h5py that appends
the same rows to a local file and flushes after each: what a writer without a server does to know
its rows in the file."""
import http.client
import io
import multiprocessing
import time

from measure import Workplace, rounds, skein_server

ROWS = 1000
APPENDS = 100  # of one sample, per writer
WRITERS = (1, 8)
GOAL = 0.5  # of PyTables, in the issue that asked for tables


def localizations():
    """24 columns of float32, as in PYME's tables of localizations, with noise that packs badly."""
    import numpy
    random = numpy.random.default_rng(1)
    rows = numpy.zeros(ROWS, [(f"column{n}", "<f4") for n in range(24)])
    for n, name in enumerate(rows.dtype.names):
        # A third repeats, as coordinates do that are there raw and corrected.
        rows[name] = rows[f"column{n - 1}"] if n % 3 == 2 else random.normal(100, 30, ROWS)
    return rows


def to_pytables(path, rows, count):
    import tables
    with tables.open_file(path, "w") as file:
        table = file.create_table("/", "T", rows.dtype, expectedrows=500_000,
                                  filters=tables.Filters(5, shuffle=True))
        for _ in range(count):
            table.append(rows)
            table.flush()


def to_h5py(path, rows, count):
    import h5py
    with h5py.File(path, "w") as file:
        table = file.create_dataset("T", (0,), rows.dtype, maxshape=(None,), chunks=(1365,),
                                    shuffle=True, compression="gzip", compression_opts=5)
        for _ in range(count):
            table.resize((len(table) + len(rows),))
            table[-len(rows):] = rows
            file.flush()


def append(port, target, body, count):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(count):
        connection.request("PUT", target, body)
        reply = connection.getresponse()
        reply.read()
        if reply.status != 200:
            raise SystemExit(f"append: status {reply.status}")


def tables(table, kind, shrink):
    """Rows per second; `table` is measure.Table."""
    import numpy
    rows = localizations()
    body = io.BytesIO()
    numpy.save(body, rows)
    body = body.getvalue()
    count = max(10, APPENDS // shrink)
    with Workplace(kind) as place:
        servers = {}
        try:
            for mode in ("none", "publish"):
                (place / mode).mkdir()
                servers[mode] = skein_server(place / mode, place / "run", "--sync", mode)

            def over_http(mode, writers, turn):
                target = f"/__aggregate_h5r/w{writers}-{turn}.h5r/T"
                sharing = [multiprocessing.Process(target=append, args=(
                    servers[mode].port, target, body, count // writers)) for _ in range(writers)]
                for process in sharing:
                    process.start()
                for process in sharing:
                    process.join()
                if any(process.exitcode for process in sharing):
                    raise SystemExit("append: a writer failed")
                return count // writers * writers

            def sample(case, turn):
                began = time.monotonic()
                done = count
                if case in ("PyTables", "h5py"):
                    local = to_pytables if case == "PyTables" else to_h5py
                    local(place / f"{case}-{turn}.h5", rows, count)
                else:
                    done = over_http(*case, turn)
                return done * ROWS / (time.monotonic() - began)

            cases = ["PyTables", "h5py"] + [(mode, w) for mode in servers for w in WRITERS]
            got = rounds(cases, sample)
        finally:
            for server in servers.values():
                server.stop()
    for mode in servers:
        for writers in WRITERS:
            what = f"append 1,000 rows, --sync {mode}, {writers} writer{'s'[:writers > 1]}"
            for reference, goal in (("PyTables", GOAL), ("h5py", None)):
                pair = {"skein": got[mode, writers], reference: got[reference]}
                table.ratio(kind, what, "rows/s", pair, reference, goal)
