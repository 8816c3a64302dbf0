"""Writing through the mount: write-once files that tools can nevertheless work with.

Every case runs on the ways a file can take: kernel passthrough to a node of this host, the lane
without it, and the spool with HTTP.
"""
import errno
import os
import shutil
import signal
import subprocess
import time

import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

WAYS = {"passthrough": [], "lane": ["--no-passthrough"], "http": ["--no-bypass"]}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture
def two(servers):
    return [servers(), servers()]


@pytest.fixture
def mount(two, mounts, way):
    return mounts(nodes=two, args=way)


def run(command, cwd, timeout=30):
    return subprocess.run(command, shell=True, cwd=cwd, capture_output=True, text=True,
                          timeout=timeout, executable="/bin/bash")


def stored(two, name):
    return [server.root / name for server in two if (server.root / name).exists()]


def await_stored(two, name):
    return eventually(lambda: stored(two, name), 5, f"{name} on a node")[0]


def assert_refused(code, call, *args, **named):
    with pytest.raises(OSError) as refused:
        call(*args, **named)
    assert refused.value.errno == code, refused.value


def test_a_file_is_read_back_at_once_and_lies_on_one_node(mount, two):
    for i in range(20):
        path = mount.path / f"f{i}"
        path.write_bytes(b"x" * i)
        assert path.read_bytes() == b"x" * i
        assert path.stat().st_size == i
    assert sorted(os.listdir(mount.path)) == sorted(f"f{i}" for i in range(20))
    for i in range(20):
        assert await_stored(two, f"f{i}").read_bytes() == b"x" * i
        assert len(stored(two, f"f{i}")) == 1
    assert all(len(os.listdir(server.root)) >= 8 for server in two), "least recently written first"


def test_a_file_is_private_until_it_is_closed(mount, two):
    with open(mount.path / "f", "wb") as file:
        file.write(b"half")
        file.flush()
        assert (mount.path / "f").read_bytes() == b"half"
        assert os.listdir(mount.path) == ["f"]
        assert stored(two, "f") == []
        assert all(server.get("/f").status == 404 for server in two)
        file.write(b" and half")
    assert await_stored(two, "f").read_bytes() == b"half and half"


def test_the_inode_number_stays_over_the_seal(mount, two):
    with open(mount.path / "f", "wb") as file:
        file.write(b"x")
        inode = os.fstat(file.fileno()).st_ino
    assert os.stat(mount.path / "f").st_ino == inode
    await_stored(two, "f")
    assert os.stat(mount.path / "f").st_ino == inode


def test_sealed_files_refuse_every_change(mount, two):
    path = mount.path / "f"
    path.write_bytes(b"sealed")
    home = await_stored(two, "f")
    eventually(lambda: path.stat().st_mode & 0o777 == 0o444, 5, "sealed")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC,
                  os.O_WRONLY | os.O_CREAT, os.O_RDONLY | os.O_TRUNC):
        assert_refused(errno.EPERM, os.open, path, flags)
    assert_refused(errno.EPERM, os.truncate, path, 0)
    assert_refused(errno.EPERM, os.unlink, path)
    assert_refused(errno.EPERM, os.rename, path, mount.path / "g")
    assert_refused(errno.EPERM, os.link, path, mount.path / "g")
    assert_refused(errno.EPERM, os.symlink, "f", mount.path / "g")
    assert_refused(errno.EEXIST, os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert_refused(errno.EEXIST, os.mkdir, path)
    (mount.path / "new.tmp").write_bytes(b"other")
    assert_refused(errno.EPERM, os.rename, mount.path / "new.tmp", path)
    os.chmod(path, 0o600)
    os.utime(path, (1, 1))
    os.chown(path, 1, 1)
    assert not os.access(path, os.W_OK)
    assert path.read_bytes() == home.read_bytes() == b"sealed"


def test_exclusive_creation_has_one_winner(mount):
    with open(mount.path / "f", "xb") as file:
        assert_refused(errno.EEXIST, open, mount.path / "f", "xb")
        file.write(b"winner")
    assert_refused(errno.EEXIST, open, mount.path / "f", "xb")
    assert (mount.path / "f").read_bytes() == b"winner"


def test_close_says_that_another_client_took_the_name(mount, two):
    with open(mount.path / "f", "wb") as file:
        file.write(b"late")
        file.flush()
        for server in two:
            assert server.put("/f", b"first").status == 200
        assert_refused(errno.EEXIST, os.fsync, file.fileno())
        descriptor = os.dup(file.fileno())
        assert_refused(errno.EEXIST, os.close, descriptor)
        os.unlink(mount.path / "f")  # given up: its bytes are not wanted
    assert [path.read_bytes() for path in stored(two, "f")] == [b"first", b"first"]


@pytest.mark.allow_errors
def test_bytes_that_no_name_is_left_for_are_kept_for_recovery(mount, two, run_dir):
    with pytest.raises(FileExistsError), open(mount.path / "f", "wb") as file:
        file.write(b"late")
        file.flush()
        for server in two:
            server.put("/f", b"first")
    recover = run_dir.parent / "cache" / "spool" / "recover"
    data = eventually(lambda: list(recover.glob("*.data")), 5, "bytes in recover/")
    assert [path.read_bytes() for path in data] == [b"late"]
    note = eventually(lambda: list(recover.glob("*.json")), 5)[0].read_text()
    assert '"path": "/f"' in note and "exists" in note.lower()


def test_commands_that_share_a_descriptor_write_one_file(mount, two):
    done = run("(echo a; echo b; /bin/echo c) > f; cat f", mount.path)
    assert (done.stdout, done.returncode) == ("a\nb\nc\n", 0), done.stderr
    assert await_stored(two, "f").read_bytes() == b"a\nb\nc\n"
    done = run("exec 5> g; echo 1 >&5; /bin/echo 2 >&5; exec 5>&-; cat g", mount.path)
    assert done.stdout == "1\n2\n", done.stderr
    assert await_stored(two, "g").read_bytes() == b"1\n2\n"


def test_random_access_until_the_close(mount, two):
    with open(mount.path / "f", "w+b") as file:
        os.posix_fallocate(file.fileno(), 0, 4096)
        file.seek(1 << 20)
        file.write(b"end")
        file.seek(10)
        file.write(b"middle")
        file.seek(0)
        file.write(b"start")
        file.flush()
        file.seek(10)
        assert file.read(6) == b"middle"
        file.truncate((1 << 20) + 2)
    expected = bytearray((1 << 20) + 2)
    expected[:5], expected[10:16], expected[1 << 20:] = b"start", b"middle", b"en"
    assert (mount.path / "f").read_bytes() == expected
    assert await_stored(two, "f").read_bytes() == expected
    done = run("dd if=/dev/zero of=g bs=1k seek=100 count=1 2>/dev/null; stat -c %s g", mount.path)
    assert done.stdout == f"{101 * 1024}\n", done.stderr


def test_memory_mapped_writing(mount, two):
    import mmap
    with open(mount.path / "f", "w+b") as file:
        file.truncate(100_000)
        with mmap.mmap(file.fileno(), 100_000) as memory:
            memory[50_000:50_005] = b"hello"
    assert await_stored(two, "f").read_bytes()[49_999:50_006] == b"\0hello\0"


def test_fsync_leaves_the_file_writable(mount, two):
    with open(mount.path / "f", "wb") as file:
        for piece in (b"one ", b"two ", b"three"):
            file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    assert await_stored(two, "f").read_bytes() == b"one two three"


def test_empty_files_and_directories(mount, two):
    done = run("touch t && mkdir -p a/b/c && mkdir -p a/b/c && touch a/b/c/t && ls -R", mount.path)
    assert done.returncode == 0, done.stderr
    assert "./a/b/c:\nt" in done.stdout
    assert await_stored(two, "t").read_bytes() == b""
    assert await_stored(two, "a/b/c/t").read_bytes() == b""
    assert_refused(errno.EEXIST, os.mkdir, mount.path / "a")
    assert_refused(errno.ENOTEMPTY, os.rmdir, mount.path / "a")
    assert_refused(errno.ENOENT, os.mkdir, mount.path / "x" / "y")


def test_a_temporary_file_is_renamed_before_its_seal(mount, two):
    (mount.path / ".f.Ab3dEf").write_bytes(b"new")
    os.rename(mount.path / ".f.Ab3dEf", mount.path / "f")
    assert os.listdir(mount.path) == ["f"]
    assert (mount.path / "f").read_bytes() == b"new"
    assert await_stored(two, "f").read_bytes() == b"new"
    assert stored(two, ".f.Ab3dEf") == []
    with open(mount.path / "open.part", "wb") as file:
        file.write(b"1")
        file.flush()
        os.rename(mount.path / "open.part", mount.path / "done")
        file.write(b"2")
    assert await_stored(two, "done").read_bytes() == b"12"


def test_a_temporary_file_that_is_not_renamed_is_sealed_within_three_seconds(mount, two):
    (mount.path / "x.tmp").write_bytes(b"kept")
    assert eventually(lambda: stored(two, "x.tmp"), 3)[0].read_bytes() == b"kept"


def test_an_unlinked_temporary_file_is_gone(mount, two):
    with open(mount.path / "f", "w+b") as file:
        file.write(b"scratch")
        os.unlink(mount.path / "f")
        file.seek(0)
        assert file.read() == b"scratch"
        assert os.listdir(mount.path) == []
    (mount.path / "g").write_bytes(b"g")
    await_stored(two, "g")
    assert stored(two, "f") == []


def test_an_unlinked_open_file_still_answers_its_writer(mount):
    with open(mount.path / "f", "w+b") as file:
        file.write(b"scratch")
        file.flush()
        os.unlink(mount.path / "f")
        found = os.fstat(file.fileno())
        assert (found.st_size, found.st_nlink) == (7, 0)
        os.ftruncate(file.fileno(), 3)
        assert os.fstat(file.fileno()).st_size == 3
        with open(mount.path / "f", "wb") as again:
            again.write(b"another file")
        assert os.fstat(file.fileno()).st_size == 3


@pytest.mark.skipif(not shutil.which("rsync"), reason="needs rsync")
def test_rsync(mount, two, tmp_path):
    source = tmp_path / "src"
    (source / "deep").mkdir(parents=True)
    for i in range(20):
        (source / "deep" / f"f{i}").write_bytes(os.urandom(i * 1000))
    for options in ("-a", "-a --inplace"):
        target = options.replace(" ", "")
        done = run(f"rsync {options} {source}/ {mount.path}/{target}/", tmp_path, 60)
        assert done.returncode == 0, done.stderr
        assert run(f"diff -r {source} {mount.path}/{target}", tmp_path).returncode == 0


def test_cp_and_tar_in_and_out(mount, tmp_path):
    source = tmp_path / "src"
    (source / "deep").mkdir(parents=True)
    for i in range(20):
        (source / "deep" / f"f{i}").write_bytes(os.urandom(i * 10_000))
    done = run(f"cp -a {source} {mount.path}/cp && diff -r {source} cp && "
               f"tar c -C {source} . | (mkdir tar && tar x -C tar) && diff -r {source} tar && "
               f"tar c tar | tar t | wc -l && mkdir mv && cp -r {source} {tmp_path}/again && "
               f"mv {tmp_path}/again mv/ && diff -r {source} mv/again", mount.path, 60)
    assert (done.returncode, done.stdout) == (0, "22\n" + ""), done.stdout + done.stderr


def test_a_writer_that_is_killed_leaves_nothing_visible(mount, two):
    writer = subprocess.Popen(["dd", "if=/dev/zero", f"of={mount.path}/half", "bs=64k"],
                              stderr=subprocess.DEVNULL)
    half = mount.path / "half"
    eventually(lambda: half.exists() and half.stat().st_size > 1 << 20, 10, "bytes written")
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    eventually(lambda: not half.exists(), 5, "the half file is gone")
    (mount.path / "next").write_bytes(b"x")
    await_stored(two, "next")
    assert stored(two, "half") == []


def test_seal_on_kill_keeps_what_a_killed_writer_wrote(two, mounts, way):
    mount = mounts(nodes=two, args=[*way, "--seal-on-kill"])
    writer = subprocess.Popen(["dd", "if=/dev/zero", f"of={mount.path}/half", "bs=64k"],
                              stderr=subprocess.DEVNULL)
    half = mount.path / "half"
    eventually(lambda: half.exists() and half.stat().st_size > 1 << 20, 10, "bytes written")
    writer.send_signal(signal.SIGKILL)
    writer.wait(10)
    assert await_stored(two, "half").stat().st_size > 1 << 20


def test_another_mount_sees_a_new_file_within_three_seconds(mount, two, mounts, tmp_path):
    other = mounts(nodes=two, env={"SKEIN_MOUNT_CACHE_DIR": str(tmp_path / "cache2")})
    assert os.listdir(other.path) == []
    (mount.path / "sub").mkdir()
    (mount.path / "sub" / "f").write_bytes(b"news")
    eventually(lambda: (other.path / "sub" / "f").exists(), 3)
    assert (other.path / "sub" / "f").read_bytes() == b"news"


def test_readers_of_a_file_being_written_see_its_bytes_and_outlive_the_seal(mount, two):
    with open(mount.path / "f", "wb") as writer:
        writer.write(b"a" * 5000)
        writer.flush()
        reader = open(mount.path / "f", "rb")
        assert reader.read(1000) == b"a" * 1000
        writer.write(b"b" * 5000)
    await_stored(two, "f")
    with reader:
        assert reader.read() == b"a" * 4000 + b"b" * 5000
    assert (mount.path / "f").read_bytes() == b"a" * 5000 + b"b" * 5000


def test_read_only_mounts_refuse_to_write(two, mounts):
    mount = mounts(nodes=two, args=["-o", "ro"])
    assert_refused(errno.EROFS, open, mount.path / "f", "wb")
    assert_refused(errno.EROFS, os.mkdir, mount.path / "d")
    assert os.listdir(mount.path) == []


def test_names_that_cannot_be_are_refused(mount):
    assert_refused(errno.ENAMETOOLONG, open, mount.path / ("n" * 256), "wb")
    assert_refused(errno.EPERM, os.mkdir, mount.path / ".skein")
    assert not (mount.path / ".skein").exists()
    strange = mount.path / "sp ace %41 ü # ? + \\ '"
    strange.write_bytes(b"strange")
    assert os.listdir(mount.path) == [strange.name]
    assert strange.read_bytes() == b"strange"


def test_many_small_files_at_once(mount, two):
    done = run("for i in $(seq 4); do (for j in $(seq 100); do echo $i $j > f$i.$j; done) & done; "
               "wait; ls | wc -l; cat f* | sort -u | wc -l", mount.path, 60)
    assert done.stdout.split() == ["400", "400"], done.stdout + done.stderr
    eventually(lambda: sum(len(list(s.root.glob("f*"))) for s in two) == 400, 5)


def test_df_counts_a_disk_once(mount, two):
    def of(path):
        found = os.statvfs(path)
        return found.f_blocks * found.f_frsize
    assert of(mount.path) == pytest.approx(of(two[0].root), rel=0.01)


def test_a_file_closed_just_before_umount_is_stored(two, mounts, way):
    mount = mounts(nodes=two, args=way)
    (mount.path / "last").write_bytes(b"x" * 100_000)
    (mount.path / "last.tmp").write_bytes(b"y")
    mount.stop()
    assert await_stored(two, "last").read_bytes() == b"x" * 100_000
    assert await_stored(two, "last.tmp").read_bytes() == b"y"


@pytest.mark.allow_errors
def test_a_file_open_at_the_forced_end_is_kept_for_recovery(two, mounts, way, run_dir):
    mount = mounts(nodes=two, args=way)
    file = open(mount.path / "f", "wb")
    file.write(b"half")
    file.flush()
    started = time.monotonic()
    for pid in mount.pids():
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not mount.pids(), 8, "ended although busy")
    assert time.monotonic() - started < 8
    assert not mount.is_mounted()
    with pytest.raises(OSError):
        file.write(b"more")
        file.close()
    recover = run_dir.parent / "cache" / "spool" / "recover"
    # Where the kernel writes past the mount, it may add to what is kept.
    assert [path.read_bytes()[:4] for path in recover.glob("*.data")] == [b"half"]
    assert stored(two, "f") == []
