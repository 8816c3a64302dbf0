"""What no node took of a recording is in the recovery folder, and is sent from there."""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios

import pytest
from harness import SKEIN, built, eventually, skein


@pytest.fixture
def start():
    """Starts `skein stream --json` with the words; ends it with the test."""
    processes = []

    def started(node, *words, env=None, **streams):
        command = [built(SKEIN), "--node", node.url, "stream", *map(str, words)]
        processes.append(subprocess.Popen(command, text=True, env={**os.environ, **(env or {})},
                                          **{"stdout": subprocess.PIPE, **streams}))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def files_in(folder):
    """{cluster path: bytes} of all runs."""
    return {str(file.relative_to(run)): file.read_bytes()
            for run in folder.glob("*") for file in run.rglob("*") if file.is_file()}


def connections_to(port):
    """Open at the server's side, also if the client has gone."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if os.path.exists(table):
            with open(table, encoding="ascii") as lines:
                words = [line.split() for line in lines][1:]
            count += sum(int(w[1].rpartition(":")[2], 16) == port and w[3] in ("01", "08") for w in words)
    return count


def test_what_a_recording_killed_in_mid_spill_left_is_sent_once(servers, start, tmp_path):
    node, other = servers(), servers()
    kept = tmp_path / "kept"
    recording = start(node, "--json", "--spill", "--recovery", kept, "--queue-mb", 8, "--fps", 400,
                      "--simulate", "256x256", "--frames", 100000, "--buffer-ms", 60000, "/run.pcs")
    recording.stdout.readline()
    node.suspend()
    eventually(lambda: len(files_in(kept)) > 30, 20, "files are spilled")
    busy = skein("stream", "--left-behind", "--recovery", kept, nodes=[other])
    assert busy.returncode == 0 and "nothing is left" in busy.stderr, "a living recording's"
    recording.send_signal(signal.SIGKILL)
    recording.wait(10)
    node.resume()
    # It goes on reading what the recording had sent: a stall's time later the same frame may have
    # been spilled too, and it would come to have two copies.
    eventually(lambda: connections_to(node.port) == 0, 30, "the node has read what was sent")
    spilled = files_in(kept)
    assert all(len(content) == 64 + 2 * 256 * 256 for content in spilled.values())
    # One that the killed recording had sent, unknown to it: no second copy is made.
    sent = sorted(spilled)[-1]
    assert other.put("/" + sent, spilled[sent]).status < 300

    unreachable = skein("stream", "--left-behind", "--recovery", kept, nodes=["127.0.0.1:9"])
    assert unreachable.returncode == 3 and files_in(kept) == spilled
    done = skein("stream", "--left-behind", "--json", "--recovery", kept, nodes=[node, other])
    assert done.returncode == 0, done.stderr
    *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
    # Of 100,000 frames: the series is not ended, and what ends it is said.
    assert not last["series"]["marker"] and last["series"]["expected"] == 100000
    assert "skein series complete /run.pcs" in done.stderr
    assert sorted(line["path"] for line in lines) == sorted("/" + path for path in spilled)
    assert all(line["ok"] and line["size_bytes"] == 64 + 2 * 256 * 256 for line in lines)
    for path, content in spilled.items():
        copies = [s.root / path for s in (node, other) if (s.root / path).exists()]
        assert [copy.read_bytes() for copy in copies] == [content], path
    assert list(kept.glob("*")) == []
    again = skein("stream", "--left-behind", "--recovery", kept, nodes=[node])
    assert again.returncode == 0 and "nothing is left behind" in again.stderr


def test_a_frame_that_fails_is_kept_in_the_users_state_folder_until_it_is_sent(servers, start,
                                                                              tmp_path):
    node = servers()
    env = {"XDG_STATE_HOME": str(tmp_path), "SKEIN_CLUSTER": "lab/2"}
    recording = start(node, "--json", "--fps", 20, "--simulate", "8x8", "--frames", 30, "/run.pcs",
                      env=env, stderr=subprocess.PIPE)
    recording.stdout.readline()
    assert node.put("/run.pcs/frame00025.pzf", b"somebody else's").status < 300
    _, errors = recording.communicate(timeout=30)
    folder = tmp_path / "skein/stream/lab%2F2"
    assert recording.returncode == 1
    assert "1 files" in errors and f"--left-behind --recovery {folder}`" in errors
    frame = files_in(folder)
    assert list(frame) == ["run.pcs/frame00025.pzf"]
    # Another one is stored; the series is not ended while the name of the first is somebody else's.
    kept, = folder.rglob("frame00025.pzf")
    shutil.move(node.root / "run.pcs/frame00024.pzf", kept.with_name("frame00024.pzf"))
    taken = skein("stream", "--left-behind", "--json", nodes=[node], env=env)
    assert taken.returncode == 1 and files_in(folder) == frame
    assert (node.root / "run.pcs/frame00024.pzf").exists()
    assert not (node.root / "run.pcs/events.json").exists()
    sent, answer = map(json.loads, taken.stdout.splitlines())
    assert sent["path"] == "/run.pcs/frame00024.pzf" and sent["ok"]
    assert answer["path"] == "/run.pcs/frame00025.pzf" and not answer["ok"]
    assert str(folder) in answer["kept_as"] and "exists" in answer["error"]
    assert taken.stderr.count("\n") == 1
    (node.root / "run.pcs/frame00025.pzf").unlink()
    done = skein("stream", "--left-behind", nodes=[node], env=env)
    assert done.returncode == 0 and "1 files sent, 0 left" in done.stdout
    # That was the last one missing: the series is ended.
    assert "/run.pcs: complete: 30 of 30 frames" in done.stdout
    final = json.loads((node.root / "run.pcs/final_metadata.json").read_text())
    first = json.loads((node.root / "run.pcs/metadata.json").read_text())
    assert final == {**first, "Skein.Frames": 30} and final["SizeT"] == 30
    assert json.loads((node.root / "run.pcs/events.json").read_text()) == []
    checked = skein("series", "check", "/run.pcs", nodes=[node])
    assert checked.returncode == 0 and "complete: 30 of 30 frames" in checked.stdout
    assert {"run.pcs/frame00025.pzf": (node.root / "run.pcs/frame00025.pzf").read_bytes()} == frame
    for words in (("--simulate", "8x8"), ("/a",), ("--preflight",)):
        assert skein("stream", "--left-behind", *words, nodes=[node], env=env).returncode == 2


def test_the_live_line_tells_headroom_spilled_bytes_and_the_slowest_node(servers, start, tmp_path):
    node = servers()
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    start(node, "--spill", "--recovery", tmp_path, "--queue-mb", 8, "--spill-mb", 64, "--fps", 200,
          "--simulate", "256x256", "--frames", 100000, "/run.pcs", stdout=subprocess.DEVNULL, stderr=its)

    text = ""

    def shows(pattern):
        nonlocal text
        text = (text + os.read(mine, 65536).decode()).rpartition("\r")[2]
        return re.search(pattern, text)

    eventually(lambda: shows(r"stored \d+  lost 0  headroom "), 20, "the line")
    node.suspend()
    eventually(lambda: shows(r"headroom \d+\.\d s  .*  spilled \S+  slowest \S"), 20, "the stopped node")
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    eventually(lambda: shows(r"^[\d,]+ of 100,000 frames  stored [^\x1b]*\x1b\[K") and
               shows(r"^[^\x1b]{39}\x1b\[K"), 20, "no more than fits a narrow terminal")
    node.resume()
    os.close(its)
    os.close(mine)
