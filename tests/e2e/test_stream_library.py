"""libskein-streamer as instrument software meets it: the examples, built against what is installed."""
import os
import pathlib
import shutil
import subprocess

import pytest
from frame_reader import Frame
from harness import BUILD, REPOSITORY, skein

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment of a user of the package, installed into a folder of its own."""
    root = tmp_path_factory.mktemp("installed")
    done = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet",
                           "--destdir", str(root)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    package = next(root.rglob("skein-streamer.pc"))
    return {**os.environ, "PKG_CONFIG_PATH": str(package.parent), "PKG_CONFIG_SYSROOT_DIR": str(root),
            "LD_LIBRARY_PATH": str(package.parent.parent)}


def run(command, environment, timeout=60):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **environment})


@pytest.fixture(scope="module")
def program(installed, tmp_path_factory):
    def build(source, compiler):
        if shutil.which(compiler) is None:
            pytest.skip(f"no {compiler}")
        flags = run(["pkg-config", "--cflags", "--libs", "skein-streamer"], installed)
        assert flags.returncode == 0, flags.stderr
        made = tmp_path_factory.mktemp("program") / "camera"
        built = run([compiler, "-Wall", "-Wextra", "-Werror", EXAMPLES / source, *flags.stdout.split(),
                     "-o", made], installed)
        assert built.returncode == 0, built.stderr
        return made

    return build


def expected_pixels(n):
    return tuple(100 + (i * 7 + n) % 50 for i in range(64 * 48))


@pytest.mark.skipif("sanitize" in str(BUILD) or "san" in BUILD.name, reason="not with a sanitizer")
@pytest.mark.parametrize("source, compiler, suffix, says", [
    ("camera.c", "cc", "pzf", "60 frames stored\n"),
    ("camera.cc", "c++", "szf", "0 frames missing, 0 refused\n")])
def test_the_example_camera_records_a_series(servers, installed, program, source, compiler, suffix,
                                             says):
    nodes = [servers(), servers()]
    camera = program(source, compiler)
    arguments = [",".join(s.url for s in nodes), "lab/run.pcs", 60]
    done = run([camera, *arguments], installed)
    assert (done.returncode, done.stdout, done.stderr) == (0, says, "")
    checked = skein("series", "check", "--decode", "/lab/run.pcs", nodes=nodes)
    assert checked.returncode == 0 and "complete: 60 of 60" in checked.stdout, checked
    for n in (0, 49, 50, 59):
        found = [s.root / f"lab/run.pcs/frame{n:05d}.{suffix}" for s in nodes]
        file = next(path for path in found if path.exists())
        assert Frame(file.read_bytes()).pixels() == expected_pixels(n)
    again = run([camera, *arguments], installed)
    assert again.returncode == 1 and "exists" in again.stderr


LOGGING = """
#include <skein/skein_stream.hpp>
#include <cstdio>
#include <cstdlib>
int main(int, char** argv) {  // NODE SERIES PID [callback]
  if (argv[4]) {
    skein_stream::log_to([](int, const char*) { std::abort(); });  // replaced: never called
    skein_stream::log_to([](int level, const char* text) { std::printf("%d %s\\n", level, text); });
  }
  skein_stream::Cluster cluster("", argv[1]);
  skein_stream::Options options;
  options.path = argv[2];
  options.width = options.height = 8;
  skein_stream::Series series(cluster, options);
  if (std::system((std::string("kill -STOP ") + argv[3]).c_str()) != 0) return 1;
  char pixels[128] = {};
  return series.submit(0, pixels, sizeof pixels, 0) ? 0 : 1;  // closed with the frame on its way
}
"""


@pytest.mark.skipif("san" in BUILD.name, reason="not with a sanitizer")
def test_the_log_goes_to_the_function_or_standard_error_and_never_to_standard_output(
        servers, installed, program, tmp_path):
    (tmp_path / "logging.cc").write_text(LOGGING)
    made = program(tmp_path / "logging.cc", "c++")
    given_up = "streamer ended with files on their way: files=1"
    for number, words in enumerate(([], ["callback"])):
        node = servers()
        done = run([made, node.url, f"run{number}.pcs", node.process.pid, *words], installed)
        node.resume()
        assert done.returncode == 0, done
        if words:
            assert done.stderr == "" and f"1 {given_up}" in done.stdout
            assert "0 node joined" in done.stdout
        else:
            assert done.stdout == "" and done.stderr.startswith(f"skein-streamer: {given_up}")


@pytest.mark.skipif("san" in BUILD.name, reason="not with a sanitizer")
def test_the_example_stores_files_and_names_those_it_could_not(servers, installed, program, tmp_path):
    nodes = [servers(), servers()]
    made = program("put_files.c", "cc")
    files = [tmp_path / f"f{n}.bin" for n in range(20)]
    for n, file in enumerate(files):
        file.write_bytes(os.urandom(5000 * n))
    assert nodes[0].put("/lab/f3.bin", b"somebody else's").status < 300
    assert nodes[1].put("/lab/f3.bin", b"somebody else's").status < 300
    urls = ",".join(s.url for s in nodes)
    done = run([made, urls, "lab", *files], installed)
    assert (done.returncode, done.stdout) == (1, "19 of 20 files stored\n"), done
    assert done.stderr.startswith("put_files: lab/f3.bin: PUT lab/f3.bin on ")
    assert done.stderr.endswith(": file exists\n") and done.stderr.count("\n") == 1
    for file in files[:3] + files[4:]:
        found = [s.root / "lab" / file.name for s in nodes]
        assert [copy.read_bytes() for copy in found if copy.exists()] == [file.read_bytes()]
    again = run([made, urls, "day2", *files], installed)
    assert (again.returncode, again.stdout, again.stderr) == (0, "20 of 20 files stored\n", "")
    nowhere = run([made, urls, "day3", tmp_path / "none"], installed)
    assert (nowhere.returncode, nowhere.stdout) == (1, "0 of 1 files stored\n")


FILES = """
#include <skein/skein_stream.hpp>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#define MUST(what) if (!(what)) return std::printf("%s: %s\\n", #what, skein_error_text()), 1
std::atomic<int> stored = 0, failed = 0;
int main(int, char** argv) {  // NODES FOLDER
  skein_stream::Cluster cluster("", argv[1]);
  skein_stream::FilesOptions options;
  options.recovery_folder = argv[2];
  options.on_done = [](void* context, uint64_t, const char*, const char* error) {
    if (std::strcmp(static_cast<const char*>(context), "mine") != 0) std::abort();
    ++(error ? failed : stored);
  };
  options.context = const_cast<char*>("mine");
  skein_stream::Files files(cluster, options);
  for (int n = 0; n < 30; ++n) MUST(files.put("k/" + std::to_string(n), "abc", 3, 20000, "plane 7"));
  const auto taken = files.put("k/0", "xyz", 3, 20000, "plane 7");
  MUST(taken == 30u);
  files.wait(0, 20000);
  MUST(skein_files_wait(files.get(), *taken, 20000) == SKEIN_EXISTS);
  MUST(skein_files_wait(files.get(), 31, 20000) == SKEIN_WRONG);
  MUST(skein_files_put(files.get(), ".skein/a", "a", 1, nullptr, 0, nullptr) == SKEIN_WRONG);
  MUST(skein_files_put(files.get(), "a", nullptr, 1, nullptr, 0, nullptr) == SKEIN_WRONG);
  MUST(skein_files_put(files.get(), "empty", nullptr, 0, nullptr, 20000, nullptr) == SKEIN_OK);
  files.flush(20000);
  const auto failures = files.finish(20000);
  MUST(failures.size() == 1 && failures[0].ticket == 30 && failures[0].path == "k/0");
  skein_counters counters;
  counters.struct_bytes = sizeof counters;
  MUST(skein_files_counters(files.get(), &counters) == SKEIN_OK);
  MUST(counters.stored_frames == 31 && counters.failed_frames == 1);
  MUST(stored == 31 && failed == 1);
  options.spill = 1;
  options.recovery_folder = nullptr;
  skein_files* none = nullptr;
  MUST(skein_files_open(cluster.get(), &options, &none) == SKEIN_WRONG && none == nullptr);
  std::printf("%s", failures[0].kept_as.c_str());
  return 0;
}
"""


@pytest.mark.skipif("san" in BUILD.name, reason="not with a sanitizer")
def test_tickets_callbacks_keys_and_failures_of_files(servers, installed, program, tmp_path):
    (tmp_path / "files.cc").write_text(FILES)
    nodes = [servers(), servers(), servers()]
    done = run([program(tmp_path / "files.cc", "c++"), ",".join(s.url for s in nodes),
                tmp_path / "kept"], installed)
    assert done.returncode == 0, done
    assert pathlib.Path(done.stdout).read_bytes() == b"xyz"
    assert sorted(len(list((s.root / "k").glob("*"))) for s in nodes) == [0, 0, 30]


GIVEN = """
#include <skein/skein_stream.hpp>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#define MUST(what) if (!(what)) return std::printf("%s: %s\\n", #what, skein_error_text()), 1
enum { kSide = 256, kBytes = kSide * kSide * 2, kBuffers = 40, kFrames = 300 };
std::mutex mutex;
std::condition_variable back;
std::vector<std::vector<char>> ring(kBuffers, std::vector<char>(kBytes));
std::vector<int> is_free(kBuffers, 1);
int next_buffer(int n) {  // exposed with frame n
  std::unique_lock lock(mutex);
  int found = -1;
  const auto look = [&] {
    for (found = 0; found < kBuffers && !is_free[found]; ++found) {}
    return found < kBuffers;
  };
  if (!back.wait_for(lock, std::chrono::seconds(60), look)) std::abort();
  is_free[found] = 0;
  for (int i = 0; i < kBytes; ++i) ring[found][i] = char(i * 7 + n);
  return found;
}
void release(int buffer) {
  const std::lock_guard lock(mutex);
  if (is_free[buffer]++) std::abort();  // twice
  std::memset(ring[buffer].data(), '#', kBytes);
  back.notify_all();
}
int out() {
  const std::lock_guard lock(mutex);
  int count = 0;
  for (const int free : is_free) count += !free;
  return count;
}
int refused = 0;
void count(void* counter) { ++*static_cast<int*>(counter); }
int main(int, char** argv) {  // NODES PID
  skein_stream::Cluster cluster("", argv[1]);
  const char bytes[kBytes] = {};
  MUST(skein_files_put_given(nullptr, "a", bytes, 1, nullptr, 0, nullptr, count, &refused) == SKEIN_WRONG);
  MUST(skein_series_submit_given(nullptr, 0, nullptr, 0, count, &refused) == SKEIN_WRONG);
  MUST(refused == 2);
  {
    skein_stream::Files files(cluster, {});
    MUST(skein_files_put_given(files.get(), ".skein/a", bytes, 1, nullptr, 0, nullptr, count, &refused) == SKEIN_WRONG);
    MUST(skein_files_put_given(files.get(), "a", nullptr, 1, nullptr, 0, nullptr, count, &refused) == SKEIN_WRONG);
    MUST(refused == 4);
    int taken = 0;
    MUST(skein_files_put_given(files.get(), "given/a", bytes, 3, "key", 20000, nullptr, count, &taken) == SKEIN_OK);
    MUST(skein_files_put_given(files.get(), "given/a", bytes, 2, "key", 20000, nullptr, count, &taken) == SKEIN_OK);
    MUST(skein_files_put_given(files.get(), "given/b", bytes, 5, "key", 20000, nullptr, nullptr, nullptr) == SKEIN_OK);
    MUST(files.finish(60000).size() == 1 && taken == 2);
  }
  skein_stream::Options options;
  options.path = "run.pcs";
  options.width = options.height = kSide;
  options.queue_bytes = 4 << 20;  // 31 frames
  skein_stream::Series series(cluster, options);
  for (int n = 0; n < kFrames; ++n) {
    const int buffer = next_buffer(n);
    MUST(series.submit_given(n, ring[buffer].data(), kBytes, 60000, [buffer] { release(buffer); }));
    if (n == 100) MUST(kill(std::atoi(argv[2]), SIGKILL) == 0);
  }
  const int again = next_buffer(0);
  MUST(skein_series_submit_given(series.get(), 0, nullptr, 0, count, &refused) == SKEIN_WRONG && refused == 5);
  try {
    series.submit_given(0, ring[again].data(), kBytes, 0, [again] { release(again); });
    return std::printf("a second frame 0 was taken\\n"), 1;
  } catch (const skein_stream::Error& error) {
    MUST(error.status == SKEIN_EXISTS);
  }
  const auto missing = series.finish(90000);
  MUST(out() == 0);
  std::printf("%zu missing", missing.size());
  return 0;
}
"""


@pytest.mark.skipif("san" in BUILD.name, reason="not with a sanitizer")
def test_frames_given_away_outlive_a_killed_node_and_each_buffer_comes_back_once(
        servers, installed, program, tmp_path):
    (tmp_path / "given.cc").write_text(GIVEN)
    nodes = [servers(), servers(), servers()]
    done = run([program(tmp_path / "given.cc", "c++"), ",".join(s.url for s in nodes),
                nodes[1].process.pid], installed, timeout=240)
    assert (done.returncode, done.stdout) == (0, "0 missing"), done
    assert sorted(file.read_bytes() for s in nodes for file in s.root.glob("given/*")) == [
        bytes(3), bytes(5)]
    for n in range(300):
        found = [s.root / f"run.pcs/frame{n:05d}.pzf" for s in nodes]
        pixels = bytes((i * 7 + n) & 255 for i in range(256)) * 512
        files = {path.read_bytes()[64:] for path in found if path.exists()}
        assert files == {pixels}, n  # the killed one may have it too


SPILLING = """
#include <skein/skein_stream.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
int main(int, char** argv) {  // NODE FOLDER [PID]
  skein_stream::Cluster cluster("", argv[1]);
  if (!argv[3]) {
    try {
      std::printf("%d left\\n", int(cluster.send_left_behind(argv[2], 20000)));
    } catch (const skein_stream::Error& error) {
      std::printf("%s\\n", error.what());
    }
    return 0;
  }
  skein_stream::Options options;
  options.path = "run.pcs";
  options.width = options.height = 256;
  options.spill = 1;
  try {
    skein_stream::Series(cluster, options);
    return 1;
  } catch (const skein_stream::Error& error) {
    if (error.status != SKEIN_WRONG) return 2;
  }
  options.recovery_folder = argv[2];
  options.queue_bytes = 8 << 20;
  skein_stream::Series series(cluster, options);
  if (std::system((std::string("kill -STOP ") + argv[3]).c_str()) != 0) return 3;
  std::vector<char> pixels(256 * 256 * 2);
  // Twice what the queue holds.
  bool was_slow = false;
  skein_counters counters;
  counters.struct_bytes = sizeof counters;
  for (unsigned n = 0; n < 128; ++n) {
    if (!series.submit(n, pixels.data(), pixels.size(), 20000)) return 4;
    skein_stream::check(skein_series_counters(series.get(), &counters));
    was_slow |= std::strlen(counters.slowest_node) > 0;  // until the node is given up
  }
  if (counters.spilled_files == 0 || !was_slow) return 5;
  return std::raise(SIGKILL);
}
"""


@pytest.mark.skipif("san" in BUILD.name, reason="not with a sanitizer")
def test_a_program_killed_in_mid_spill_leaves_frames_that_the_next_one_sends(
        servers, installed, program, tmp_path):
    (tmp_path / "spilling.cc").write_text(SPILLING)
    made = program(tmp_path / "spilling.cc", "c++")
    node, folder = servers(), tmp_path / "kept"
    killed = run([made, node.url, folder, node.process.pid], installed)
    node.resume()
    assert killed.returncode == -9, killed
    names = sorted(file.name for file in folder.rglob("*.pzf"))
    assert len(names) > 0
    sent = run([made, node.url, folder], installed)
    assert sent.stdout == "0 left\n", sent
    assert list(folder.iterdir()) == []
    assert all((node.root / "run.pcs" / name).stat().st_size == 64 + 256 * 256 * 2 for name in names)
    (tmp_path / "no folder").write_text("")
    assert "no folder" in run([made, node.url, tmp_path / "no folder"], installed).stdout


@pytest.mark.skipif("san" in BUILD.name, reason="not with a sanitizer")
def test_numpy_arrays_of_any_strides_are_streamed_from_python(servers, installed, tmp_path):
    numpy = pytest.importorskip("numpy")
    nodes = [servers()]
    library = next(pathlib.Path(installed["LD_LIBRARY_PATH"]).glob("libskein-streamer.so.0"))
    environment = {**installed, "SKEIN_STREAMER": str(library)}
    stack = numpy.arange(5 * 12 * 8, dtype="u2").reshape(5, 12, 8)
    views = {"plain": stack, "turned": stack.transpose(0, 2, 1), "backwards": stack[:, ::-1, ::2],
             "floats": stack.astype("f4")}
    for name, view in views.items():
        code = ("import sys, numpy; sys.path.insert(0, sys.argv[1]); import stream_numpy as s\n"
                "a = numpy.arange(480, dtype='u2').reshape(5, 12, 8)\n"
                "v = {'plain': a, 'turned': a.transpose(0, 2, 1), 'backwards': a[:, ::-1, ::2],\n"
                "     'floats': a.astype('f4')}[sys.argv[3]]\n"
                "s.stream(sys.argv[2], f'py/{sys.argv[3]}.pcs', v)")
        done = run(["/usr/bin/python3", "-c", code, EXAMPLES, nodes[0].url, name], environment)
        assert done.returncode == 0, done.stderr
        for n in range(5):
            frame = Frame((nodes[0].root / f"py/{name}.pcs/frame{n:05d}.pzf").read_bytes())
            order = frame.order.decode()
            assert frame.shape == (*view.shape[1:], 1)
            assert frame.bytes == view[n].tobytes(order)
    numpy.save(tmp_path / "wrong.npy", stack.astype("i4"))
    refused = run(["/usr/bin/python3", EXAMPLES / "stream_numpy.py", nodes[0].url, "py/wrong.pcs",
                   tmp_path / "wrong.npy"], environment)
    assert refused.returncode == 1 and "float32" in refused.stderr
    assert not (nodes[0].root / "py/wrong.pcs").exists()


def test_only_the_public_names_leave_the_library():
    if shutil.which("nm") is None:
        pytest.skip("no nm")
    listed = run(["nm", "-D", "--defined-only", BUILD / "streamer" / "libskein-streamer.so.0"], {})
    names = [line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()]
    assert "skein_series_submit" in names
    assert [name for name in names if not name.startswith(("skein_", "SKEIN_"))] == []
