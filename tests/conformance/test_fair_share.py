"""What one client may take from the others: threads, the reserve of free space, time."""
import shutil
import threading
import zlib

import wire


def test_uploads_in_crumbs_hold_no_thread(own):
    """As many slow senders as there are threads, and more, never pausing long enough to be put by."""
    server = own(args=["--threads", "2"])
    server.put("/a", b"here")
    ended = threading.Event()
    connections = [server.connect() for _ in range(6)]

    def trickle(number, connection):
        connection.send(wire.encode_head("PUT", f"/slow{number}", {"Content-Length": 1_000_000}))
        # The pace is the attack: well below the pause that the server waits for.
        while not ended.wait(0.001):
            connection.send(b"x")

    threads = [threading.Thread(target=trickle, args=pair, daemon=True)
               for pair in enumerate(connections)]
    try:
        for thread in threads:
            thread.start()
        for _ in range(20):
            with server.connect(timeout=2) as other:
                assert other.get("/a").body == b"here"
    finally:
        ended.set()
        for thread in threads:
            thread.join(10)
        for connection in connections:
            connection.close()


def test_a_body_that_unpacks_to_more_leaves_the_reserve_alone(own, tmp_path):
    packer = zlib.compressobj(1, wbits=31)
    zeros = bytes(1 << 20)
    packed = b"".join(packer.compress(zeros) for _ in range(600)) + packer.flush()
    free = shutil.disk_usage(tmp_path).free
    server = own(args=["--reserve-bytes", str(free - (100 << 20))])
    with server.connect(timeout=30) as connection:
        refused = connection.put("/big", packed, {"Content-Encoding": "gzip"})
        assert refused.status == 507 and b"no space" in refused.body
        assert connection.get("/big").status == 404
        assert connection.put("/small", b"x").status == 200
    assert not list((server.root / ".skein/stage").iterdir())


def test_a_pattern_of_many_stars_is_answered_at_once(target, folder):
    target.put(f"{folder}/{'a' * 250}", b"x")
    stars = "*a" * 100
    with target.connect(timeout=5) as connection:
        assert connection.get(f"/__glob?pattern={folder[1:]}/{stars}b").body == b"[]"


def test_a_symlink_made_by_hand_does_not_reach_the_private_folder(own):
    server = own()
    (server.root / "a").symlink_to(".")
    (server.root / "b").symlink_to(".skein")
    server.put("/plain", b"x")
    assert server.get("/a/plain").body == b"x"
    for name in ("/a/.skein/node-id", "/b/node-id"):
        assert server.get(name).status == 403
    for name in ("/a/.skein/new", "/b/new", "/b/stage/new"):
        assert server.put(name, b"x").status in (403, 405)
    assert server.get("/b/").status in (403, 404)
    assert not list((server.root / ".skein").glob("**/new"))
