"""POSIX on a mount, in the manner of pjdfstest: what a write-once filesystem can promise.

Not promised, and why (skein-mount(8), "POSIX"): links, devices, FIFOs, sockets and symbolic links
(a node stores files and folders), modes, owners and times of one's own choice (listings carry
none), change or removal of what is sealed, removal and renaming of directories (nodes keep what
they have), locks between hosts.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import stat
import threading

import pytest
from harness import eventually, needs_fuse, needs_root

pytestmark = [needs_fuse, needs_root]

WAYS = {"passthrough": [], "lane": ["--no-passthrough"], "http": ["--no-bypass"]}


@pytest.fixture(params=WAYS)
def root(request, servers, mounts):
    return mounts(nodes=[servers(), servers()], args=WAYS[request.param]).path


def refused(code, call, *args, **named):
    with pytest.raises(OSError) as error:
        call(*args, **named)
    assert error.value.errno == code, error.value


def write(path, data=b"x"):
    path.write_bytes(data)
    return path


def sealed(path, data=b"x"):
    write(path, data)
    eventually(lambda: not os.access(path, os.W_OK), 5)
    return path


def test_open(root):
    write(root / "f")
    os.mkdir(root / "d")
    refused(errno.ENOENT, os.open, root / "none", os.O_RDONLY)
    refused(errno.ENOENT, os.open, root / "none" / "f", os.O_CREAT | os.O_WRONLY)
    refused(errno.ENOTDIR, os.open, root / "f" / "g", os.O_CREAT | os.O_WRONLY)
    refused(errno.ENOTDIR, os.open, root / "f", os.O_RDONLY | os.O_DIRECTORY)
    refused(errno.EISDIR, os.open, root / "d", os.O_WRONLY)
    refused(errno.EISDIR, os.open, root / "d", os.O_RDWR)
    refused(errno.EEXIST, os.open, root / "d", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refused(errno.EEXIST, os.open, root / "f", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    refused(errno.ENAMETOOLONG, os.open, root / ("n" * 256), os.O_CREAT | os.O_WRONLY)
    refused(errno.ENOENT, os.open, "", os.O_RDONLY)
    longest = write(root / ("n" * 255))
    assert longest.read_bytes() == b"x"


def test_open_flags(root):
    descriptor = os.open(root / "f", os.O_CREAT | os.O_RDWR | os.O_APPEND)
    assert os.write(descriptor, b"one") == 3
    os.lseek(descriptor, 0, os.SEEK_SET)
    assert os.write(descriptor, b"two") == 3  # appended wherever the offset stood
    second = os.open(root / "f", os.O_WRONLY | os.O_APPEND)
    os.write(second, b"three")
    os.close(second)
    os.write(descriptor, b"four")
    assert os.pread(descriptor, 99, 0) == b"onetwothreefour"
    third = os.open(root / "f", os.O_WRONLY | os.O_TRUNC)
    assert os.fstat(descriptor).st_size == 0
    os.write(third, b"new")
    os.close(third)
    os.close(descriptor)
    assert (root / "f").read_bytes() == b"new"
    read_only = os.open(root / "g", os.O_CREAT | os.O_RDONLY)
    refused(errno.EBADF, os.write, read_only, b"x")
    os.close(read_only)
    assert (root / "g").read_bytes() == b""
    write_only = os.open(root / "h", os.O_CREAT | os.O_WRONLY)
    refused(errno.EBADF, os.read, write_only, 1)
    os.close(write_only)


def test_truncate_and_ftruncate(root):
    with open(root / "f", "w+b") as file:
        for size in (0, 1, 4096, 1_000_000, 5, 0, 12345):
            os.ftruncate(file.fileno(), size)
            assert os.fstat(file.fileno()).st_size == os.stat(root / "f").st_size == size
        os.truncate(root / "f", 100)
        assert file.read() == bytes(100)
        refused(errno.EINVAL, os.ftruncate, file.fileno(), -1)
    refused(errno.ENOENT, os.truncate, root / "none", 0)
    os.mkdir(root / "d")
    refused(errno.EISDIR, os.truncate, root / "d", 0)
    refused(errno.EPERM, os.truncate, sealed(root / "s"), 0)


def test_sparse_files_and_fallocate(root):
    with open(root / "f", "w+b") as file:
        os.pwrite(file.fileno(), b"end", 8 << 20)
        os.posix_fallocate(file.fileno(), 0, 4096)
        assert os.lseek(file.fileno(), 0, os.SEEK_END) == (8 << 20) + 3
        libc = ctypes.CDLL(None, use_errno=True)
        keep_size, punch_hole = 1, 2
        os.pwrite(file.fileno(), b"x" * 8192, 0)
        assert libc.fallocate(file.fileno(), keep_size | punch_hole, ctypes.c_long(0),
                              ctypes.c_long(4096)) == 0, os.strerror(ctypes.get_errno())
        assert os.pread(file.fileno(), 8192, 0) == bytes(4096) + b"x" * 4096
        data = os.lseek(file.fileno(), 100_000, os.SEEK_DATA)
        assert 100_000 <= data <= 8 << 20
    assert (root / "f").read_bytes()[-4:] == b"\0end"


def test_positions(root):
    with open(root / "f", "w+b", buffering=0) as file:
        refused(errno.EINVAL, os.lseek, file.fileno(), -1, os.SEEK_SET)
        assert os.pwrite(file.fileno(), b"abc", 10) == 3
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 0
        assert os.pread(file.fileno(), 99, 11) == b"bc"
        assert os.pread(file.fileno(), 99, 13) == b""
        assert os.writev(file.fileno(), [b"one", b"", b"two"]) == 6
        assert os.preadv(file.fileno(), [bytearray(3)], 3) == 3


def test_two_descriptors_see_each_other(root):
    with open(root / "f", "w+b", buffering=0) as one, open(root / "f", "r+b", buffering=0) as two:
        one.write(b"hello")
        assert two.read() == b"hello"
        two.seek(0)
        two.write(b"J")
        assert os.pread(one.fileno(), 5, 0) == b"Jello"
        duplicate = os.dup(one.fileno())
        os.write(duplicate, b"!")
        os.close(duplicate)
        assert os.fstat(two.fileno()).st_size == 6
        one.write(b"?")  # a close of the duplicate sealed nothing
    assert (root / "f").read_bytes() == b"Jello!?"


def test_mappings(root):
    with open(root / "f", "w+b") as file:
        os.ftruncate(file.fileno(), 3 * mmap.PAGESIZE)
        shared = mmap.mmap(file.fileno(), 3 * mmap.PAGESIZE)
    shared[mmap.PAGESIZE] = 7  # after the close: the mapping holds the file open
    shared.flush()
    shared.close()
    expected = bytes(mmap.PAGESIZE) + b"\7" + bytes(2 * mmap.PAGESIZE - 1)
    eventually(lambda: (root / "f").read_bytes() == expected, 5)
    with open(root / "f", "rb") as file:
        private = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        private[0] = 1
        private.close()
        refused(errno.EACCES, mmap.mmap, file.fileno(), 0, access=mmap.ACCESS_WRITE)
    assert (root / "f").read_bytes() == expected


def test_unlink(root):
    refused(errno.ENOENT, os.unlink, root / "none")
    os.mkdir(root / "d")
    refused(errno.EISDIR, os.unlink, root / "d")
    refused(errno.EPERM, os.unlink, sealed(root / "s"))
    refused(errno.ENOTDIR, os.unlink, root / "s" / "x")
    with open(root / "f", "w+b") as file:
        os.unlink(root / "f")
        refused(errno.ENOENT, os.stat, root / "f")
        file.write(b"nameless")
        file.seek(0)
        assert file.read() == b"nameless"
    assert sorted(os.listdir(root)) == ["d", "s"]


def test_rename(root):
    os.mkdir(root / "d")
    os.mkdir(root / "e")
    with open(root / "f", "wb") as file:
        file.write(b"1")
        os.rename(root / "f", root / "d" / "g")
        refused(errno.ENOENT, os.stat, root / "f")
        assert os.stat(root / "d" / "g").st_ino == os.fstat(file.fileno()).st_ino
        os.rename(root / "d" / "g", root / "d" / "g")
        refused(errno.ENOENT, os.rename, root / "d" / "g", root / "none" / "g")
        refused(errno.EISDIR, os.rename, root / "d" / "g", root / "e")
        refused(errno.ENAMETOOLONG, os.rename, root / "d" / "g", root / ("n" * 256))
        with open(root / "d" / "h", "wb") as other:
            other.write(b"replaced")
            os.replace(root / "d" / "g", root / "d" / "h")
            assert os.listdir(root / "d") == ["h"]
    assert (root / "d" / "h").read_bytes() == b"1"
    sealed(root / "s")
    refused(errno.EPERM, os.rename, root / "s", root / "t")
    refused(errno.EPERM, os.rename, root / "d", root / "x")
    refused(errno.ENOENT, os.rename, root / "none", root / "t")


def test_directories(root):
    os.makedirs(root / "a" / "b")
    refused(errno.EEXIST, os.mkdir, root / "a")
    refused(errno.ENOENT, os.mkdir, root / "none" / "x")
    refused(errno.ENOTDIR, os.mkdir, write(root / "f") / "x")
    refused(errno.ENAMETOOLONG, os.mkdir, root / ("n" * 256))
    refused(errno.ENOTEMPTY, os.rmdir, root / "a")
    refused(errno.ENOTDIR, os.rmdir, root / "f")
    refused(errno.ENOENT, os.rmdir, root / "none")
    assert os.stat(root / "a").st_ino != os.stat(root / "a" / "b").st_ino
    assert os.path.samefile(root / "a" / "b" / "..", root / "a")
    assert stat.S_ISDIR(os.stat(root / "a").st_mode)
    names = {"x", "Ünï", "a b", "-n", "*", "tab\there", "new\nline", "." * 3}
    for name in names:
        write(root / "a" / name)
    assert set(os.listdir(root / "a")) == names | {"b"}


def test_what_is_not_stored_is_refused(root):
    refused(errno.EPERM, os.symlink, "x", root / "l")
    refused(errno.EPERM, os.link, sealed(root / "s"), root / "l")
    refused(errno.EPERM, os.mkfifo, root / "p")
    refused(errno.EPERM, os.mknod, root / "n", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    folder = os.open(root, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as unix:
        refused(errno.EPERM, unix.bind, f"/proc/self/fd/{folder}/u")
    os.close(folder)
    refused(errno.ENOTSUP, os.setxattr, root / "s", "user.x", b"1")
    assert os.listdir(root) == ["s"]


def test_attributes(root):
    with open(root / "f", "wb") as file:
        file.write(b"12345")
        file.flush()
        found = os.fstat(file.fileno())
        assert (found.st_size, found.st_nlink) == (5, 1)
        assert stat.S_ISREG(found.st_mode)
        os.fchmod(file.fileno(), 0o600)
        os.fchown(file.fileno(), 1, 1)
        os.utime(file.fileno(), (1, 1))
    found = os.stat(sealed(root / "s", b"123"))
    assert (found.st_size, stat.S_IMODE(found.st_mode)) == (3, 0o444)
    assert os.access(root / "s", os.R_OK) and not os.access(root / "s", os.W_OK)
    again = os.stat(root / "s")
    assert (again.st_ino, again.st_mtime) == (found.st_ino, found.st_mtime)
    assert os.statvfs(root).f_namemax == 255


def test_locks_between_processes_of_this_host(root):
    with open(root / "f", "w+b") as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        with open(root / "f", "r+b") as two:
            refused(errno.EAGAIN, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(one, fcntl.LOCK_UN)
        fcntl.lockf(one, fcntl.LOCK_EX)
        one.write(b"x")
    assert (root / "f").read_bytes() == b"x"


def test_a_racing_exclusive_creation_has_one_winner(root):
    wins = []

    def race(i):
        try:
            with open(root / "f", "xb") as file:
                file.write(b"%d" % i)
                wins.append(i)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=race, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wins) == 1
    assert (root / "f").read_bytes() == b"%d" % wins[0]


def test_reading_a_directory_again_and_from_the_middle(root):
    for i in range(300):
        write(root / f"f{i}")
    with os.scandir(root) as found:
        names = {entry.name for entry in found if entry.is_file()}
    assert names == {f"f{i}" for i in range(300)}
    write(root / "later")
    assert "later" in os.listdir(root)
