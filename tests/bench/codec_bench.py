"""Frame codecs on one thread: ratio, and MB/s of pixels in and out; memcpy and plain zstd beside."""
import json
import statistics
import subprocess

from measure import BUILD, build, print_table

# What the best implementation of PZF states for its encoder, MB/s of input on one core.
HUFFMAN_GOAL_MB_S = 600


def main(quick):
    build("tests/bench/bench-codec")
    done = subprocess.run([BUILD / "tests/bench/bench-codec", "5" if quick else "9"], check=True,
                          stdout=subprocess.PIPE)
    measured = json.loads(done.stdout)
    medians = {name: statistics.median(one["mb_per_s"]) for name, one in measured.items()}
    rows = []
    for name, one in measured.items():
        goal = ""
        if name == "PZF Huffman encode":
            goal = f">= {HUFFMAN_GOAL_MB_S}: " + (
                "met" if medians[name] >= HUFFMAN_GOAL_MB_S else "MISSED")
        rows.append([name, f"{one['ratio']:.2f}", f"{medians[name]:.0f}",
                     f"{min(one['mb_per_s']):.0f}-{max(one['mb_per_s']):.0f}",
                     f"{medians[name] / medians['memcpy']:.3f}", goal])
    print_table("Codecs, 2048x2048 uint16 of Poisson noise, one thread, MB/s of pixels (median)",
                ["codec", "ratio", "MB/s", "range", "of memcpy", "goal"], rows)
