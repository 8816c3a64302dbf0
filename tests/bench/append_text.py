"""Eight writers of 200-byte lines against a plain loop of open, append and close for every line.

The loop's eight processes append to one file of the same disk; for `--sync publish` each line is
flushed too. Skein's are `skein append` processes, which send what lines there are, and connections
that send one line per request, pipelined, the replies counted.
"""
import os
import socket
import subprocess
import threading
import time

from measure import BUILD, Workplace, rounds, skein_server

WRITERS = 8
LINE = b"x" * 199 + b"\n"
GOAL = 5
# Of one writer in one sample. A flush for each line takes milliseconds.
LINES = {("loop", "none"): 20_000, ("loop", "publish"): 60, ("append", "none"): 200_000,
         ("append", "publish"): 200_000, ("request", "none"): 10_000, ("request", "publish"): 10_000}

def timed(processes):
    if any(process.wait() for process in processes):
        raise SystemExit("a writer failed")


def loop(place, mode, count, turn):
    """Lines per second, counted from the moment when all writers start."""
    told = subprocess.run([BUILD / "tests/bench/bench-append-loop", place / f"loop-{mode}-{turn}.log",
                           str(WRITERS), str(count), mode], check=True, capture_output=True, text=True)
    return float(told.stdout)


def append(place, port, mode, count, turn):
    source = place / f"lines{count}"
    if not source.exists():
        source.write_bytes(LINE * count)
    environment = {**os.environ, "SKEIN_CONFIG": ""}
    timed([subprocess.Popen([BUILD / "tools/skein", "--node", f"http://127.0.0.1:{port}/", "append",
                             source, f"/_aggregate/append-{mode}-{turn}.log"], env=environment)
           for _ in range(WRITERS)])


def send_lines(port, path, count, failures):
    request = (f"PUT {path} HTTP/1.1\r\nHost: bench\r\n"
               f"Content-Length: {len(LINE)}\r\n\r\n").encode() + LINE
    batch = 100
    with socket.create_connection(("127.0.0.1", port)) as connection:
        sender = threading.Thread(
            target=lambda: [connection.sendall(request * batch) for _ in range(count // batch)])
        sender.start()
        done, rest = 0, b""
        while done < count:
            block = connection.recv(1 << 18)
            if not block:
                break
            block = rest + block
            done += block.count(b"HTTP/1.1 200 ")
            rest = block[-12:] if not block.endswith(b"HTTP/1.1 200 ") else b""
        sender.join()
        if done != count:
            failures.append(path)


def requests(port, mode, count, turn):
    failures = []
    path = f"/_aggregate/request-{mode}-{turn}.log"
    threads = [threading.Thread(target=send_lines, args=(port, path, count, failures))
               for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(f"appends to {failures[0]} were not all acknowledged")


def text(table, kind, shrink):
    with Workplace(kind) as place:
        servers = {}
        try:
            for mode in ("none", "publish"):
                (place / mode).mkdir()
                servers[mode] = skein_server(place / mode, place / "run", "--sync", mode)

            def sample(case, turn):
                how, mode = case
                count = max(LINES[case] // shrink // 100 * 100, 20)
                began = time.perf_counter()
                if how == "loop":
                    return loop(place, mode, count, turn)
                if how == "append":
                    append(place, servers[mode].port, mode, count, turn)
                else:
                    requests(servers[mode].port, mode, count, turn)
                return WRITERS * count / (time.perf_counter() - began)

            got = rounds(LINES, sample)
        finally:
            for server in servers.values():
                server.stop()
    for mode in ("none", "publish"):
        pair = {"skein": got["append", mode], "plain loop": got["loop", mode]}
        table.ratio(kind, f"8 x `skein append`, --sync {mode}", "lines/s", pair, "plain loop", GOAL)
        pair = {"skein": got["request", mode], "plain loop": got["loop", mode]}
        table.ratio(kind, f"8 connections, a request per line, --sync {mode}", "lines/s", pair,
                    "plain loop", None)
