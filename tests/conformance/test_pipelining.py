"""What PYME's raw-socket writers do, and lose on other servers (docs/wire.md, "HTTP rules")."""
import json
import random
import threading

import harness
import pytest
import wire

must = pytest.mark.must
TINY_FILES = 80_000


def check_statuses(connection, count, status=200):
    for n in range(count):
        assert connection.reply().status == status, n


@must
def test_a_thousand_puts_in_one_write_are_stored_and_answered(target, folder):
    bodies = [bytes([n % 256]) * 100 for n in range(1000)]
    with target.connect() as connection:
        connection.send(b"".join(wire.raw_put(f"{folder}/f{n}", body, last=n == 999)
                                 for n, body in enumerate(bodies)))
        check_statuses(connection, 1000)
        assert connection.is_closed()
    assert len(target.names(f"{folder}/")) == 1000
    with target.connect() as connection:
        for n, body in enumerate(bodies):
            assert connection.get(f"{folder}/f{n}").body == body


@must
def test_replies_come_in_the_order_of_the_requests(target, folder):
    for n in range(50):
        target.put(f"{folder}/g{n}", str(n).encode() * (1 + n * 400))
    requests, wanted = [], []
    for n in range(200):
        kind = n % 4
        if kind == 0:
            requests.append(wire.raw_put(f"{folder}/p{n}", b"x" * n))
            wanted.append((200, b"", "PUT"))
        elif kind == 1:
            requests.append(wire.encode_head("GET", f"{folder}/g{n % 50}", {}))
            wanted.append((200, str(n % 50).encode() * (1 + n % 50 * 400), "GET"))
        elif kind == 2:
            requests.append(wire.encode_head("GET", f"{folder}/none{n}", {}))
            wanted.append((404, None, "GET"))
        else:
            requests.append(wire.encode_head("HEAD", f"{folder}/g{n % 50}", {}))
            wanted.append((200, b"", "HEAD"))
    with target.connect() as connection:
        connection.send(b"".join(requests))
        for n, (status, body, method) in enumerate(wanted):
            reply = connection.reply(method)
            assert reply.status == status and (body is None or reply.body == body), n


@must
def test_a_get_behind_a_put_sees_the_file(target, folder):
    with target.connect() as connection:
        connection.send(wire.encode_put(f"{folder}/a", b"new")
                        + wire.encode_head("GET", f"{folder}/a", {})
                        + wire.encode_put(f"{folder}/a", b"again")
                        + wire.encode_head("GET", f"{folder}/", {}))
        assert connection.reply().status == 200
        assert connection.reply().body == b"new"
        assert connection.reply().status == 405
        assert json.loads(connection.reply().body) == {"a": [0, 3]}


@must
def test_requests_that_arrive_byte_by_byte_are_the_same_requests(target, folder):
    data = wire.raw_put(f"{folder}/ä", b"abc") + wire.encode_head("GET", f"{folder}/", {})
    with target.connect() as connection:
        for n in range(len(data)):
            connection.send(data[n:n + 1])
        assert connection.reply().status == 200
        assert json.loads(connection.reply().body) == {"ä": [0, 3]}


@must
def test_cuts_at_any_place_do_not_change_a_burst(target, folder):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    bodies = [draw.randbytes(draw.choice([0, 1, 100, 5000, 70_000, 300_000])) for _ in range(60)]
    data = b"".join((wire.raw_put if n < 59 else wire.encode_put)(f"{folder}/f{n}", body)
                    for n, body in enumerate(bodies))
    with target.connect() as connection:
        while data:
            size = draw.choice([1, 7, 500, 4096, 65_536, 200_000])
            connection.send(data[:size])
            data = data[size:]
        check_statuses(connection, len(bodies))
        for n, body in enumerate(bodies):
            assert connection.get(f"{folder}/f{n}").body == body, n


@must
@pytest.mark.time_limit(240)
def test_80000_puts_are_taken_before_the_first_reply_is_read(target, folder):
    with target.connect(120) as connection:
        for start in range(0, TINY_FILES, 1000):
            connection.send(b"".join(wire.raw_put(f"{folder}/d{n // 8000}/f{n}", b"x",
                                                  last=n == TINY_FILES - 1)
                                     for n in range(start, start + 1000)))
        check_statuses(connection, TINY_FILES)
    stored = [len(target.names(f"{folder}/d{n}/")) for n in range(TINY_FILES // 8000)]
    assert sum(stored) == TINY_FILES


@must
def test_a_client_that_resets_with_replies_unread_loses_no_request(target, folder):
    """PYME's Stream.close(): everything is sent and in the server's kernel, and the closing makes an
    RST."""
    check_a_reset_behind_a_burst(target, folder, lambda _: None)


def test_a_writer_that_paused_so_long_that_it_was_answered_loses_no_request(own, folder):
    """The same with a reply unread, from a server that does not wait long before it answers."""
    def is_answered(connection):
        assert wire.readable(connection.socket, 30), "no reply to the first"

    check_a_reset_behind_a_burst(own(env={"SKEIN_SERVER_STALL_MS": "3000"}), folder, is_answered)


def check_a_reset_behind_a_burst(target, folder, wait_for_first):
    count = 3000
    with target.connect() as connection:
        connection.send(wire.raw_put(f"{folder}/first", b"x"))
        harness.eventually(lambda: "first" in target.names(f"{folder}/"), 30, "the first file")
        wait_for_first(connection)
        connection.send(b"".join(wire.raw_put(f"{folder}/f{n}", b"y" * 700) for n in range(count)))
        harness.eventually(lambda: connection.unsent_bytes() == 0, 30, "everything received")
        connection.reset()
    harness.eventually(lambda: len(target.names(f"{folder}/")) == count + 1, 60,
                       f"{count + 1} files; {len(target.names(f'{folder}/'))} of them are there")


@must
def test_resets_at_once_after_the_last_acknowledged_byte(target, folder):
    """The same, many times, with what a camera sends: a few larger frames and a small last file."""
    for attempt in range(20):
        name = f"{folder}/s{attempt}"
        with target.connect() as connection:
            connection.send(b"".join(wire.raw_put(f"{name}/f{n}", b"z" * 60_000)
                                     for n in range(8)))
            connection.send(wire.raw_put(f"{name}/events.json", b"[]"))
            harness.eventually(lambda: connection.unsent_bytes() == 0, 30, "everything received")
            connection.reset()
        harness.eventually(lambda: len(target.names(f"{name}/")) == 9, 60,
                           f"attempt {attempt}: {sorted(target.names(f'{name}/'))}")


@must
def test_a_half_closed_connection_gets_all_its_replies(target, folder):
    with target.connect() as connection:
        connection.send(b"".join(wire.raw_put(f"{folder}/f{n}", b"x" * 1000) for n in range(300)))
        connection.finish_sending()
        check_statuses(connection, 300)
        assert connection.is_closed()


@must
def test_an_idle_connection_stays_open(own, tmp_path):
    """Far longer than a request may stall: Stream keeps one socket for a whole acquisition."""
    server = own(env={"SKEIN_SERVER_STALL_MS": "400"})
    with server.connect() as connection:
        assert connection.stays_quiet(1.5)
        assert connection.put("/a", b"x").status == 200
        assert connection.stays_quiet(1.5)
        assert connection.put("/b", b"x").status == 200


@must
def test_eight_writers_with_bursts_do_not_mix(target, folder):
    failures = []

    def write(writer):
        try:
            with target.connect(60) as connection:
                for burst in range(5):
                    connection.send(b"".join(
                        (wire.raw_put if n < 99 else wire.encode_put)(
                            f"{folder}/w{writer}-{burst}-{n}", f"{writer}.{n}".encode())
                        for n in range(100)))
                    check_statuses(connection, 100)
        except Exception as why:  # shown in the test's own thread
            failures.append(why)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert not failures, failures
    names = target.names(f"{folder}/")
    assert len(names) == 4000
    with target.connect() as connection:
        for n in range(0, 100, 9):
            assert connection.get(f"{folder}/w3-2-{n}").body == f"3.{n}".encode()
