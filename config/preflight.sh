#!/bin/sh
# Say in one sentence what is missing before an installation begins that would fail for want of it.
set -eu

fail() {
    echo "QuantaHR cannot be installed: $1" >&2
    exit 1
}

PYTHON=${PYTHON:-python3.11}
NEEDED_MB=6000

command -v "$PYTHON" >/dev/null 2>&1 ||
    fail "'$PYTHON' was not found; install Python 3.11, or name it: make run PYTHON=/path/to/python3.11"
version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "'$PYTHON' does not start; install Python 3.11, or name it: make run PYTHON=/path/to/python3.11"
[ "$version" = 3.11 ] ||
    fail "'$PYTHON' is Python $version and 3.11 is needed; name it: make run PYTHON=/path/to/python3.11"
"$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "Python 3.11 has no 'venv' module; install it (Debian: apt-get install python3.11-venv)"
command -v "${CXX:-c++}" >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 ||
    fail "no C++ compiler was found, and llama.cpp is compiled here; install one (Debian: apt-get install g++)"
[ -w . ] || fail "the folder $(pwd) cannot be written to; change its owner, or clone it where you may write"
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge "$NEEDED_MB" ] ||
    fail "$free_mb MB are free in $(pwd) and $NEEDED_MB MB are needed; make room, or clone it on another disk"
