"""skein ls, cat, stat, find, locate, nodes, status and config, on real servers."""
import json
import os
import pty
import subprocess
import time

import pytest
from harness import SKEIN, skein


def lines_of(ended):
    return [json.loads(line) for line in ended.stdout.splitlines()]


def done(ended):
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended


@pytest.fixture
def filled(servers):
    """Two nodes. /scan is on both, with one file each; /scan/sub is on the second only."""
    nodes = [servers(), servers()]
    assert nodes[0].put("/scan/a.tif", b"a" * 3000).status == 200
    assert nodes[1].put("/scan/b.txt", b"b" * 10).status == 200
    assert nodes[1].put("/scan/sub/deep.tif", b"deep").status == 200
    assert nodes[1].put("/run.pcs/metadata.json", b"{}").status == 200
    return nodes


def test_ls_shows_the_union_of_all_nodes(filled):
    assert done(skein("ls", nodes=filled)).stdout == "run.pcs/\nscan/\n"
    assert done(skein("ls", "/scan", nodes=filled)).stdout == "a.tif\nb.txt\nsub/\n"
    assert skein("ls", "/scan", nodes=filled[:1]).stdout == "a.tif\n"


def test_ls_l_lines_up_and_says_mode_size_and_series(filled):
    assert done(skein("ls", "-l", "/scan", nodes=filled)).stdout == (
        "-r--r--r--  3000  a.tif\n"
        "-r--r--r--    10  b.txt\n"
        "dr-xr-xr-x     1  sub/\n")
    assert "3.0K  a.tif" in done(skein("ls", "-lh", "/scan", nodes=filled)).stdout
    assert "run.pcs/ [series]" in done(skein("ls", "-l", "/", nodes=filled)).stdout


def test_ls_r_enters_every_directory_once(filled):
    assert done(skein("ls", "-R", "/", nodes=filled)).stdout == (
        "/:\nrun.pcs/\nscan/\n\n/run.pcs:\nmetadata.json\n\n/scan:\na.tif\nb.txt\nsub/\n\n"
        "/scan/sub:\ndeep.tif\n")


def test_ls_of_files_and_of_what_is_not_there(filled):
    ended = skein("ls", "/nope", "/scan/a.tif", "/scan/sub", nodes=filled)
    assert ended.returncode == 1
    assert ended.stdout == "/scan/a.tif\n\n/scan/sub:\ndeep.tif\n"
    assert ended.stderr == "skein ls: /nope: no such file or directory\n"


def test_ls_json_is_one_object_a_line(filled):
    entries = lines_of(done(skein("ls", "--json", "/scan", nodes=filled)))
    assert entries[0] == {"path": "/scan/a.tif", "name": "a.tif", "type": "file",
                          "size_bytes": 3000}
    assert entries[2] == {"path": "/scan/sub", "name": "sub", "type": "directory", "entries": 1,
                          "series": False, "complete": False}
    assert lines_of(done(skein("ls", "--json", "/", nodes=filled)))[0]["series"] is True


@pytest.mark.parametrize("uri", ["PYME-CLUSTER://test/scan", "pyme-cluster://test/scan",
                                 "skein://test/scan", "PYME-CLUSTER:///scan", "skein:///scan/"])
def test_a_cluster_uri_is_taken_wherever_a_path_is(filled, uri):
    assert done(skein("ls", uri, nodes=filled)).stdout == "a.tif\nb.txt\nsub/\n"
    assert done(skein("cat", uri.rstrip("/") + "/b.txt", nodes=filled)).stdout == "b" * 10
    # What find prints can be given back to another command.
    found = done(skein("find", uri, "-name", "deep*", nodes=filled)).stdout.strip()
    assert found == uri.rstrip("/") + "/sub/deep.tif"
    assert done(skein("cat", found, nodes=filled)).stdout == "deep"


def test_the_cluster_of_a_uri_finds_its_nodes_and_no_others(servers):
    ours, theirs = servers(cluster="ours", advertise="local"), servers(cluster="theirs",
                                                                       advertise="local")
    ours.put("/a", b"1")
    theirs.put("/b", b"2")
    assert done(skein("ls", "skein://ours/", cluster="theirs")).stdout == "a\n"
    assert done(skein("ls", "/", cluster="theirs")).stdout == "b\n"
    assert done(skein("ls", "skein:///", cluster="theirs")).stdout == "a\nb\n"
    assert skein("ls", "skein://neither/").returncode == 3
    # A node that was named, but is of another cluster than was named, is not used.
    wrong = skein("ls", "skein://ours/", nodes=[theirs])
    assert wrong.returncode == 3 and "theirs" in wrong.stderr, wrong
    mixed = skein("ls", "skein://ours/", "skein://theirs/")
    assert mixed.returncode == 2 and "one cluster" in mixed.stderr


def test_flags_go_before_and_after_the_command(filled):
    url = filled[1].url
    for words in (["--node", url, "ls", "/scan"], ["ls", "--node", url, "/scan"],
                  ["ls", "/scan", "--node", url], ["ls", "/scan", f"--node={url}", "-q"]):
        assert done(skein(*words)).stdout == "b.txt\nsub/\n", words


def test_names_that_are_commands_or_look_like_lists_are_names(servers):
    node = servers()
    for name in ("get", "[a,b]", "-x", "a b#c"):
        assert node.put("/" + name.replace("#", "%23").replace(" ", "%20"), b"!").status == 200
    for words in (["ls", "get"], ["ls", "[a,b]"], ["ls", "--", "-x"], ["ls", "a b#c"]):
        assert done(skein(*words, nodes=[node])).stdout == f"/{words[-1]}\n"
    both = done(skein("ls", "[a,b]", "get", nodes=[node])).stdout
    assert both == "/[a,b]\n/get\n"


def test_names_with_control_characters_are_escaped_on_a_terminal_only(servers):
    node = servers()
    assert node.put("/new%0aline%1b%5b2J", b"").status == 200
    assert done(skein("ls", nodes=[node])).stdout == "new\nline\x1b[2J\n"
    mine, its = pty.openpty()
    ended = subprocess.run([str(SKEIN), "--node", node.url, "ls"], stdin=subprocess.DEVNULL,
                           stdout=its, stderr=subprocess.PIPE, timeout=30)
    os.close(its)
    shown = os.read(mine, 1000)
    os.close(mine)
    assert (ended.returncode, shown) == (0, b"new\\nline\\x1b[2J\r\n")
    refused = skein("cat", "/no\nsuch", nodes=[node])
    assert refused.stderr == "skein cat: /no\\nsuch: no such file\n"


def test_cat_gives_every_byte_in_order(filled, tmp_path):
    data = os.urandom(5_000_001)
    assert filled[0].put("/big", data).status == 200
    with open(tmp_path / "out", "wb") as out:
        ended = subprocess.run([str(SKEIN), "--node", filled[0].url, "--node", filled[1].url,
                                "cat", "/scan/b.txt", "/big", "/scan/sub/deep.tif"], stdout=out,
                               stderr=subprocess.PIPE, timeout=30)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out").read_bytes() == b"b" * 10 + data + b"deep"


def test_cat_says_what_is_missing_and_gives_the_rest(filled):
    ended = skein("cat", "/nope", "/scan/b.txt", "/scan", nodes=filled)
    assert ended.returncode == 1
    assert ended.stdout == "b" * 10
    assert ended.stderr == ("skein cat: /nope: no such file\n"
                            "skein cat: /scan: it is a directory\n")


def test_a_reader_that_leaves_ends_cat_quietly(filled):
    assert filled[0].put("/big", bytes(5_000_000)).status == 200
    ended = subprocess.run(f"set -o pipefail; {SKEIN} --node {filled[0].url} cat /big | head -c 10",
                           shell=True, executable="/bin/bash", capture_output=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (128 + 13, b"")


def test_output_that_cannot_be_written_is_a_failure(filled):
    for words in (["ls", "/scan"], ["cat", "/scan/a.tif"], ["config"], ["--help"]):
        with open("/dev/full", "wb") as full:
            ended = subprocess.run([str(SKEIN), "--node", filled[0].url, *words], stdout=full,
                                   stderr=subprocess.PIPE, timeout=30)
        assert ended.returncode == 1, words
        assert b"No space left on device" in ended.stderr and ended.stderr.count(b"\n") == 1


def test_closed_standard_descriptors_are_no_trouble_unless_they_are_needed(filled):
    def closed(redirections):
        return subprocess.run(f"{SKEIN} --node {filled[0].url} ls /scan {redirections}",
                              shell=True, capture_output=True, text=True, timeout=30)

    assert closed("<&-").stdout == "a.tif\n"
    assert closed("2>&-").returncode == 0
    nobody = closed(">&-")
    assert nobody.returncode == 1 and "standard output" in nobody.stderr


def test_stat_tells_type_size_time_and_nodes(filled):
    before = time.time() - 3600
    [told] = lines_of(done(skein("stat", "--json", "/scan/a.tif", nodes=filled)))
    assert (told["type"], told["size_bytes"]) == ("file", 3000)
    assert before < told["mtime_s"] < time.time() + 3600
    assert told["nodes"] == [filled[0].url]
    [told] = lines_of(done(skein("stat", "--json", "/scan", nodes=filled)))
    assert (told["type"], told["entries"]) == ("directory", 3)
    assert sorted(told["nodes"]) == sorted(node.url for node in filled)
    text = done(skein("stat", "/", "/run.pcs", nodes=filled)).stdout
    assert "path: /\n" in text and "directory [series]" in text
    assert skein("stat", "/nope", nodes=filled).returncode == 1


def test_find_tests_name_type_and_size(filled):
    def found(*words):
        return done(skein("find", *words, nodes=filled)).stdout.split()

    assert found("/scan") == ["/scan", "/scan/a.tif", "/scan/b.txt", "/scan/sub",
                              "/scan/sub/deep.tif"]
    assert found("-name", "*.tif") == ["/scan/a.tif", "/scan/sub/deep.tif"]
    assert found("--iname", "*.TIF", "/scan/sub") == ["/scan/sub/deep.tif"]
    assert found("/", "-type", "d") == ["/", "/run.pcs", "/scan", "/scan/sub"]
    assert found("/", "-type", "s") == ["/run.pcs"]
    assert found("/scan", "-size", "+1k") == ["/scan/a.tif"]
    assert found("/scan", "-maxdepth", "1", "-type", "f") == ["/scan/a.tif", "/scan/b.txt"]
    assert found("/scan/a.tif") == ["/scan/a.tif"]
    nul = done(skein("find", "/scan/sub", "-print0", nodes=filled)).stdout
    assert nul == "/scan/sub\0/scan/sub/deep.tif\0"
    [entry] = lines_of(done(skein("find", "-name", "b.txt", "--json", nodes=filled)))
    assert entry == {"path": "/scan/b.txt", "name": "b.txt", "type": "file", "size_bytes": 10}
    assert skein("find", "/nope", nodes=filled).returncode == 1


def test_locate_names_every_copy(filled):
    filled[1].put("/scan/a.tif", b"a" * 3000)
    [told] = lines_of(done(skein("locate", "--json", "/scan/a.tif", nodes=filled)))
    urls = sorted(copy["url"] for copy in told["copies"])
    assert urls == sorted(node.url + "scan/a.tif" for node in filled)
    assert {copy["size_bytes"] for copy in told["copies"]} == {3000}
    text = done(skein("locate", "/scan/b.txt", nodes=filled)).stdout
    assert str(filled[1].port) in text and text.count("\n") == 1
    missing = skein("locate", "/nope", nodes=filled)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "skein locate: /nope: no such file or directory\n"


def test_nodes_tells_who_is_there_and_who_is_not(filled):
    filled[1].kill()
    told = skein("nodes", "--json", nodes=filled)
    states = {node["url"]: node for node in lines_of(told)}
    assert told.returncode == 0
    alive = states[filled[0].url]
    assert (alive["state"], alive["id"], alive["cluster"]) == ("alive", filled[0].id, "test")
    assert 0 < alive["free_bytes"] < alive["total_bytes"]
    gone = states[filled[1].url]
    assert gone["state"] == "set-aside" and "refused" in gone["why"]
    text = skein("nodes", nodes=filled).stdout
    assert text.startswith("STATE") and "set-aside" in text and "refused" in text
    filled[0].kill()
    assert skein("nodes", nodes=filled).returncode == 3
    nothing = skein("nodes", cluster="none-of-that-name")
    assert (nothing.returncode, nothing.stdout) == (3, "")


@pytest.mark.parametrize("words", [["ls", "/"], ["find", "/"]])
def test_a_listing_without_a_known_node_says_so(filled, words):
    filled[1].kill()
    ended = skein(*words, nodes=filled)
    assert ended.returncode == 1
    assert "/scan" in ended.stdout or "scan/" in ended.stdout
    assert ended.stderr.count("\n") == 1 and str(filled[1].port) in ended.stderr, ended.stderr


def test_a_node_that_hangs_costs_a_deadline_and_not_more(filled):
    filled[1].suspend()
    started = time.monotonic()
    ended = skein("ls", "/scan", nodes=filled, timeout=10)
    assert time.monotonic() - started < 5
    assert ended.stdout == "a.tif\n" and ended.returncode == 1, ended
    assert str(filled[1].port) in ended.stderr
    filled[1].resume()


def test_status_gives_each_node_and_a_sum_that_counts_one_disk_once(filled):
    told = lines_of(done(skein("status", "--json", nodes=filled)))
    assert sorted(one["url"] for one in told[:-1]) == sorted(node.url for node in filled)
    disk = told[0]["status"]["Disk"]
    total = told[-1]["sum"]["total_bytes"]
    assert total == disk["total"], "both nodes are on one disk"
    assert told[-1]["sum"]["nodes"] == 2
    text = done(skein("status", "-h", nodes=filled)).stdout
    assert text.startswith("NODE") and text.count("\n") == 4
    one = done(skein("status", filled[0].url, nodes=filled)).stdout
    assert str(filled[0].port) in one and str(filled[1].port) not in one
    unknown = skein("status", "nosuch", nodes=filled)
    assert unknown.returncode == 1 and "nosuch" in unknown.stderr


def test_config_says_where_each_setting_comes_from(run_dir):
    (run_dir.parent / "skein.toml").write_text('cluster = "filed"\n[server]\nport = 7\n')
    env = {"SKEIN_SERVER_PORT": "8"}
    told = {one["key"]: one for one in lines_of(done(
        skein("--timeout-ms", "123", "config", "--json", nodes=["10.0.0.2"], env=env)))}
    assert (told["cluster"]["value"], told["cluster"]["origin"]) == (
        "filed", str(run_dir.parent / "skein.toml"))
    assert (told["server.port"]["value"], told["server.port"]["origin"]) == (
        "8", "environment SKEIN_SERVER_PORT")
    assert (told["deadline_ms"]["value"], told["deadline_ms"]["origin"]) == (
        "123", "flag --timeout-ms")
    assert (told["nodes"]["value"], told["nodes"]["origin"]) == (
        "http://10.0.0.2:15348", "flag --node")
    assert told["mdns"]["origin"] == "default"
    assert "flag --cluster" in done(skein("config", cluster="x")).stdout
    (run_dir.parent / "skein.toml").write_text("\nclustr = 'typo'\n")
    wrong = skein("config")
    assert wrong.returncode == 2 and ":2:" in wrong.stderr and wrong.stderr.count("\n") == 1


WRONG = [["ls", "--foo"], ["frobnicate"], [], ["ls", "http://x/y"], ["ls", ""], ["ls", "/../x"],
         ["ls", "--timeout-ms", "0"], ["ls", "--timeout-ms", "soon"], ["ls", "--node", "ftp://x"],
         ["put", "a"], ["get", "/a"], ["cat"], ["stat"], ["locate"], ["find", "-type", "q"],
         ["find", "-size", "big"], ["put", "-", "/dir/"], ["put", "-", "a", "/dir"],
         ["up"], ["up", "--root", "/tmp/x", "--nodes", "0"], ["nodes", "extra"]]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: " ".join(words) or "nothing")
def test_wrong_usage_is_one_line_and_status_2(words):
    ended = skein(*words)
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert ended.stderr.startswith("skein") and ended.stderr.count("\n") == 1, ended.stderr
    assert not any(trace in ended.stderr for trace in ("std::", "what()", "terminate"))


@pytest.mark.parametrize("words", [["ls", "/"], ["cat", "/a"], ["get", "/a", "b"],
                                   ["put", "b", "/"], ["stat", "/"], ["find"], ["locate", "/a"],
                                   ["nodes"], ["status"]], ids=lambda words: words[0])
def test_no_node_is_status_3_at_once(words, tmp_path):
    (tmp_path / "b").touch()
    started = time.monotonic()
    ended = subprocess.run([str(SKEIN), "--node", "127.0.0.1:9", *words], cwd=tmp_path,
                           capture_output=True, text=True, timeout=30)
    assert ended.returncode == 3, ended
    assert "no node found" in ended.stderr and ended.stderr.count("\n") == 1
    assert time.monotonic() - started < 2.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]


@pytest.mark.parametrize("command", ["ls", "cat", "get", "put", "stat", "find", "locate", "nodes",
                                     "status", "config", "up"])
def test_help_has_usage_example_and_exit_status(command):
    text = done(skein(command, "--help")).stdout
    assert text.startswith(f"usage: skein {command}")
    assert text.splitlines()[-2].startswith("example: skein ")
    assert text.splitlines()[-1].startswith("exit status: 0 ")
    assert "--cluster NAME" in text


def test_mount_and_serve_are_the_other_programs():
    assert "usage: skein-dataserver" in done(skein("serve", "--help")).stdout.lower()
    assert "usage: skein-mount" in done(skein("mount", "--help")).stdout.lower()
    refused = skein("serve", "--frobnicate")
    assert refused.returncode == 2 and "frobnicate" in refused.stderr
