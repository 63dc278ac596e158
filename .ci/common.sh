# shellcheck shell=bash
# What every script here needs: how to speak, how to fail, how to wait. Sourced, never run.

# Where the folder with the package is, whatever folder the caller stands in.
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
export root

say() { printf '%s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$1" >&2
    shift
    local hint
    for hint in "$@"; do
        printf '  hint: %s\n' "$hint" >&2
    done
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Asks the command in $3… again until it succeeds or $1 seconds have passed. The poll only bounds how
# late we notice; what counts as ready is the command's own answer, never the time that went by.
# $2 says what is waited for.
wait_until() {
    local seconds=$1 what=$2
    shift 2
    local deadline=$((SECONDS + seconds))
    until "$@"; do
        if ((SECONDS >= deadline)); then
            say "gave up after ${seconds} s of waiting for ${what}"
            return 1
        fi
        sleep 0.05
    done
}

# Debian and what is made from it: only there do we know how to install what is missing.
may_install() {
    [[ $(id -u) == 0 ]] && have apt-get
}

# `apt-get` that asks nothing and waits for its turn when another one is at work.
apt_quietly() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}
