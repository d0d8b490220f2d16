# Sourced by ./quickstart and ./test: makes sure that the project can be built here, and says where everything goes.
# Sets SPOLT_HOME, SPOLT_CACHE, CARGO_TARGET_DIR and bin (the folder of the built programs).
# shellcheck shell=bash

export SPOLT_HOME="$PWD/.spolt"
export SPOLT_CACHE="${SPOLT_CACHE:-$SPOLT_HOME/cache}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$SPOLT_HOME/target}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
# shellcheck disable=SC2034 # used by those who source this
bin="$CARGO_TARGET_DIR/release"

say() {
  printf '==> %s\n' "$*" >&2
}

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf 'hint: %s\n' "$@" >&2; fi
  exit 1
}

# The Kafka client is built from its C sources, with its own OpenSSL: a compiler, make and perl are needed. All else that is missing
# (Java, Maven, Python, PostgreSQL) is the business of devstack.
ensure_build_tools() {
  local missing=() tool
  for tool in cc c++ make perl; do
    command -v "$tool" >/dev/null || missing+=("$tool")
  done
  if ((${#missing[@]})); then
    local packages="build-essential perl pkg-config"
    command -v apt-get >/dev/null ||
      die "missing on this machine: ${missing[*]}" "install what Debian calls '$packages' with your package manager, then run again"
    say "missing: ${missing[*]}; installing $packages with apt"
    local root=()
    if [[ $(id -u) != 0 ]]; then
      command -v sudo >/dev/null || die "missing on this machine: ${missing[*]}" "as root, run: apt-get install $packages"
      say "sudo may ask for your password, to install these packages"
      root=(sudo)
    fi
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
    # shellcheck disable=SC2086 # a list of packages
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
  fi
  if ! command -v cargo >/dev/null && [[ -x $HOME/.cargo/bin/cargo ]]; then
    export PATH="$HOME/.cargo/bin:$PATH"
  fi
  command -v cargo >/dev/null ||
    die "Rust is not installed: there is no cargo on the PATH" "install it as https://rustup.rs says (one command), open a new shell, then run again"
}

# Builds the four programs, in release.
build_programs() {
  local often="a minute or less"
  [[ -x $bin/devstack ]] || often="four to six minutes on two cores, the first time"
  say "building s3-spolt, redshift-spolt, redshift-local and devstack ($often)"
  # The whole workspace at once: features are then the same as for the tests, and nothing is built twice.
  cargo build --release --locked --workspace --bins
}

# Builds what tries to break them: the model, the simulator, the drills, and the daemons with failpoints under names of their own.
build_proof() {
  say "building the model, the simulator, the drills and the daemons with failpoints"
  cargo build --release --locked --workspace --features drills \
    --bin model --bin simulator --bin devstack-drill --bin s3-spolt-drills --bin redshift-spolt-drills
}
