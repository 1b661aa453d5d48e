# shellcheck shell=bash
# The virtual environment of scripts/run and scripts/test. To be sourced; sets `root` and `venv`.
#
#   prepare_environment SCRIPT TXT…   TXT: any of these files under requirements/ will do;
#                                     the first one is installed where none is.
#
# VOICED_PYTHON  the interpreter to use, 3.11 to 3.13 (default: 3.13, 3.11 or 3.12, the first that works)
# VOICED_VENV    the environment's place (default: .venv in the checkout)
# VOICED_EXTRAS  what to install besides, by words: llama compiles llama.cpp (some minutes, and a
#                C++ compiler is needed). It stays installed when the variable is not set again.
#
# A finished installation leaves a stamp: a digest of the requirements, of pyproject.toml, and of
# the interpreter. While it matches, nothing is installed and nothing is asked of the network.
# An installation that was interrupted leaves a mark instead, and is begun anew.

root=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/.." && pwd -P)
venv=${VOICED_VENV:-$root/.venv}
venv=$(readlink -m -- "$venv")

# Nothing of a caller's own Python set-up may leak into the environment, or into the daemon.
unset PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$@"
    exit 1
}

# Prints `ok`, or what is wrong with an interpreter. A shim that leads nowhere fails to run.
judge_python() {
    "$1" - 2>/dev/null <<'PYTHON' || echo "does not run"
import sys
try:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        print("is Python %d.%d" % sys.version_info[:2])
    elif sys.maxsize < 2**32:
        print("is a 32-bit build, for which the engines are not published")
    else:
        import ensurepip, venv
        print("ok")
except ImportError:
    print("has no venv module (on Debian: apt install python%d.%d-venv)" % sys.version_info[:2])
PYTHON
}

find_python() {
    local name path verdict tried=()
    if [[ -n ${VOICED_PYTHON:-} ]]; then
        path=$(type -P -- "$VOICED_PYTHON") || die "voiced: VOICED_PYTHON=$VOICED_PYTHON is not there"
        verdict=$(judge_python "$path")
        [[ $verdict == ok ]] || die "voiced: VOICED_PYTHON=$VOICED_PYTHON $verdict"
        printf '%s\n' "$path"
        return
    fi
    # 3.12 comes last: one dependency has to be compiled for it (requirements/build.in).
    for name in python3.13 python3.11 python3.12 python3; do
        while IFS= read -r path; do
            verdict=$(judge_python "$path")
            if [[ $verdict == ok ]]; then
                printf '%s\n' "$path"
                return
            fi
            tried+=("  $path $verdict")
        done < <(type -aP "$name")
    done
    say "voiced needs Python 3.11, 3.12 or 3.13, and found none that works."
    if ((${#tried[@]} > 0)); then
        say "Tried:"
        printf '%s\n' "${tried[@]}" >&2
    fi
    die "On Debian or Raspberry Pi OS: sudo apt install python3 python3-venv"
}

# The digest that a finished installation of one requirements file has; fails without a Python.
stamp_of() {
    local identity
    identity=$("$venv/bin/python" -c 'import sys; print(sys.version, sys.prefix)' 2>/dev/null) ||
        return 1
    {
        printf '%s\n%s\n' "$identity" "$root"
        cat -- "$root/pyproject.toml" "$root/requirements/build.txt" "$root/requirements/$1"
    } | sha256sum
}

installed() {
    local txt stamp
    [[ ! -e $venv/.voiced-installing ]] || return 1
    for txt in "$@"; do
        [[ -r $venv/.voiced-$txt ]] || continue
        stamp=$(stamp_of "$txt") || return 1
        [[ $(<"$venv/.voiced-$txt") != "$stamp" ]] || return 0
    done
    return 1
}

version_of() { "$1" -c 'import sys; print(sys.version)' 2>/dev/null; }

# True where the environment runs, is whole, stayed in its place, and is of the wanted Python.
usable() {
    local wanted
    [[ -x $venv/bin/python && ! -e $venv/.voiced-installing ]] || return 1
    [[ $(judge_python "$venv/bin/python") == ok ]] || return 1
    "$venv/bin/python" -c 'import pip' 2>/dev/null || return 1
    # Its scripts hold its absolute path.
    head -n 2 -- "$venv/bin/pip" 2>/dev/null | grep -qF -- "$venv/bin/python" || return 1
    [[ -n ${VOICED_PYTHON:-} ]] || return 0
    wanted=$(version_of "$VOICED_PYTHON") || return 0
    [[ $(version_of "$venv/bin/python") == "$wanted" ]]
}

create() {
    local python
    if [[ -e $venv && ! -e $venv/pyvenv.cfg && -n $(ls -A -- "$venv" 2>/dev/null) ]]; then
        die "voiced: $venv exists and is not a virtual environment; set VOICED_VENV to another place"
    fi
    python=$(find_python) || exit 1
    say "voiced: making $venv with $("$python" --version)"
    rm -rf -- "$venv"
    mkdir -p -- "$venv"
    : >"$venv/.voiced-installing"
    "$python" -m venv -- "$venv" || die "voiced: $python could not make a virtual environment"
}

install() {
    local txt=$1 stamp pip
    pip=("$venv/bin/python" -m pip install --no-input --disable-pip-version-check)
    [[ -t 2 ]] || pip+=(--quiet)
    say "voiced: installing the pinned dependencies of requirements/$txt (this once)"
    if [[ $("$venv/bin/python" -c 'import sys; print(sys.version_info[:2])') == "(3, 12)" ]]; then
        type -P cc >/dev/null || type -P gcc >/dev/null || type -P clang >/dev/null ||
            die "voiced: on Python 3.12 a C compiler is needed (on Debian: apt install gcc libc6-dev)," \
                "on 3.11 and 3.13 none is"
    fi
    : >"$venv/.voiced-installing"
    rm -f -- "$venv"/.voiced-*.txt
    # Everything is checked against its hash, the build backends too: hence no build isolation,
    # which would fetch backends of its own choice.
    "${pip[@]}" --require-hashes --no-deps -r "$root/requirements/build.txt" >&2 &&
        "${pip[@]}" --require-hashes --no-deps --no-build-isolation \
            -r "$root/requirements/$txt" >&2 &&
        "${pip[@]}" --no-deps --no-build-isolation --editable "$root" >&2 ||
        die "voiced: the installation failed; what is above says why. Run this again to go on."
    stamp=$(stamp_of "$txt") || die "voiced: $venv/bin/python does not run"
    printf '%s\n' "$stamp" >"$venv/.voiced-$txt.new"
    mv -- "$venv/.voiced-$txt.new" "$venv/.voiced-$txt"
    rm -f -- "$venv/.voiced-installing"
}

# The vendors' clients for Node.js that tests/clients runs, exactly those of package-lock.json.
# Without them their tests are skipped, and say so; VOICED_REQUIRE_CLIENTS=1 (CI) fails instead.
prepare_node_clients() {
    local folder=$root/tests/clients lock stamp why=
    if ! stamp=$(node --version 2>/dev/null && sha256sum <"$folder/package-lock.json"); then
        why="Node.js is not installed"
    elif [[ -r $folder/node_modules/.voiced && $(<"$folder/node_modules/.voiced") == "$stamp" ]]; then
        return
    else
        exec {lock}<"$folder"
        ! type -P flock >/dev/null || flock "$lock"
        say "voiced: installing the clients of tests/clients/package-lock.json (this once)"
        # Nothing that a package would like to run at its installation is needed.
        if (cd -- "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2); then
            printf '%s\n' "$stamp" >"$folder/node_modules/.voiced"
        else
            why="npm ci failed in tests/clients"
        fi
        exec {lock}<&-
    fi
    [[ -n $why ]] || return 0
    [[ ${VOICED_REQUIRE_CLIENTS:-} != 1 ]] || die "voiced: VOICED_REQUIRE_CLIENTS=1, and $why"
    say "voiced: $why; the tests that need clients for Node.js are skipped"
}

# A digest of what an extra was installed from; see `stamp_of`.
extra_stamp_of() {
    local identity
    identity=$("$venv/bin/python" -c 'import sys; print(sys.version, sys.prefix)' 2>/dev/null) ||
        return 1
    {
        printf '%s\n' "$identity"
        cat -- "$root/requirements/build-$1.txt" "$root/requirements/$1.txt"
    } | sha256sum
}

extra_installed() {
    local stamp
    [[ -r $venv/.voiced-extra-$1 ]] && stamp=$(extra_stamp_of "$1") &&
        [[ $(<"$venv/.voiced-extra-$1") == "$stamp" ]]
}

# Compiles llama-cpp-python, which is published as source only. The part of it that sees pictures
# is left out: it is a fourth of the work, and nothing here looks at any.
install_llama() {
    local pip stamp
    type -P c++ >/dev/null || type -P g++ >/dev/null || type -P clang++ >/dev/null ||
        die "voiced: VOICED_EXTRAS=llama needs a C++ compiler (on Debian: apt install g++)"
    pip=("$venv/bin/python" -m pip install --no-input --disable-pip-version-check)
    [[ -t 2 ]] || pip+=(--quiet)
    say "voiced: compiling llama.cpp (this once; it takes some minutes)"
    rm -f -- "$venv/.voiced-extra-llama"
    "${pip[@]}" --require-hashes --no-deps -r "$root/requirements/build-llama.txt" >&2 &&
        PATH=$venv/bin:$PATH CMAKE_ARGS="-DLLAVA_BUILD=OFF ${CMAKE_ARGS:-}" \
            "${pip[@]}" --require-hashes --no-deps --no-build-isolation \
            -r "$root/requirements/llama.txt" >&2 ||
        die "voiced: llama.cpp could not be installed; what is above says why." \
            "Run this again to go on, or without VOICED_EXTRAS to go without."
    stamp=$(extra_stamp_of llama) || die "voiced: $venv/bin/python does not run"
    printf '%s\n' "$stamp" >"$venv/.voiced-extra-llama"
}

prepare_extras() {
    local extra lock
    for extra in ${VOICED_EXTRAS:-}; do
        [[ $extra == llama ]] || die "voiced: VOICED_EXTRAS=$VOICED_EXTRAS: there is only llama"
        extra_installed "$extra" && continue
        exec {lock}<"$root/requirements"
        ! type -P flock >/dev/null || flock "$lock"
        extra_installed "$extra" || install_llama
        exec {lock}<&-
    done
}

right_python() { [[ -z ${VOICED_PYTHON:-} ]] || usable; }

prepare_environment() {
    if right_python && installed "$@"; then
        prepare_extras
        return
    fi
    local lock
    # The lock is the requirements directory itself, so that no lock file lies about.
    exec {lock}<"$root/requirements"
    if type -P flock >/dev/null && ! flock --nonblock "$lock"; then
        say "voiced: waiting for another installation into $root"
        flock "$lock"
    fi
    if ! { right_python && installed "$@"; }; then
        usable || create
        install "$1"
    fi
    exec {lock}<&-
    prepare_extras
}
