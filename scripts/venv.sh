# Sourced by the other scripts: makes or refreshes a virtual environment and puts it on PATH.
#
#   . venv.sh; ready_venv EXTRAS
#
# The environment lies in .venv of the checkout, or in the user's cache when the checkout
# belongs to somebody else. VOICE_SERVER_VENV names another place. Safe to run twice at once
# and after a kill: an environment counts as ready only once its stamp is written.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }

_python() {
  local name
  for name in python3.13 python3.12 python3.11 python3.14 python3 python; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      "$name" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  say "Python 3.11 or newer is needed, and none was found on PATH."
  say "Install one (Debian and Ubuntu: apt install python3 python3-venv), then run this again."
  return 1
}

_place() {
  if [ -n "${VOICE_SERVER_VENV:-}" ]; then
    printf '%s\n' "$VOICE_SERVER_VENV"
  elif [ -O "$ROOT" ] && [ -w "$ROOT" ]; then
    printf '%s\n' "$ROOT/.venv"
  else
    printf '%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}/voice-server/venv-$(printf %s "$ROOT" | cksum | cut -d' ' -f1)"
  fi
}

_make() { # PLACE: an empty environment
  rm -rf "$1"
  mkdir -p "$(dirname "$1")"
  if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --python "$(_python)" "$1"
  elif ! "$(_python)" -m venv "$1" >&2; then
    say "Python cannot make a virtual environment."
    say "Install its venv module (Debian and Ubuntu: apt install python3-venv) or uv."
    rm -rf "$1"
    return 1
  fi
}

_install() { # PLACE REQUIREMENT
  if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --python "$1/bin/python" --editable "$2"
  else
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$2"
  fi
}

ready_venv() { # EXTRAS such as "" or "[dev]"
  local place stamp want
  place=$(_place)
  stamp="$place/.voice-server$1"
  mkdir -p "$(dirname "$place")"
  exec 9>"$place.lock"
  if command -v flock >/dev/null 2>&1; then flock 9; fi
  if ! "$place/bin/python" -c '' 2>/dev/null; then
    say "making a virtual environment in $place"
    _make "$place" || return 1
  fi
  want=$(cksum <"$ROOT/pyproject.toml")
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    say "installing what the server needs (the first time takes a minute or two) ..."
    rm -f "$stamp"
    _install "$place" "$ROOT$1" || { say "The packages could not be installed; is the package index reachable?"; return 1; }
    printf '%s\n' "$want" >"$stamp"
  fi
  exec 9>&-
  export PATH="$place/bin:$PATH" VIRTUAL_ENV="$place"
}
