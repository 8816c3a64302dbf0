"""What is read of a file while it grows: always what was there at some moment, never an error."""
import http.server
import json
import threading

import pytest

from harness import skein

LINE = b"one more line\n"


@pytest.fixture
def relay(servers):
    """(node, url): whoever looks at a size or a listing by way of `url` has it outdated at once."""
    node = servers()

    class Relay(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            reply = node.request(self.command, self.path, headers=headers)
            if self.command == "HEAD" or self.path.endswith("/"):
                assert node.put("/_aggregate/a.log", LINE).status == 200
                assert node.put("/__aggregate_txt/plain/b.log", LINE).status == 200
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_HEAD = pass_on

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield node, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/_aggregate/a.log", "/plain/b.log"])
def test_get_of_a_file_that_grew_after_the_look_at_its_size(relay, tmp_path, path):
    node, url = relay
    node.put("/_aggregate/a.log", LINE * 1000)
    node.put("/__aggregate_txt/plain/b.log", LINE * 1000)
    got = skein("get", "--json", path, str(tmp_path / "copy"), nodes=[url])
    assert got.returncode == 0, got
    copied = (tmp_path / "copy").read_bytes()
    assert copied.startswith(LINE * 1001) and not copied.replace(LINE, b"")
    assert json.loads(got.stdout)["size_bytes"] == len(copied)
    folder = path.rsplit("/", 1)[0]
    got = skein("get", "-r", folder, str(tmp_path / "tree"), nodes=[url])
    assert got.returncode == 0, got
    copied = (tmp_path / "tree" / path[1:]).read_bytes()
    assert copied.startswith(LINE * 1001) and not copied.replace(LINE, b"")
    shown = skein("cat", path, nodes=[url])
    assert shown.returncode == 0 and not shown.stdout.replace(LINE.decode(), "")


def test_a_growing_file_is_not_mirrored_a_sealed_one_is(servers):
    """A copy would be sealed, and another file than the one that goes on growing."""
    owner, other = servers(advertise="local"), servers(advertise="local")
    assert owner.put("/__aggregate_txt/plain/b.log", LINE).status == 200
    ask = f"/plain/b.log?MirrorSource={owner.url}plain/b.log"
    refused = other.put(ask)
    assert refused.status == 403 and b"grow" in refused.body, refused
    assert not (other.root / "plain").exists()
    assert owner.put("/__seal/plain/b.log").status == 200
    assert other.put(ask).status == 200
    assert other.get("/plain/b.log").body == LINE
