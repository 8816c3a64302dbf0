"""Bad input to every program: one clear line on standard error, the documented exit status, and
everything as it was."""
import os
import socket
import subprocess

import pytest
from harness import DATASERVER, MOUNT, SKEIN, built, mounts_under, needs_fuse, needs_root, skein

FAILED, WRONG_USAGE, NO_NODE = 1, 2, 3
PROGRAMS = [DATASERVER, MOUNT, SKEIN]
COMMANDS = ["ls", "cat", "get", "put", "stat", "find", "locate", "nodes", "status", "up"]


def run(program, *args, timeout=30):
    return subprocess.run([built(program), *map(str, args)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=timeout)


def assert_refused(ended, status, says):
    assert ended.returncode == status, ended
    assert ended.stderr.count("\n") == 1, f"not one line: {ended.stderr!r}"
    assert str(says).lower() in ended.stderr.lower(), ended.stderr
    assert "ready" not in ended.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_help_tells_usage_and_exit_status(program):
    asked = run(program, "--help")
    assert asked.returncode == 0
    assert "usage" in asked.stdout.lower()
    assert "exit status" in "".join(asked.stdout.rstrip().splitlines()[-2:]), asked.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_the_exit_status(command):
    asked = run(SKEIN, command, "--help")
    assert asked.returncode == 0, asked.stderr
    assert "exit status" in asked.stdout.splitlines()[-1], asked.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_an_unknown_flag_is_wrong_usage(program, tmp_path):
    args = {"skein": ["ls", "/"], "skein-mount": [tmp_path], "skein-dataserver": []}[program.name]
    assert_refused(run(program, *args, "--frobnicate"), WRONG_USAGE, "--frobnicate")


def test_an_unknown_command_is_wrong_usage():
    assert_refused(run(SKEIN, "frobnicate"), WRONG_USAGE, "frobnicate")


def test_server_without_a_folder_does_not_start(tmp_path):
    missing = tmp_path / "missing"
    assert_refused(run(DATASERVER, "--root", missing, "--port", 0, "--advertise", "none"),
                   FAILED, missing)
    assert not missing.exists()


@needs_root
@needs_fuse
def test_server_on_a_folder_that_is_not_writable_does_not_start(tmp_path):
    root = tmp_path / "read-only"
    root.mkdir()
    # Root may write anywhere but on a filesystem that is mounted read-only.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(root)], check=True)
    try:
        assert_refused(run(DATASERVER, "--root", root, "--port", 0, "--advertise", "none"),
                       FAILED, root)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_server_on_a_taken_port_does_not_start(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(run(DATASERVER, "--root", tmp_path, "--port", port, "--bind", "127.0.0.1",
                           "--advertise", "none"), FAILED, port)


def test_a_second_server_on_the_same_folder_does_not_start(servers, tmp_path):
    first = servers(tmp_path / "disk")
    assert_refused(run(DATASERVER, "--root", tmp_path / "disk", "--port", 0, "--advertise", "none"),
                   FAILED, tmp_path / "disk")
    assert first.put("/still", b"works").status == 200


def test_a_port_that_is_none_is_wrong_usage(tmp_path):
    assert_refused(run(DATASERVER, "--root", tmp_path, "--port", "99999"), WRONG_USAGE, "port")


@needs_fuse
def test_mount_on_a_missing_folder_fails(servers, tmp_path):
    node = servers()
    assert_refused(run(MOUNT, tmp_path / "missing", "--node", node.url), FAILED, "missing")


@needs_fuse
@needs_root
def test_mount_on_a_busy_mount_point_fails_and_leaves_the_first_one_working(servers, mounts):
    node = servers()
    first = mounts(nodes=[node])
    assert_refused(run(MOUNT, first.path, "--node", node.url), FAILED, first.path)
    assert mounts_under(first.path) == [str(first.path)]
    assert os.listdir(first.path) == []


def test_no_cluster_found_has_a_status_of_its_own():
    asked = skein("ls", "/", cluster="nobody-has-this-name")
    assert_refused(asked, NO_NODE, "nobody-has-this-name")


def test_no_node_answering_has_a_status_of_its_own():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    assert_refused(skein("ls", "/", nodes=[url]), NO_NODE, "no node")


@pytest.mark.parametrize("command", ["ls", "cat", "stat", "locate"])
def test_a_path_that_does_not_exist_fails_by_name(servers, command):
    assert_refused(skein(command, "/no/such/path", nodes=[servers()]), FAILED, "no/such/path")


def test_a_path_that_climbs_out_is_refused(servers):
    ended = skein("cat", "/../etc/passwd", nodes=[servers()])
    assert ended.returncode in (FAILED, WRONG_USAGE)
    assert ended.stderr.count("\n") == 1 and ended.stdout == ""


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_misspelt_setting_is_refused_with_file_and_line(program, tmp_path, monkeypatch):
    settings = tmp_path / "bad.toml"
    settings.write_text('cluster = "a"\nclutser = "b"\n')
    monkeypatch.setenv("SKEIN_CONFIG", str(settings))
    args = {"skein": ["ls", "/"], "skein-mount": [tmp_path], "skein-dataserver":
            ["--root", tmp_path, "--port", 0, "--advertise", "none"]}[program.name]
    assert_refused(run(program, *args), WRONG_USAGE, f"{settings}:2")
