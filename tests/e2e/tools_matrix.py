"""What real tools do in a mount: each row is run by test_mount_tools.py, and stands in the table of
skein-mount(8), "Tools", word for word.

Run as a program it prints that table: tests/e2e/tools_matrix.py
"""
import dataclasses

WORKS = "works"


@dataclasses.dataclass
class Row:
    tool: str
    script: str  # bash, in an empty folder of the mount; $S holds a, b, sub/c and sums
    outcome: str = WORKS  # or the errno that the tool's message names
    note: str = ""
    python: str = ""  # module that has to be there


SEALED = "printf sealed > f; until ! [ -w f ]; do sleep 0.02; done\n"


def python(tool, code, outcome=WORKS, note="", module=""):
    return Row(tool, f"/usr/bin/python3 - <<'CODE'\nimport os\nS = os.environ['S']\n{code}\nCODE\n",
               outcome, note, module)


ROWS = [
    Row("cp", "cp $S/a . && cmp $S/a a"),
    Row("cp -a", "cp -a $S d && diff -r $S d"),
    Row("cp over a sealed file", SEALED + "cp $S/a f", "EPERM"),
    Row("cp --sparse=always", "cp --sparse=always $S/a . && cmp $S/a a"),
    Row("rsync -a", "rsync -a $S/ d/ && diff -r $S d"),
    Row("rsync -a --inplace", "rsync -a --inplace $S/ d/ && diff -r $S d"),
    Row("rsync -a --size-only, again",
        "rsync -a $S/ d/ && sleep 0.2 && rsync -a --size-only --stats $S/ d/ | "
        "grep 'files transferred: 0'"),
    Row("rsync -a, again", "rsync -a $S/ d/; until ! [ -w d/a ]; do sleep 0.02; done; "
        "rsync -a $S/ d/", "EPERM", "times differ; take --size-only"),
    Row("tar x", "tar c -C $S . | tar x && diff -r $S ."),
    Row("tar c", "cp -r $S d && tar c d | tar x -C $T && diff -r $S $T/d"),
    Row("mv into it", "cp -r $S $T/in && mv $T/in . && diff -r $S in && ! [ -e $T/in ]"),
    Row("mv out of it", SEALED + "mv f $T/out", "EPERM", "copied, and the file stays"),
    Row("mv of one's own .part file", "printf x > f.part && mv f.part f && cat f"),
    Row("mv of a sealed file", SEALED + "mv f g", "EPERM"),
    Row("touch, new", "touch f && [ -f f ] && ! [ -s f ]"),
    Row("touch, sealed", SEALED + "touch -d 2001-01-01 f", note="without effect"),
    Row("mkdir -p", "mkdir -p a/b/c && mkdir -p a/b/c && [ -d a/b/c ]"),
    Row("rmdir, empty own", "mkdir -p d/e && rmdir d/e && rmdir d && ! [ -e d ]",
        note="on nodes of this host"),
    Row("rmdir, not empty", "mkdir d && touch d/f && ! rmdir d && [ -f d/f ]", note="refused"),
    Row("rm", SEALED + "rm -f f", "EPERM"),
    Row("chmod, chown", SEALED + "chmod 600 f && chown 1:1 f", note="without effect"),
    Row("ln", SEALED + "ln f g", "EPERM"),
    Row("ln -s", "ln -s x g", "EPERM"),
    Row("mkfifo", "mkfifo p", "EPERM"),
    Row("dd of=", "dd if=$S/a of=a bs=4k status=none && cmp $S/a a"),
    Row("dd seek=", "dd if=$S/a of=a bs=4k seek=3 status=none && cmp -i 0:12288 $S/a a"),
    Row("dd conv=notrunc, sealed", SEALED + "dd if=$S/a of=f conv=notrunc status=none", "EPERM"),
    Row("cat >", "cat $S/a > a && cmp $S/a a"),
    Row("(cmd1; cmd2) >", "(echo 1; /bin/echo 2) > f && [ \"$(cat f)\" = \"$(printf '1\\n2')\" ]"),
    Row("cmd >>, new", "echo 1 >> f && [ \"$(cat f)\" = 1 ]"),
    Row("cmd >>, sealed", SEALED + "echo 1 >> f", "EPERM"),
    Row("truncate, sealed", SEALED + "truncate -s 0 f", "EPERM"),
    Row("tee", "tee f g < $S/a > /dev/null && cmp $S/a f && cmp $S/a g"),
    Row("find", "cp -r $S d && [ $(find d -type f -size +0 | wc -l) = 4 ]"),
    Row("du", "cp $S/a . && [ $(du -b a | cut -f1) = $(stat -c %s $S/a) ]"),
    Row("df", "[ $(df --output=size . | tail -1) -gt 0 ]"),
    Row("stat", "cp $S/a . && [ $(stat -c %s a) = $(stat -c %s $S/a) ]"),
    Row("ls -lR", "cp -r $S d && ls -lR d | grep -w c"),
    Row("sha256sum -c", "cp -r $S d && cd d && sha256sum -c sums"),
    Row("grep -r", "cp -r $S d && grep -rl needle d | grep sub/c"),
    Row("zip", "zip -qr x.zip $S && unzip -tq x.zip"),
    Row("unzip", "(cd $S && zip -qr $T/x.zip .) && unzip -q $T/x.zip && diff -r $S ."),
    Row("gzip", SEALED + "gzip f", "EPERM", "f.gz is written, and f stays"),
    Row("sed -i, sealed", SEALED + "sed -i s/a/b/ f", "EPERM"),
    Row("sqlite3, new database",
        "sqlite3 x.db 'create table t(a); insert into t values(7)' && "
        "[ $(sqlite3 x.db 'select a from t') = 7 ]"),
    Row("sqlite3, sealed database",
        "sqlite3 $T/x.db 'create table t(a)' && cp $T/x.db . && "
        "until ! [ -w x.db ]; do sleep 0.02; done; sqlite3 x.db 'insert into t values(1)'",
        "readonly database"),
    Row("git clone", "git init -q $T/r && git -C $T/r -c user.name=n -c user.email=e commit -q "
        "--allow-empty -m x && git clone -q $T/r r", "EPERM", "git rewrites its own files"),
    Row("git clone --separate-git-dir",
        "git init -q $T/r && cp $S/a $T/r && git -C $T/r add a && git -C $T/r -c user.name=n "
        "-c user.email=e commit -q -m x && git clone -q --separate-git-dir $T/g $T/r r && "
        "cmp $S/a r/a", note="with the folder elsewhere"),
    python("python open, w x a r+", """
for mode in 'w', 'x', 'a', 'w+':
    with open('f' + mode, mode) as file:
        file.write('12')
        file.flush()
        if mode == 'w+':
            file.seek(0); assert file.read() == '12'
    assert open('f' + mode).read() == '12'
with open('g', 'wb') as one, open('g', 'r+b') as two:
    one.write(b'12'); one.flush()
    two.seek(1); two.write(b'3')
assert open('g').read() == '13'"""),
    python("python open r+, sealed", """
import time
open('f', 'w').close()
while os.access('f', os.W_OK): time.sleep(0.02)
open('f', 'r+')""", "EPERM"),
    python("python mmap", """
import mmap
with open('f', 'w+b') as file:
    file.truncate(100000)
    with mmap.mmap(file.fileno(), 100000) as memory: memory[50000:50005] = b'hello'
with open('f', 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as memory:
    assert memory[50000:50005] == b'hello' and len(memory) == 100000"""),
    python("numpy.save, savez, load", """
import numpy
a = numpy.arange(100000).reshape(100, 1000)
numpy.save('a.npy', a); numpy.savez('a.npz', a=a)
assert (numpy.load('a.npy') == a).all() and (numpy.load('a.npz')['a'] == a).all()
assert (numpy.load('a.npy', mmap_mode='r')[7] == a[7]).all()""", module="numpy"),
    python("numpy.memmap w+", """
import numpy
m = numpy.memmap('m', dtype='u2', mode='w+', shape=(100, 1000))
m[50] = 7; m.flush(); del m
m = numpy.memmap('m', dtype='u2', mode='r', shape=(100, 1000))
assert m[50].sum() == 7000 and m[51].sum() == 0""", module="numpy"),
    python("h5py w, r", """
import h5py
with h5py.File('x.h5', 'w') as file: file['a'] = list(range(10000))
with h5py.File('x.h5', 'r') as file: assert file['a'][9999] == 9999""",
           note="with HDF5's file locking", module="h5py"),
    python("h5py a, new", """
import h5py
with h5py.File('x.h5', 'a') as file: file.create_dataset('a', (10,), maxshape=(None,))
with h5py.File('x.h5', 'r') as file: assert len(file['a']) == 10""", module="h5py"),
    python("h5py a, sealed", """
import h5py, time
with h5py.File('x.h5', 'w') as file: file['a'] = [1]
while os.access('x.h5', os.W_OK): time.sleep(0.02)
h5py.File('x.h5', 'a')""", "EPERM", module="h5py"),
    python("tifffile.imwrite, imread", """
import numpy, tifffile
a = numpy.arange(60000, dtype='u2').reshape(3, 100, 200)
tifffile.imwrite('x.tif', a, compression=None)
with tifffile.TiffWriter('y.tif') as out:
    for plane in a: out.write(plane, contiguous=True)
assert (tifffile.imread('x.tif') == a).all() and (tifffile.imread('y.tif') == a).all()""",
           module="tifffile"),
    python("PIL save, open", """
from PIL import Image
Image.new('I;16', (200, 100), 7).save('x.tif'); Image.new('RGB', (9, 9), 'red').save('x.png')
assert Image.open('x.tif').getpixel((5, 5)) == 7 and Image.open('x.png').size == (9, 9)""",
           module="PIL"),
    python("zarr", """
import zarr
z = zarr.open('x.zarr', mode='w', shape=(100, 100), chunks=(50, 50), dtype='i4')
z[:] = 7
assert (zarr.open('x.zarr', mode='r')[:] == 7).all()""",
           note="each chunk is written once", module="zarr"),
]


def manual_rows():
    """The lines of the manual's table."""
    return [rf".It {row.tool} Ta {row.outcome} Ta {row.note or chr(92) + '&'}" for row in ROWS]


if __name__ == "__main__":
    print("\n".join(manual_rows()))
