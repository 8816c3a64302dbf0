"""Growing text files: many writers, one owner, the tools."""
import concurrent.futures
import json
import os
import random
import subprocess
import sys
import textwrap
import time
import uuid

import pytest

import harness
from harness import eventually, skein

WRITERS = 64
# The figure is 1,000,000 records; $SKEIN_APPEND_RECORDS=1000000 asks for it.
RECORDS = int(os.environ.get("SKEIN_APPEND_RECORDS", "6400"))

# One writer process: appends `count` lines on a connection of its own, each checked by its reply.
WRITER = textwrap.dedent("""
    import http.client, sys
    host, port, writer, count, path = sys.argv[1:]
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    for n in range(int(count)):
        line = f"writer {writer} record {n} " + "x" * (int(writer) * 7 % 150) + "\\n"
        connection.request("PUT" if n % 2 else "POST", path, line.encode())
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200, (reply.status, n)
""")


def check_lines(content, writers, count):
    lines = content.decode().split("\n")
    assert lines.pop() == ""
    seen = {}
    for line in lines:
        word, writer, record, number, filler = line.split(" ")
        assert (word, record) == ("writer", "record")
        assert filler == "x" * (int(writer) * 7 % 150), line
        # Of one writer they are in order, because it waited for each reply.
        assert int(number) == seen.get(writer, 0), line
        seen[writer] = int(number) + 1
    assert seen == {str(writer): count for writer in range(writers)}


@pytest.mark.time_limit(max(60, RECORDS // 1000))
@pytest.mark.parametrize("sync", ["none", "publish"])
def test_lines_of_64_writers_are_whole_and_none_is_lost(servers, sync):
    server = servers(args=["--sync", sync])
    count = RECORDS // WRITERS
    began = time.monotonic()
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, server.host, str(server.port),
                                   str(writer), str(count), "/_aggregate/all.log"])
                 for writer in range(WRITERS)]
    assert [process.wait(timeout=RECORDS + 600) for process in processes] == [0] * WRITERS
    spent_s = time.monotonic() - began
    print(f"{WRITERS} processes, {count * WRITERS} records, --sync {sync}: {spent_s:.1f} s")
    check_lines(server.get("/_aggregate/all.log", timeout=60).body, WRITERS, count)


def registered(servers, count):
    """Servers of one cluster that know each other."""
    started = [servers(advertise="local") for _ in range(count)]
    return started


def holders(servers, path):
    return [server for server in servers if (server.root / path).exists()]


def test_whichever_server_is_asked_there_is_one_file(servers):
    nodes = registered(servers, 3)
    first = nodes[0].put("/_aggregate/a.log", b"one\n")
    assert first.status == 200, first
    for other in nodes[1:]:
        moved = other.put("/_aggregate/a.log", b"two\n")
        assert moved.status == 307, moved
        assert moved.headers["Location"] == f"{nodes[0].url.rstrip('/')}/_aggregate/a.log"
        assert moved.headers["Skein-Owner"] == nodes[0].id
    # curl follows with the body.
    subprocess.run(["curl", "-sSfL", "--data-binary", "@-", f"{nodes[2].url}_aggregate/a.log"],
                   input=b"three\n", check=True, timeout=20)
    assert nodes[0].get("/_aggregate/a.log").body == b"one\nthree\n"
    assert holders(nodes, "_aggregate/a.log") == [nodes[0]]
    sealed = nodes[1].put("/__seal/_aggregate/a.log")
    assert sealed.status == 307, sealed


def test_first_appends_that_race_at_all_servers_make_one_file_each(servers):
    nodes = registered(servers, 3)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    nodes[0].put("/_aggregate/warm.log", b"")

    def first(job):
        node, path = job
        for _ in range(20):
            reply = node.put(path, b"line\n", timeout=20)
            if reply.status == 307:
                node = next(one for one in nodes if one.id == reply.headers["Skein-Owner"])
            elif reply.status != 503:
                return reply.status
        return reply.status

    paths = [f"/_aggregate/race{n}.log" for n in range(20)]
    jobs = [(node, path) for path in paths for node in nodes for _ in range(2)]
    chance.shuffle(jobs)
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        assert set(pool.map(first, jobs)) == {200}
    for path in paths:
        with_it = holders(nodes, path[1:])
        assert len(with_it) == 1, path
        assert with_it[0].get(path).body == b"line\n" * 6


@pytest.mark.allow_errors
def test_an_owner_that_is_down_is_an_error_and_nothing_is_started_elsewhere(servers):
    nodes = registered(servers, 2)
    assert nodes[0].put("/_aggregate/a.log", b"one\n").status == 200
    assert nodes[1].put("/_aggregate/a.log", b"two\n").status == 307
    root, port = nodes[0].root, nodes[0].port
    nodes[0].kill()

    def refused():
        reply = nodes[1].put("/_aggregate/a.log", b"two\n")
        return reply if reply.status == 503 else None

    reply = eventually(refused, 10, "503 for the owner that is down")
    assert nodes[0].id.encode() in reply.body
    # The memory of owners survives the one who has it.
    nodes[1].stop()
    other = servers(root=nodes[1].root, advertise="local")
    assert other.put("/_aggregate/a.log", b"two\n").status == 503
    told = skein("append", "/_aggregate/a.log", nodes=[other], input="two\n")
    assert told.returncode == 1
    assert not (other.root / "_aggregate" / "a.log").exists()
    # It comes back under another address.
    back = servers(root=root, advertise="local")
    assert back.port != port
    eventually(lambda: other.put("/_aggregate/a.log", b"x").status == 307, 10, "the owner is back")
    assert back.put("/_aggregate/a.log", b"two\n").status == 200
    assert back.get("/_aggregate/a.log").body == b"one\ntwo\n"


def test_skein_append_keeps_lines_whole_and_finds_the_owner(servers, tmp_path):
    nodes = registered(servers, 2)
    lines = [f"line {n}\n" for n in range(5000)]
    (tmp_path / "half").write_text("".join(lines[:2500]))
    first = skein("append", str(tmp_path / "half"), "/_aggregate/run.log", "--json", nodes=nodes)
    assert first.returncode == 0, first
    told = json.loads(first.stdout)
    assert told["ok"] and told["bytes"] == len("".join(lines[:2500]))
    # A process of its own that knows nothing yet, from standard input, in both spellings.
    half = "".join(lines[2500:4000])
    assert skein("append", "-", "/_aggregate/run.log", nodes=nodes, input=half).returncode == 0
    rest = "".join(lines[4000:])
    assert skein("append", "/_aggregate/run.log", nodes=nodes, input=rest).returncode == 0
    assert len(holders(nodes, "_aggregate/run.log")) == 1
    shown = skein("cat", "/_aggregate/run.log", nodes=nodes)
    assert shown.stdout == "".join(lines)
    assert skein("seal", "/_aggregate/run.log", nodes=nodes).returncode == 0
    assert skein("seal", "/_aggregate/run.log", nodes=nodes).returncode == 0
    refused = skein("append", "/_aggregate/run.log", nodes=nodes, input="more\n")
    assert refused.returncode == 1 and "sealed" in refused.stderr
    assert skein("seal", "/_aggregate/none.log", nodes=nodes).returncode == 1


def test_skein_append_says_what_cannot_be(servers):
    node = servers()
    assert skein("append", "/_aggregate/a.bin", nodes=[node], input="x").returncode == 2
    assert skein("append", "/_aggregate/", nodes=[node], input="x").returncode == 2
    assert skein("append", "/missing/source", "/_aggregate/a.log", nodes=[node]).returncode == 1
    node.put("/plain.txt", b"put\n")
    refused = skein("append", "/plain.txt", nodes=[node], input="x\n")
    assert refused.returncode == 1 and "does not grow" in refused.stderr
    assert node.get("/plain.txt").body == b"put\n"


@pytest.mark.parametrize("path, body", [("/_aggregate/a.log", b"once\n"),
                                        ("/_aggregate/a.h5r/T", b"x\n1\n")])
def test_one_request_id_sent_by_eight_at_once_is_carried_out_once(servers, path, body):
    node = servers()
    if node.put(path, body).status == 501:
        pytest.skip("built without HDF5")
    turns = 20
    for _ in range(turns):
        request = {"Skein-Request-Id": str(uuid.uuid4())}
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: node.put(path, body, request, timeout=60), range(8)))
        assert [reply.status for reply in replies] == [200] * 8, replies
        assert sum("Skein-Repeated" in reply.headers for reply in replies) == 7
    content = node.get(path + (".csv" if "h5r" in path else "")).body
    assert content.count(b"\n") == turns + 1 + ("h5r" in path)
