#!/usr/bin/env bash
# Installs the services that the tests run against, where it may: PostgreSQL and Redis, from Debian.
# Only the programs are needed, the tests start their own instances; so nothing is started here.
set -euo pipefail

have() {
    command -v "$1" >/dev/null 2>&1 || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

missing=()
have initdb || missing+=(postgresql)
have redis-server || missing+=(redis-server)
[ ${#missing[@]} -eq 0 ] && exit 0

left_out() {
    echo "$1: the tests that need it are reported as skipped, by name." >&2
    exit 0
}

if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
    left_out "Not installed, and no apt-get here: ${missing[*]}"
elif [ "$(id -u)" -ne 0 ]; then
    left_out "Not installed (as root: apt-get install ${missing[*]})"
fi

# Debian starts a packaged service at once unless this file forbids it.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
finish() {
    rm -f "$log"
    if [ -n "${forbidden:-}" ]; then rm -f "$policy"; fi
}
trap finish EXIT
if [ ! -e "$policy" ]; then
    forbidden=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
echo "Installing ${missing[*]} for the tests (apt-get, about a minute) ..."
if ! "${apt[@]}" update </dev/null >"$log" 2>&1 ||
    ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >>"$log" 2>&1; then
    left_out "apt-get could not install ${missing[*]} ($(grep -E '^E:' "$log" | tail -n 1))"
fi
