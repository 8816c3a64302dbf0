"""GET and HEAD of files and directories (docs/wire.md, "GET and HEAD")."""
import email.utils
import random

import pytest

must = pytest.mark.must


@must
def test_a_file_comes_back_with_length_and_last_modified(target, folder):
    body = bytes(range(256)) * 9
    assert target.put(f"{folder}/a.bin", body).status == 200
    reply = target.get(f"{folder}/a.bin")
    assert reply.status == 200 and reply.body == body
    assert email.utils.parsedate_to_datetime(reply.headers["last-modified"])


@must
@pytest.mark.parametrize("size", [0, 1, 4095, 65536, 1_000_003, 24 << 20])
def test_every_size_of_file_is_read_whole(target, folder, size):
    body = random.Random(size).randbytes(size)
    assert target.put(f"{folder}/{size}", body).status == 200
    reply = target.get(f"{folder}/{size}")
    assert reply.status == 200 and reply.body == body


@must
def test_head_has_the_headers_of_get_and_no_body(target, folder):
    target.put(f"{folder}/a.bin", b"12345")
    with target.connect() as connection:
        head = connection.request("HEAD", f"{folder}/a.bin")
        get = connection.get(f"{folder}/a.bin")
        assert head.status == get.status == 200 and get.body == b"12345"
        for name in ("content-length", "last-modified", "content-type", "etag", "accept-ranges"):
            assert head.headers.get(name) == get.headers.get(name), name


@must
def test_missing_names_are_404_and_the_connection_stays_usable(target, folder):
    target.put(f"{folder}/a.bin", b"12345")
    with target.connect() as connection:
        for missing in (f"{folder}/b.bin", f"{folder}/no/such/folder/", f"{folder}/a.bin/",
                        f"{folder}/a.bin/below"):
            reply = connection.get(missing)
            assert reply.status == 404, missing
            assert connection.request("HEAD", missing).status == 404, missing
        assert connection.get(f"{folder}/a.bin").body == b"12345"


def test_refusals_have_a_short_text_that_says_what_was_wrong(target, folder):
    reply = target.get(f"{folder}/missing")
    assert reply.status == 404 and 0 < len(reply.body) < 1000


@must
def test_a_directory_without_slash_redirects_and_keeps_the_query(target, folder):
    target.put(f"{folder}/a%20b/x", b"1")
    reply = target.get(f"{folder}/a%20b")
    assert reply.status == 301 and reply.body == b""
    assert reply.headers["location"].endswith(f"{folder}/a%20b/")
    asked = target.get(f"{folder}/a%20b?x=1&y=2")
    assert asked.status == 301 and asked.headers["location"].endswith("/a%20b/?x=1&y=2")


def test_a_redirect_does_not_lead_to_another_host(target, folder):
    """`Location: //x/` would; the path of the reply starts with one slash."""
    target.put(f"{folder}/d/x", b"1")
    reply = target.get(f"//{folder}/d")
    assert reply.status == 301 and not reply.headers["location"].startswith("//")


@must
def test_connection_close_is_answered_and_closed(target, folder):
    target.put(f"{folder}/a", b"x")
    with target.connect() as connection:
        assert connection.get(f"{folder}/a", {"Connection": "close"}).body == b"x"
        assert connection.is_closed()


@must
def test_http_1_0_is_answered_and_closed(target, folder):
    target.put(f"{folder}/a", b"x")
    with target.connect() as connection:
        connection.send(f"GET {folder}/a HTTP/1.0\r\n\r\n".encode())
        assert connection.reply().body == b"x"
        assert connection.is_closed()


def test_http_1_0_with_keep_alive_stays_open_and_says_so(target, folder):
    target.put(f"{folder}/a", b"x")
    with target.connect() as connection:
        for _ in range(2):
            connection.send(f"GET {folder}/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
            reply = connection.reply()
            assert reply.body == b"x"
            assert reply.headers["connection"].lower() == "keep-alive"


@must
@pytest.mark.parametrize("method", ["DELETE", "POST", "PATCH", "TRACE", "PROPFIND", "get", "X"])
def test_other_methods_are_501(target, folder, method):
    target.put(f"{folder}/a", b"x")
    with target.connect() as connection:
        assert connection.request(method, f"{folder}/a", b"12").status == 501
    assert target.get(f"{folder}/a").body == b"x"


def test_options_says_what_is_spoken(target):
    for asked in ("/", "*"):
        reply = target.request("OPTIONS", asked)
        assert reply.status in (200, 204), reply
        assert {"GET", "HEAD", "PUT"} <= set(reply.headers["allow"].replace(" ", "").split(","))


def test_a_connection_serves_a_thousand_requests_in_turn(target, folder):
    target.put(f"{folder}/a", b"x")
    with target.connect() as connection:
        for n in range(500):
            assert connection.get(f"{folder}/a").body == b"x"
            assert connection.get(f"{folder}/missing{n}").status == 404
