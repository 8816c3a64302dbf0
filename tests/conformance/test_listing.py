"""Directory listings (docs/wire.md, "Directory listing")."""
import json
import os
import urllib.parse

import harness
import pytest
import wire

must = pytest.mark.must
DIRECTORY, SERIES, COMPLETE = 1, 2, 4


def soon(condition):
    """For what a listing tells of other directories and of files that others write: clients add
    1 s of trust of their own (docs/wire.md, "Directory listing")."""
    harness.eventually(condition, 1, "listed within 1 s")


@must
def test_a_listing_has_type_and_size_of_every_name(target, folder):
    target.put(f"{folder}/a.bin", b"12345")
    target.put(f"{folder}/empty", b"")
    target.put(f"{folder}/.dot", b"1")
    target.put(f"{folder}/sub/x", b"1")
    target.put(f"{folder}/sub/y", b"1")
    reply = target.get(f"{folder}/")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("application/json")
    names = json.loads(reply.body)
    assert set(names) == {"a.bin", "empty", ".dot", "sub/"}
    assert names["a.bin"] == [0, 5] and names["empty"] == [0, 0] and names[".dot"] == [0, 1]
    # A directory's size is its number of entries; some implementations count "." and "..".
    assert names["sub/"][0] == DIRECTORY and names["sub/"][1] in (2, 4)


def test_a_directory_has_the_number_of_its_entries_as_size(target, folder):
    for n in range(5):
        target.put(f"{folder}/sub/{n}", b"")
        harness.eventually(lambda: target.names(f"{folder}/")["sub/"] == [DIRECTORY, n + 1], 1)


@must
def test_an_empty_directory_is_an_empty_object(target, folder):
    target.put(f"{folder}/d/")
    assert json.loads(target.get(f"{folder}/d/").body) == {}


@must
def test_the_root_is_listed_under_any_number_of_slashes(target, folder):
    target.put(f"{folder}/x", b"")
    for spelled in ("/", "//", "///"):
        assert folder[1:] + "/" in target.names(spelled), spelled


@must
def test_metadata_makes_a_series_and_events_complete_it(target, folder):
    target.put(f"{folder}/s/frame00000.pzf", b"1")
    target.put(f"{folder}/s/final_metadata.json", b"{}")
    assert target.names(f"{folder}/")["s/"][0] == DIRECTORY
    target.put(f"{folder}/s/metadata.json", b"{}")
    soon(lambda: target.names(f"{folder}/")["s/"][0] == DIRECTORY | SERIES)
    target.put(f"{folder}/s/events.json", b"[]")
    soon(lambda: target.names(f"{folder}/")["s/"][0] == DIRECTORY | SERIES | COMPLETE)


def test_events_alone_do_not_make_a_series(target, folder):
    target.put(f"{folder}/s/events.json", b"[]")
    assert target.names(f"{folder}/")["s/"][0] in (DIRECTORY, DIRECTORY | COMPLETE)


def test_an_h5_file_is_a_series_in_one_file(target, folder):
    target.put(f"{folder}/a.h5", b"123")
    assert target.names(f"{folder}/")["a.h5"] == [SERIES | COMPLETE, 3]


@must
def test_a_put_is_listed_at_once(target, folder):
    with target.connect() as writer, target.connect() as reader:
        for n in range(200):
            assert writer.put(f"{folder}/d/f{n}", b"x" * n).status == 200
            names = json.loads(reader.get(f"{folder}/d/").body)
            assert names[f"f{n}"] == [0, n] and len(names) == n + 1


def test_a_file_put_into_the_folder_by_hand_is_listed(target, folder, root):
    target.put(f"{folder}/d/a", b"1")
    assert set(target.names(f"{folder}/d/")) == {"a"}
    (root / folder[1:] / "d" / "by-hand").write_bytes(b"123456")
    (root / folder[1:] / "d" / "folder").mkdir()
    names = target.names(f"{folder}/d/")
    assert names["by-hand"] == [0, 6] and names["folder/"] == [1, 0]
    with open(root / folder[1:] / "d" / "by-hand", "ab") as grown:
        grown.write(b"789")
    soon(lambda: target.names(f"{folder}/d/")["by-hand"] == [0, 9])
    os.unlink(root / folder[1:] / "d" / "by-hand")
    assert set(target.names(f"{folder}/d/")) == {"a", "folder/"}


@must
def test_names_in_any_script_come_back_as_they_went(target, folder):
    for name in ("ünï cödé.tif", "日本語", "a+b", "q?x", "h#x", "per%cent", "back\\slash",
                 "😀", 'quo"te', "tab\tnew\nline"):
        quoted = urllib.parse.quote(name, safe="")
        assert target.put(f"{folder}/{quoted}", name.encode()).status == 200, name
        assert target.get(f"{folder}/{quoted}").body == name.encode()
        assert name in target.names(f"{folder}/")


def test_a_name_that_is_no_utf8_travels_as_surrogate_escapes(target, folder, root):
    target.put(f"{folder}/x", b"")
    os.close(os.open(os.path.join(os.fsencode(root / folder[1:]), b"bad\xff\xfe"),
                     os.O_CREAT | os.O_WRONLY, 0o440))
    names = target.names(f"{folder}/")
    assert "bad\udcff\udcfe" in names
    assert target.get(f"{folder}/bad%ff%fe").status == 200


@must
def test_head_of_a_directory_has_no_body(target, folder):
    target.put(f"{folder}/x", b"")
    with target.connect() as connection:
        assert connection.request("HEAD", f"{folder}/").status == 200
        assert connection.get(f"{folder}/").status == 200


def test_private_files_are_not_listed(target):
    assert not [name for name in target.names("/") if name.startswith(".skein")]


def test_an_unchanged_directory_is_304_to_its_etag(target, folder):
    target.put(f"{folder}/d/a", b"1")
    with target.connect() as connection:
        first = connection.get(f"{folder}/d/")
        etag = first.headers["etag"]
        again = connection.get(f"{folder}/d/", {"If-None-Match": etag})
        assert again.status == 304 and again.headers["etag"] == etag
        assert connection.get(f"{folder}/d/", {"If-None-Match": f'"no", {etag}'}).status == 304
        assert connection.get(f"{folder}/d/", {"If-None-Match": '"other"'}).status == 200


def test_every_change_that_a_listing_shows_changes_its_etag(target, folder, root):
    def tag():
        return target.get(f"{folder}/").headers["etag"]

    def grow():
        with open(disk / "grown", "ab") as grown:
            grown.write(b"2")

    target.put(f"{folder}/a", b"1")
    target.put(f"{folder}/sub/x", b"1")
    disk = root / folder[1:]
    (disk / "grown").write_bytes(b"1")
    seen = [tag()]
    changes = [grow, lambda: target.put(f"{folder}/b", b"1"),
               lambda: target.put(f"{folder}/sub/y", b"1"),
               lambda: target.put(f"{folder}/sub/metadata.json", b"{}"),
               lambda: (disk / "by-hand").write_bytes(b"1"),
               lambda: (disk / "sub" / "by-hand").write_bytes(b"1"),
               lambda: os.unlink(disk / "by-hand")]
    for n, change in enumerate(changes):
        change()
        harness.eventually(lambda: tag() not in seen, 1, f"a new ETag after change {n}")
        seen.append(tag())


def test_an_index_page_does_not_hide_the_listing(target, folder):
    target.put(f"{folder}/index.html", b"<p>")
    target.put(f"{folder}/a", b"")
    assert set(target.names(f"{folder}/")) == {"index.html", "a"}


def test_ten_thousand_names_are_listed_whole(target, folder):
    with target.connect(60) as connection:
        connection.send(b"".join(wire.raw_put(f"{folder}/frame{n:05d}.pzf", b"x", last=n == 9999)
                                 for n in range(10_000)))
        for _ in range(10_000):
            assert connection.reply().status == 200
    names = target.names(f"{folder}/")
    assert len(names) == 10_000 and set(map(tuple, names.values())) == {(0, 1)}
