#!/bin/sh
# Sets up everything Mooring needs, and nothing twice: Python packages in .venv, and the
# programs that are missing. Safe to run again at any time; a re-run with nothing to do takes
# a moment. Called by the Makefile; you can also call it yourself:
#
#     scripts/setup.sh               what running Mooring needs
#     scripts/setup.sh --for test    also what its tests need
#
# Exit code 0: ready. 1: something is missing, and the last lines say what to do.
set -eu

# --- what was asked for ------------------------------------------------------------------

purpose=run
while [ $# -gt 0 ]; do
    case $1 in
        --for) purpose=${2-}; shift ;;
        --for=*) purpose=${1#--for=} ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) purpose='' ;;
    esac
    case $purpose in
        run | test) ;;
        *) echo "usage: scripts/setup.sh [--for run|test]" >&2; exit 1 ;;
    esac
    shift
done

cd "$(dirname "$0")/.."
root=$(pwd -P)
stamp=.venv/.mooring-setup

say() { printf '%-11s %s\n' "$1" "$2"; }
fail() {
    printf '\n' >&2
    printf '%s\n' "$@" >&2
    exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command whose output matters only when it fails; then all of it is shown.
quietly() {
    if "$@" >"$work/log" 2>&1; then return 0; fi
    cat "$work/log" >&2
    return 1
}

# --- programs ----------------------------------------------------------------------------

# The first of these that can be executed: names are looked up in PATH, paths taken as they are.
first_of() {
    for candidate in "$@"; do
        case $candidate in
            */*) [ ! -x "$candidate" ] || { echo "$candidate"; return 0; } ;;
            *) command -v "$candidate" 2>/dev/null && return 0 ;;
        esac
    done
    return 1
}

# Debian keeps servers in /usr/sbin, which is not in everybody's PATH; nor is Homebrew's sbin.
find_mosquitto() {
    first_of mosquitto /usr/sbin/mosquitto /usr/local/sbin/mosquitto \
        /opt/homebrew/sbin/mosquitto /usr/local/opt/mosquitto/sbin/mosquitto \
        /home/linuxbrew/.linuxbrew/sbin/mosquitto
}
find_clients() { first_of mosquitto_sub /opt/homebrew/bin/mosquitto_sub; }
find_postgres() {
    first_of initdb /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
        /opt/homebrew/opt/postgresql*/bin/initdb /usr/local/opt/postgresql*/bin/initdb
}
find_alertmanager() { first_of prometheus-alertmanager alertmanager; }
find_swupdate() { first_of swupdate /usr/sbin/swupdate; }
find_node() { first_of node nodejs; }
find_compiler() { first_of g++ clang++; }
find_chromium() {
    first_of chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
        /Applications/Chromium.app/Contents/MacOS/Chromium
}

python=''
find_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        python=$(command -v "$candidate" 2>/dev/null) || continue
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return 0
        fi
    done
    python=''
    return 1
}

# Fills $deb and $brew with what is missing.
deb='' brew=''
missing() { deb="$deb $1" brew="$brew $2"; }
look_for_programs() {
    find_mosquitto >/dev/null || missing mosquitto mosquitto
    [ "$purpose" = test ] || return 0
    find_clients >/dev/null || missing mosquitto-clients mosquitto
    find_postgres >/dev/null || missing postgresql postgresql@17
    [ "$(uname -s)" = Darwin ] || find_alertmanager >/dev/null ||
        missing prometheus-alertmanager alertmanager
    [ "$(uname -s)" = Darwin ] || find_swupdate >/dev/null || missing swupdate swupdate
    find_node >/dev/null || missing nodejs node
    command -v npm >/dev/null 2>&1 || missing npm node
    command -v openssl >/dev/null 2>&1 || missing openssl openssl
    find_compiler >/dev/null || missing g++ gcc
    find_chromium >/dev/null || missing chromium google-chrome
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}
can_be_root() {
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null
}
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@"
}
installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# Debian's packages start their servers as system services, now and at every boot, on the port
# that Mooring's own broker wants. This switches off one that has just been installed here.
switch_off() {
    # The script of swupdate ends every process whose command line has its name: itself too.
    if [ "$1" = swupdate ] && ! [ -d /run/systemd/system ]; then
        quietly as_root update-rc.d "$1" disable
    elif [ -d /run/systemd/system ]; then
        quietly as_root systemctl disable --now "$1"
    elif [ -x "/etc/init.d/$1" ]; then
        quietly as_root "/etc/init.d/$1" stop && quietly as_root update-rc.d "$1" disable
    fi || fail "Could not switch off the system service $1. Its own words are above."
    say system "the system's own $1 service is switched off; Mooring starts its own"
}

apt_install() {
    can_be_root || fail "Missing on this machine:$deb" "Install it, then run this again:" "" \
        "    sudo apt-get update && sudo apt-get install --no-install-recommends$deb"

    fresh=''
    for service in mosquitto postgresql prometheus-alertmanager swupdate; do
        case "$deb " in
            *" $service "*) installed "$service" || fresh="$fresh $service" ;;
        esac
    done

    say system "installing$deb (apt-get)"
    # One unreachable source of several must not stop us: what counts is whether the install works.
    quietly apt update || say system "apt-get update failed; going on with the lists already here"
    # Ubuntu has no chromium package; chromium-browser installs the snap.
    if ! apt-cache show chromium >/dev/null 2>&1; then
        deb=$(echo "$deb" | sed 's/ chromium$/ chromium-browser/')
    fi
    # shellcheck disable=SC2086  # a list of words
    quietly apt install -y --no-install-recommends $deb ||
        fail "apt-get could not install:$deb" "Its own words are above."
    for service in $fresh; do switch_off "$service"; done
}

install_programs() {
    if command -v apt-get >/dev/null 2>&1; then
        apt_install
    elif command -v brew >/dev/null 2>&1; then
        say system "installing$brew (brew)"
        # shellcheck disable=SC2086  # a list of words
        quietly brew install $brew || fail "brew could not install:$brew" "Its own words are above."
    elif [ "$(uname -s)" = Darwin ]; then
        fail "Missing on this machine:$brew" \
            "Install Homebrew (https://brew.sh), then run this again."
    else
        fail "Missing on this machine:$deb (as Debian names the packages)" \
            "Install it with your system's package manager, then run this again."
    fi
}

look_for_programs
if [ -n "$deb" ]; then
    install_programs
    deb='' brew=''
    look_for_programs
    [ -z "$deb" ] || fail "Installed, but still not found:$deb"
fi

# --- Python packages ---------------------------------------------------------------------

# An environment made for tests stays one: it holds all that running needs, so `make demo`
# after `make test` changes nothing.
if [ "$purpose" = run ] && grep -q '^for test$' "$stamp" 2>/dev/null; then
    packages="test"
else
    packages=$purpose
fi
case $packages in
    run) lock=requirements.lock ;;
    test) lock=requirements-dev.lock ;;
esac
projects=.
[ ! -f device/pyproject.toml ] || projects=". device"

# The plugin that lets Mosquitto ask Mooring's accounts file. Mooring works without it.
plugin_sources=src/mooring/broker/plugin/native
build_plugin() {
    if quietly_plugin; then
        say plugin "built; the broker applies changes in milliseconds (authority: plugin)"
    else
        say plugin "not built: $(tail -n 1 "$work/plugin")"
        say plugin "Mooring uses another authority until you run this again with a compiler"
    fi
}
quietly_plugin() { .venv/bin/python scripts/build_plugin.py >"$work/plugin" 2>&1; }

# What the environment is made from. It also stands for the place, as programs in .venv name it.
wanted() {
    echo "for $packages"
    echo "in $root"
    cat "$plugin_sources"/*.[ch] | cksum
    for project in $projects; do cksum "$project/pyproject.toml"; done
    cksum requirements-dev.lock "$lock" scripts/setup.sh
    [ "$packages" = run ] || cksum tests/support/oidc/package-lock.json
}
wanted >"$work/stamp"
if [ -x .venv/bin/python ] && [ -x .venv/bin/mooring ] && cmp -s "$work/stamp" "$stamp"; then
    if ! ls src/mooring/broker/plugin/lib/*.so >/dev/null 2>&1; then build_plugin; fi
    say ready "set up already; nothing to do"
    exit 0
fi

usable() {
    [ -x .venv/bin/python ] &&
        .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null &&
        { [ ! -f "$stamp" ] || grep -qxF "in $root" "$stamp"; }
}
if usable; then
    say python "$(.venv/bin/python -V) in .venv"
else
    find_python || fail "Mooring needs Python 3.11 or newer, and found none." \
        "Debian 12, Ubuntu 24.04 or newer:  sudo apt-get install python3 python3-venv" \
        "macOS:                             brew install python@3.13" \
        "Elsewhere:                         https://www.python.org/downloads/"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian ships these two modules apart from Python itself.
        deb=" python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
        if command -v apt-get >/dev/null 2>&1; then
            apt_install
        else
            fail "$python lacks the modules venv and ensurepip; install them, then run this again."
        fi
    fi
    quietly "$python" -m venv --clear .venv || fail "$python could not make .venv."
    say python "$(.venv/bin/python -V) in .venv, from $python"
fi
rm -f "$stamp" # until all steps below are done, the environment is incomplete

# uv checks every package against the hashes in the lock; its own are checked by pip.
if [ ! -x .venv/bin/uv ]; then
    awk '/^[A-Za-z0-9]/ { take = /^uv==/ } take' requirements-dev.lock >"$work/uv.lock"
    [ -s "$work/uv.lock" ] || fail "requirements-dev.lock does not name uv; run: make lock"
    .venv/bin/python -m pip --version >/dev/null 2>&1 ||
        quietly .venv/bin/python -m ensurepip || fail "Could not put pip into .venv."
    quietly .venv/bin/python -m pip install --disable-pip-version-check \
        --require-hashes --only-binary :all: -r "$work/uv.lock" ||
        fail "pip could not install uv. Its own words are above."
    say uv "$(.venv/bin/uv --version)"
fi

say packages "installing $(grep -c '^[A-Za-z0-9]' "$lock") from $lock"
VIRTUAL_ENV=$root/.venv
export VIRTUAL_ENV
quietly .venv/bin/uv pip sync --compile-bytecode --require-hashes "$lock" ||
    fail "uv could not install the packages. Its own words are above."
for project in $projects; do
    quietly .venv/bin/uv pip install --no-deps --build-constraints requirements-dev.lock \
        --editable "$project" || fail "uv could not install $project. Its own words are above."
done
# Compiled now, every command starts in half the time, even if Python may not write next to
# the sources or is configured not to.
quietly .venv/bin/python -m compileall -q src device/src ||
    fail "Some sources cannot be compiled. Python's own words are above."
build_plugin

# The sign-in provider of the tests; npm checks every package against the hashes in its lock.
if [ "$packages" = test ]; then
    (cd tests/support/oidc && quietly npm ci --no-audit --no-fund --ignore-scripts) ||
        fail "npm could not install the sign-in provider of the tests. Its own words are above."
fi

mv "$work/stamp" "$stamp"
say ready "$(find_mosquitto) and .venv/bin/mooring"
