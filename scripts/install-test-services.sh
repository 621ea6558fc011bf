#!/usr/bin/env bash
# Installs what the tests run against, where it may: PostgreSQL, Redis, nginx, Chromium, curl and npm from
# Debian, and from npm the locked packages of tests/node. Only the programs are needed: nothing is started here.
set -euo pipefail
cd "${0%/*}/.."

node=tests/node
# npm's packages were installed from this very lock file
stamp=$node/node_modules/.installed-lock

have() {
    command -v "$1" >/dev/null 2>&1 || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null
}

unchanged() {
    [ -e "$stamp" ] && [ "$(<"$stamp")" = "$(<$node/package-lock.json)" ]
}

left_out() {
    echo "$1: the tests that need it are reported as skipped, by name." >&2
}

missing=()
have initdb || missing+=(postgresql)
have redis-server || missing+=(redis-server)
have nginx || [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
have curl || missing+=(curl)
have chromium || missing+=(chromium)
have node || missing+=(nodejs)
have npm || unchanged || missing+=(npm)
[ ${#missing[@]} -eq 0 ] && unchanged && exit 0

# Debian starts a packaged service at once unless this file forbids it; its tests put it elsewhere.
policy=${POLICY_RC:-/usr/sbin/policy-rc.d}
forbidden=
log=
finish() {
    if [ -n "$log" ]; then rm -f "$log"; fi
    if [ -n "$forbidden" ]; then rm -f "$policy"; fi
}
trap finish EXIT

# Nothing waits for ever: neither for another apt-get nor for a server that does not answer.
apt() {
    DEBIAN_FRONTEND=noninteractive timeout 900 apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=60 -o Acquire::https::Timeout=60 \
        "$@" </dev/null >>"$log" 2>&1
}

install_packages() {
    if [ ! -e "$policy" ]; then
        forbidden=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    echo "Installing ${missing[*]} for the tests (apt-get, a few minutes) ..."
    if apt update && apt install -y --no-install-recommends "${missing[@]}"; then return; fi
    # all together failed: what can be had is better than nothing
    local package cause
    for package in "${missing[@]}"; do
        apt install -y --no-install-recommends "$package" && continue
        cause=$(grep -E '^E:' "$log" | tail -n 1) || true
        left_out "apt-get could not install $package ($cause)"
    done
}

install_node_packages() {
    echo "Installing the packages of $node (npm) ..."
    if timeout 300 npm ci --prefix "$node" --ignore-scripts --no-audit --no-fund --no-progress \
        --no-update-notifier --fetch-retries=1 --fetch-timeout=60000 --loglevel=error </dev/null >"$log" 2>&1; then
        printf '%s' "$(<$node/package-lock.json)" >"$stamp"
    else
        left_out "npm could not install the packages of $node ($(grep -E 'npm (error|ERR!)' "$log" | head -n 1))"
    fi
}

if [ ${#missing[@]} -ne 0 ]; then
    if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
        left_out "Not installed, and no apt-get here: ${missing[*]}"
    elif [ "$(id -u)" -ne 0 ]; then
        left_out "Not installed (as root: apt-get install ${missing[*]})"
    else
        log=$(mktemp)
        install_packages
    fi
fi
if ! unchanged && have npm; then
    log=${log:-$(mktemp)}
    install_node_packages
fi
