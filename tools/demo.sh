#!/bin/bash
# A cluster of one host, from nothing to every byte verified; see --help.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
    cat <<TXT
usage: tools/demo.sh [--once]

Installs the packages that are missing, builds, starts three data servers and a mount on this host,
writes an image stack and a camera series into it, reads them back through the mount, with skein
and with curl, and verifies every byte. Then it stays up until Ctrl-C. Servers listen on this host
only. Nothing is left behind.

  --once   end when all is verified
  --help   this text

environment: SKEIN_BUILD  build folder  [default: build of the checkout]
exit status: 0 all verified; 1 something failed; 2 wrong usage
TXT
}

once=
case ${1-} in
'') ;;
--once) once=1 ;;
--help | -h) usage; exit 0 ;;
*) echo "tools/demo.sh: unknown option: $1 (--help lists them)" >&2; exit 2 ;;
esac

say() { printf '\n== %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
await() { # SECONDS WHAT CMD...: until CMD succeeds
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || die "not in time: $what"
        sleep 0.1
    done
}

build=$(realpath -m "${SKEIN_BUILD:-$top/build}")
say "building in $build"
"$top/tools/install-packages.sh"
if [[ ! -e $build/build.ninja ]]; then
    said=$(meson setup "$build" "$top" </dev/null 2>&1) || die "meson setup failed:"$'\n'"$said"
fi
ninja -C "$build" -j "$(nproc)" </dev/null | tail -n 1
{ : <>/dev/fuse; } 2>/dev/null || die "this host has no usable /dev/fuse, which a mount needs"

here=$(mktemp -d "${TMPDIR:-/tmp}/skein-demo.XXXXXX")
mnt=$here/mnt
children=()
clean_up() {
    trap - EXIT INT TERM HUP
    local pid
    # The last started ends first: the cluster says goodbye while the mDNS daemon still listens.
    for ((i = ${#children[@]} - 1; i >= 0; i--)); do
        pid=${children[i]}
        kill "$pid" 2>/dev/null || continue
        for ((n = 0; n < 150; n++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    if grep -qs " $mnt " /proc/self/mounts; then
        fusermount3 -uz "$mnt" 2>/dev/null || umount -l "$mnt" || true
    fi
    rm -rf --one-file-system "$here"
}
trap 'status=$?; clean_up; exit $status' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The demo's own settings, so that neither the user's nor another cluster of this host matters.
mkdir "$here"/{run,cache,nodes,data,back,mnt}
touch "$here/skein.toml"
cat >"$here/env" <<TXT
export SKEIN_RUN_DIR='$here/run' SKEIN_MOUNT_CACHE_DIR='$here/cache' SKEIN_CONFIG='$here/skein.toml'
export SKEIN_CLUSTER=demo SKEIN_SERVER_BIND=127.0.0.1
export PATH='$build/tools':'$build/fuse':'$build/dataserver':"\$PATH"
TXT

# mDNS: the daemon of this host if one runs; as root one of our own, with a bus of its own, in a
# mount namespace where it may have /run to itself, on the loopback interface; else the registry.
avahi_answers() { timeout 5 avahi-browse -t _pyme-http._tcp; }
start_mdns() {
    local socket=$here/bus
    cat >"$here/bus.conf" <<TXT
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=$socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_type="signal"/><allow send_requested_reply="true" send_type="method_return"/>
<allow send_requested_reply="true" send_type="error"/><allow receive_type="method_call"/>
<allow receive_type="method_return"/><allow receive_type="error"/><allow receive_type="signal"/>
</policy></busconfig>
TXT
    cat >"$here/avahi.conf" <<TXT
[server]
host-name=skein-demo
use-ipv6=no
allow-interfaces=lo
disallow-other-stacks=no
[wide-area]
enable-wide-area=no
[publish]
publish-hinfo=no
publish-workstation=no
TXT
    setpriv --pdeathsig KILL dbus-daemon --config-file="$here/bus.conf" --nofork --nopidfile \
        </dev/null >"$here/bus.log" 2>&1 &
    children+=($!)
    await 5 "D-Bus daemon" test -S "$socket"
    export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$socket
    setpriv --pdeathsig KILL unshare --mount --propagation private sh -c '
        mount -t tmpfs -o mode=755,size=1m tmpfs /run && mkdir /run/avahi-daemon &&
        exec avahi-daemon --no-chroot --no-drop-root --no-rlimits -f "$1"' sh "$here/avahi.conf" \
        </dev/null >"$here/avahi.log" 2>&1 &
    children+=($!)
    await 15 "Avahi daemon" avahi_answers
    echo "export DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SYSTEM_BUS_ADDRESS" >>"$here/env"
}
if avahi_answers >/dev/null 2>&1; then
    mdns="the mDNS daemon of this host" advertise=mdns
elif [[ $(id -u) == 0 ]]; then
    # A bus or a namespace that cannot be had here leaves the demo without mDNS, not without a demo.
    if unshare --mount true 2>/dev/null; then
        start_mdns
        mdns="an mDNS daemon of its own" advertise=mdns
    else
        mdns="the registry of this host" advertise=local
    fi
else
    mdns="the registry of this host" advertise=local
fi
echo "export SKEIN_SERVER_ADVERTISE=$advertise" >>"$here/env"
# shellcheck disable=SC1091
. "$here/env"

say "starting three data servers and a mount, found by $mdns"
setpriv --pdeathsig TERM skein up --root "$here/nodes" --nodes 3 --mount "$mnt" --cluster demo \
    </dev/null >"$here/up.log" 2>&1 &
up=$!
children+=("$up")
alive_urls() { skein --cluster demo nodes --json | grep -o 'http://[0-9.]*:[0-9]*/' | sort -u; }
is_up() {
    kill -0 "$up" 2>/dev/null || { cat "$here/up.log" >&2; die "skein up ended"; }
    grep -qs " $mnt fuse" /proc/self/mounts && [[ $(alive_urls | wc -l) == 3 ]]
}
end=$((SECONDS + 30))
until is_up; do
    ((SECONDS < end)) || { cat "$here/up.log" >&2; die "the cluster did not come up"; }
    sleep 0.1
done
mapfile -t urls < <(alive_urls)
skein --cluster demo nodes

say "writing an image stack and a camera series of 100 frames into $mnt"
if [[ -r $top/../shared/data/beads1.tif ]]; then
    cp "$top/../shared/data/beads1.tif" "$here/data/beads.tif"
    (cd "$here/data" && sha256sum beads.tif) >"$here/sums"
else
    "$top/tools/demo_data.py" stack "$here/data/beads.tif" >"$here/sums"
fi
cp -r "$here/data" "$mnt/stacks"
sed -i 's|  |  stacks/|' "$here/sums"
"$top/tools/demo_data.py" series "$mnt/run1.pcs" >>"$here/sums"
files=$(wc -l <"$here/sums")
ls -l "$mnt" "$mnt/stacks"
echo "$(ls "$mnt/run1.pcs" | wc -l) files in run1.pcs"

say "reading back $files files through the mount"
(cd "$mnt" && sha256sum -c --quiet "$here/sums") || die "the mount gives other bytes"
echo "$files files, every byte as written"

say "reading back through skein"
skein --cluster demo ls -l / /stacks
skein --cluster demo --quiet get -r /stacks /run1.pcs "$here/back/"
(cd "$here/back" && sha256sum -c --quiet "$here/sums") || die "skein get gives other bytes"
skein --cluster demo cat /run1.pcs/events.json && echo
echo "$files files, every byte as written"

say "reading back from the raw servers with curl"
for url in "${urls[@]}"; do
    printf '%s  ' "$url"
    curl -sS --max-time 10 "${url}run1.pcs/" | tr '{,' '\n\n' | grep -c 'frame' || true
done
while read -r sum path; do
    found=
    for url in "${urls[@]}"; do
        if curl -sf --max-time 10 -o "$here/back/file" "$url$path"; then
            found=1
            [[ $(sha256sum <"$here/back/file") == "$sum  -" ]] || die "$url$path: other bytes"
        fi
    done
    [[ -n $found ]] || die "no server has $path"
done <"$here/sums"
echo "$files files, every byte as written"

say "write once"
if (echo other >"$mnt/stacks/beads.tif") 2>"$here/refused"; then
    die "a file could be overwritten"
fi
sed 's/.*: //' "$here/refused"

[[ -z $once ]] || { say "all verified; ending (--once)"; exit 0; }

say "all verified; the cluster stays up until Ctrl-C"
cat <<TXT
In another terminal:
  ls -lR $mnt
  . $here/env                    # then skein knows this cluster:
  skein nodes
  skein ls -l /run1.pcs
  skein locate /stacks/beads.tif
  curl ${urls[0]}run1.pcs/
TXT
while kill -0 "$up" 2>/dev/null; do
    # wait ends at once for a trapped signal; so Ctrl-C does not have to wait for anything.
    wait "$up" || true
done
cat "$here/up.log" >&2
die "skein up ended"
