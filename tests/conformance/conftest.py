"""The conformance suite of docs/wire.md: what any server of this protocol has to do.

    tests/e2e/run tests/conformance                              a skein-dataserver of its own
    tests/e2e/run tests/conformance --url http://host:port/      a running server, of any make
    tests/e2e/run tests/conformance --url ... --root DIR         and the folder it serves
    ... -m must                                                  only what PYME's clients rely on

$SKEIN_CONFORMANCE_URL and $SKEIN_CONFORMANCE_ROOT do what --url and --root do. Tests marked `must`
stand for a MUST of docs/wire.md, others for a promise of Skein's. With --url, tests that need the
served folder (without --root), or a server with settings of its own, are skipped by name. The suite
only adds names below one folder with a random name. $SKEIN_CONFORMANCE_LONG=1 adds long tests.
"""
import importlib.util
import os
import pathlib
import shutil
import sys
import tempfile
import urllib.parse
import uuid

import pytest

HERE = pathlib.Path(__file__).resolve().parent
E2E = HERE.parent / "e2e"
NEEDED_BYTES = 1 << 30
sys.path[:0] = [str(HERE), str(E2E)]
import harness  # noqa: E402
import wire  # noqa: E402

# The other suite's fixtures under a name of their own: both files are called conftest.
_spec = importlib.util.spec_from_file_location("e2e_fixtures", E2E / "conftest.py")
e2e_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(e2e_fixtures)
pytest_runtest_call = e2e_fixtures.pytest_runtest_call
run_dir = e2e_fixtures.run_dir
servers = e2e_fixtures.servers


def pytest_addoption(parser):
    parser.addoption("--url", default=os.environ.get("SKEIN_CONFORMANCE_URL"))
    parser.addoption("--root", default=os.environ.get("SKEIN_CONFORMANCE_ROOT"))


def pytest_configure(config):
    e2e_fixtures.pytest_configure(config)
    config.addinivalue_line("markers", "must: a PYME client or its stored data depends on it")


class Target:
    """The server under test: address, url, root (None: unknown), own (the Server, or None)."""

    def __init__(self, url, root, own=None):
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port or 80)
        self.url = f"http://{parts.hostname}:{parts.port or 80}"
        self.root = pathlib.Path(root) if root else None
        self.own = own

    def connect(self, timeout=10):
        return wire.Wire(self.address, timeout)

    def request(self, method, target, body=None, headers=None):
        """One request on a connection of its own."""
        with self.connect() as connection:
            return connection.request(method, target, body, headers)

    def get(self, target, headers=None):
        return self.request("GET", target, None, headers)

    def put(self, target, body=b"", headers=None):
        return self.request("PUT", target, body, headers)

    def names(self, directory):
        """{"name": [type, size]} of a directory, or {} if it is not there."""
        import json
        reply = self.get(directory)
        return json.loads(reply.body) if reply.status == 200 else {}


@pytest.fixture(scope="session")
def session_server(request):
    """One server for all tests that need no settings of their own, in folders of its own."""
    # In memory where that has room: the protocol is asked here, with a hundred thousand files.
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and shutil.disk_usage(memory).free > NEEDED_BYTES
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="skein-conformance-",
                                            dir=memory if roomy else None))
    (scratch / "run").mkdir()
    (scratch / "skein.toml").touch()
    environment = {"SKEIN_RUN_DIR": str(scratch / "run"),
                   "SKEIN_CONFIG": str(scratch / "skein.toml")}
    server = harness.Server(scratch / "outside" / "root", cluster="conformance", env=environment)
    yield server
    status = server.stop()
    errors = harness.error_lines(server.log_text())
    sys.stderr.write(server.log_text())
    server.log.unlink(missing_ok=True)
    shutil.rmtree(scratch, ignore_errors=True)
    assert status == 0, f"the server under test ended with {status}"
    assert not errors, errors


@pytest.fixture(scope="session")
def target(request):
    """The server under test."""
    url = request.config.getoption("--url")
    if url:
        return Target(url, request.config.getoption("--root"))
    server = request.getfixturevalue("session_server")
    return Target(server.url, server.root, server)


@pytest.fixture
def folder(target):
    """A target path without trailing slash that no test used before: "/conformance-…/…"."""
    return f"/conformance-{uuid.uuid4().hex}"


@pytest.fixture
def root(target):
    """The served folder, for facts that only the disk shows."""
    if target.root is None:
        pytest.skip("needs --root: the folder that the server under test serves")
    return target.root


@pytest.fixture
def own(request, servers):
    """own(**options) starts a skein-dataserver with settings of its own and returns a Target."""
    if request.config.getoption("--url"):
        pytest.skip("needs a server with settings of its own; --url names a running one")

    def start(**options):
        server = servers(**options)
        return Target(server.url, server.root, server)

    return start


@pytest.fixture
def attributes(root):
    """Skips where the served folder's filesystem keeps no user attributes."""
    probe = root / f"probe-{uuid.uuid4().hex}"
    probe.touch()
    try:
        os.setxattr(probe, "user.skein.probe", b"1")
    except OSError as why:
        pytest.skip(f"the served folder keeps no user attributes: {why}")
    finally:
        probe.unlink()
