#!/bin/bash
# usage: tools/install-packages.sh
#
# Installs the packages of tools/packages.txt that dpkg does not know as installed. Does nothing,
# and asks for no rights, when none is missing. Uses sudo when not root.
#
# exit status: 0 all there; 1 could not install
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-packages: not a Debian system, please install what $here/packages.txt names" >&2
    exit 0
fi

missing=()
while read -r package _; do
    [[ -z $package || $package == '#'* ]] && continue
    status=$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null || true)
    # A virtual name (pkg-config on Debian 13) is installed when something provides it.
    [[ $status == *installed* && $status != *not-installed* ]] || missing+=("$package")
done <"$here/packages.txt"
((${#missing[@]})) || exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
    if ! command -v sudo >/dev/null; then
        echo "install-packages: missing, and neither root nor sudo is there: ${missing[*]}" >&2
        echo "as root: apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "installing: ${missing[*]}"
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" \
        </dev/null >/dev/null
}
# The lists of a fresh machine are empty or old; reading them again takes the network, so it is
# done once, and only here.
if ! { "${as_root[@]}" apt-get -qq update </dev/null && install; }; then
    echo "install-packages: apt-get could not install: ${missing[*]}" >&2
    exit 1
fi
