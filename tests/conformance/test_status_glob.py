"""__status and __glob (docs/wire.md, "Status" and "Glob")."""
import json
import re
import uuid

import pytest

must = pytest.mark.must


@must
def test_status_has_pymes_keys(target):
    reply = target.get("/__status")
    assert reply.status == 200
    status = json.loads(reply.body)
    assert isinstance(status["IPAddress"], str) and status["IPAddress"]
    address, port = status["BindAddress"]
    assert isinstance(address, str) and port == status["Port"] == target.address[1]
    assert status["Protocol"] in ("1.0", "1.1") and isinstance(status["TestMode"], bool)
    assert isinstance(status["ComputerName"], str) and status["ComputerName"]
    disk = status["Disk"]
    assert disk["total"] > 0 and disk["free"] >= 0 and disk["used"] + disk["free"] <= disk["total"]
    assert re.fullmatch(r"(\d+ days?, )?\d+:\d\d:\d\d(\.\d{6})?", status["Uptime"])
    assert status["CPUUsage"] and all(0 <= percent <= 100 for percent in status["CPUUsage"])
    memory = status["MemUsage"]
    assert memory["total"] >= memory["available"] > 0 and 0 <= memory["percent"] <= 100
    assert {"used", "free"} <= set(memory)
    for interface in status["Network"].values():
        assert interface["send"] >= 0 and interface["recv"] >= 0


@must
def test_status_answers_under_any_number_of_leading_slashes(target):
    for spelled in ("//__status", "///__status"):
        assert "Disk" in json.loads(target.get(spelled).body), spelled


def test_status_names_the_node(target):
    status = json.loads(target.get("/__status").body)
    assert str(uuid.UUID(status["NodeId"])) == status["NodeId"]
    for key in ("HostId", "Cluster", "InstanceName", "Version", "Lane"):
        assert isinstance(status[key], str), key
    if target.own:
        assert status["NodeId"] == target.own.id and status["Cluster"] == target.own.cluster


def test_status_is_never_taken_from_a_cache(target):
    assert "no-store" in target.get("/__status").headers["cache-control"]


@pytest.fixture
def tree(target, folder):
    for name in ("a1.tif", "a2.tif", "b1.csv", ".hidden", "sub/c1.tif", "sub/deep/d.tif", "a b"):
        assert target.put(f"{folder}/{name}".replace(" ", "%20"), b"x").status == 200
    return folder[1:]


def glob(target, pattern):
    reply = target.get(f"/__glob?pattern={pattern}")
    assert reply.status == 200, reply
    found = json.loads(reply.body)
    assert isinstance(found, list)
    return sorted(found)


@must
def test_glob_finds_files_and_directories(target, tree):
    assert glob(target, f"{tree}/*.tif") == [f"{tree}/a1.tif", f"{tree}/a2.tif"]
    assert glob(target, f"{tree}/a?.tif") == [f"{tree}/a1.tif", f"{tree}/a2.tif"]
    assert glob(target, f"{tree}/[b-z]1.*") == [f"{tree}/b1.csv"]
    assert glob(target, f"{tree}/[!b]1.*") == [f"{tree}/a1.tif"]
    assert glob(target, f"{tree}/s*") == [f"{tree}/sub"]
    assert glob(target, f"{tree}/*/*.tif") == [f"{tree}/sub/c1.tif"]
    assert glob(target, f"{tree}/sub/c1.tif") == [f"{tree}/sub/c1.tif"]
    assert glob(target, f"{tree}/none*") == []


@must
def test_a_star_skips_dot_files(target, tree):
    assert f"{tree}/.hidden" not in glob(target, f"{tree}/*")
    assert glob(target, f"{tree}/.h*") == [f"{tree}/.hidden"]


@must
def test_a_glob_pattern_is_decoded_as_a_query_value(target, tree):
    assert glob(target, f"{tree}/a+b") == [f"{tree}/a b"]
    assert glob(target, f"{tree}/a%20*") == [f"{tree}/a b"]
    assert glob(target, f"{tree}%2F%2A.csv") == [f"{tree}/b1.csv"]


@must
def test_a_leading_slash_of_the_pattern_or_endpoint_does_not_count(target, tree):
    reply = target.get(f"//__glob?pattern={tree}/b*")
    assert json.loads(reply.body) == [f"{tree}/b1.csv"]


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "/etc/passwd", "*/../../*", "./../*",
                                     "..%2f*", ".skein/*", ".s*/*", "%2eskein", ".*", "/*",
                                     "%2e%2e/*", "[.][.]/*", ".?/*", ".[.]/*"])
def test_a_glob_stays_in_the_folder(target, pattern):
    reply = target.get(f"/__glob?pattern={pattern}")
    assert reply.status in (200, 400)
    if reply.status == 200:
        for found in json.loads(reply.body):
            parts = found.split("/")
            assert parts[0] not in ("", ".skein", "etc") and ".." not in parts, found


@pytest.mark.parametrize("query", ["", "?", "?pattern=", "?pattern=%zz", "?other=*",
                                   "?pattern=a%00b", "?pattern=" + "*" * 3000,
                                   "?pattern=" + "*/" * 1500, "?pattern=[", "?pattern=[a-"])
def test_odd_patterns_are_answered_soon(target, query):
    with target.connect(5) as connection:
        assert connection.get(f"/__glob{query}").status in (200, 400, 414)


def test_a_pattern_of_many_stars_takes_no_exponential_time(target, folder):
    target.put(f"{folder}/{'a' * 200}", b"")
    with target.connect(5) as connection:
        reply = connection.get(f"/__glob?pattern={folder[1:]}/{'a*' * 60}b")
        assert json.loads(reply.body) == []
