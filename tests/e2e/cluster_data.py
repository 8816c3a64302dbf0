"""Instrument data for the tests of a whole cluster, with the checksums it was made with."""
import hashlib
import pathlib
import shutil
import subprocess

import harness

REAL_DATA = harness.REPOSITORY.parent / "shared" / "data"


def make(folder):
    """A folder `session` with an image stack, a camera series and, where ../shared/data is there,
    the real measurements of it. Returns {path below `folder`: SHA-256}."""
    session = pathlib.Path(folder) / "session"
    session.mkdir(parents=True)
    sums = generate("stack", session / "stack.tif") | generate("series", session / "run1.pcs")
    if REAL_DATA.is_dir():
        (session / "real").mkdir()
        for source in sorted(REAL_DATA.iterdir()):
            target = session / "real" / source.name
            shutil.copyfile(source, target)
            sums[f"session/real/{source.name}"] = hashlib.sha256(source.read_bytes()).hexdigest()
    return sums


def generate(kind, path):
    made = subprocess.run([str(harness.REPOSITORY / "tools" / "demo_data.py"), kind, str(path)],
                          capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    pairs = (line.split("  ", 1) for line in made.stdout.splitlines())
    return {f"session/{name}": checksum for checksum, name in pairs}


def assert_sums_hold(folder, sums, list_file):
    """`sha256sum -c` over all of them, read below `folder`."""
    list_file.write_text("".join(f"{value}  {path}\n" for path, value in sums.items()))
    checked = subprocess.run(["sha256sum", "-c", "--quiet", str(list_file)], cwd=folder,
                             capture_output=True, text=True, timeout=60 * harness.SLOW)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def curl(url, timeout=10):
    """Body of one GET by curl, or None for an HTTP error."""
    got = subprocess.run(["curl", "-sSf", "--max-time", str(timeout), url], capture_output=True,
                         timeout=(timeout + 5) * harness.SLOW)
    assert got.returncode in (0, 22), f"curl {url}: {got.stderr.decode()}"
    return got.stdout if got.returncode == 0 else None
