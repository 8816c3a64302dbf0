#!/bin/bash
# Installs what is missing, builds, runs every test; see --help. Needs no terminal and no input.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<TXT
usage: tests/run.sh [options]

Installs the packages that are missing, builds everything (warnings are errors) and runs every
test: tidy checks, unit tests, end-to-end tests. The last line is "N passed, N failed", with
", N skipped" if a test could not run here; skipped tests are named above it, with the reason.

  --filter TEXT        only tests whose name contains TEXT
  --sanitize=KIND      address (with undefined behaviour) or thread: a build of its own with it
  --help               this text

environment: SKEIN_BUILD  build folder  [default: build, build-asan or build-tsan of the checkout]
example: tests/run.sh --filter placement
exit status: 0 none failed; 1 a test failed, or it could not be built; 2 wrong usage
TXT
}

sanitize='' filter=''
while (($#)); do
    case $1 in
    --help | -h) usage; exit 0 ;;
    --filter) [[ $# -ge 2 ]] || { echo "tests/run.sh: --filter needs a text" >&2; exit 2; }
        filter=$2; shift ;;
    --filter=*) filter=${1#*=} ;;
    --sanitize=address | --sanitize=thread) sanitize=${1#*=} ;;
    *) echo "tests/run.sh: unknown option: $1 (--help lists them)" >&2; exit 2 ;;
    esac
    shift
done

# Python of the system throughout: another one, first on PATH, may lack pytest.
options=(--werror) around=()
case $sanitize in
'') build=build ;;
address) build=build-asan
    options+=(-Db_sanitize=address,undefined -Db_lundef=false --buildtype=debugoptimized)
    export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
    export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1} ;;
thread) build=build-tsan
    options+=(-Db_sanitize=thread -Db_lundef=false --buildtype=debugoptimized)
    # libtsan of g++ 12 cannot place its shadow memory where newer kernels randomise more bits.
    around=(setarch "$(uname -m)" -R)
    export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=0:second_deadlock_stack=1} ;;
esac
SKEIN_BUILD=$(realpath -m "${SKEIN_BUILD:-$top/$build}")
export SKEIN_BUILD

"$top/tools/install-packages.sh"
[[ -e $SKEIN_BUILD/build.ninja ]] || meson setup "${options[@]}" "$SKEIN_BUILD" "$top" </dev/null
ninja -C "$SKEIN_BUILD" -j "$(nproc)" all meson-test-prereq </dev/null
run=("${around[@]}" /usr/bin/python3 "$top/tests/suites.py" --filter "$filter")
[[ -n $sanitize ]] || exec "${run[@]}" </dev/null

# A server that a test kills cannot fail that test: what its sanitizer found is in these files.
reports=$SKEIN_BUILD/sanitizer-reports
rm -rf "$reports" && mkdir -p "$reports" && chmod 1777 "$reports"
for variable in ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS; do
    export "$variable=${!variable:-}:log_path=$reports/report"
done
export SKEIN_TEST_SLOW=${SKEIN_TEST_SLOW:-4}
status=0
"${run[@]}" </dev/null || status=$?
if [[ -n $(ls -A "$reports") ]]; then
    head -n 40 "$reports"/*
    echo "tests/run.sh: $(ls "$reports" | wc -l) sanitizer reports in $reports" >&2
    status=1
fi
exit "$status"
