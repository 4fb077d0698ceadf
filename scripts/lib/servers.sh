# shellcheck shell=bash
# Starting Redis servers from a script: with the program of tools/servers, which
# scripts/servers runs as well, and which ends them however the script ends.
# Sourced, never run.

# shellcheck source=scripts/lib/packages.sh
source "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/build.sh"

servers_by=()

# Sets SERVERS_PROGRAM to the program, which it builds unless it is newer than
# its sources (some seconds, the first time). $1: the checkout.
build_servers() {
  local target=${CARGO_TARGET_DIR:-$1/target}/servers
  SERVERS_PROGRAM=$target/debug/servers
  if [[ ! -x $SERVERS_PROGRAM || $(find "$1/tools/servers" -newer "$SERVERS_PROGRAM" -print -quit) ]]; then
    find_cargo "$(wanted_rust "$1")"
    # A target directory of its own: other builds choose other features.
    PATH=$(dirname "$CARGO"):$PATH CARGO_TARGET_DIR=$target "$CARGO" build --quiet --locked --package servers \
      --manifest-path "$1/Cargo.toml" >&2 || die "cannot build tools/servers; cargo's messages are above."
    touch "$SERVERS_PROGRAM" # cargo leaves alone what has not changed
  fi
  SERVERS_PROGRAM=$(realpath "$SERVERS_PROGRAM")
}

# Starts servers and sets the variables that the program prints, SERVERS_... .
# They end with stop_servers, or with this script. Fails if they do not start;
# the program has said why. $@: its arguments. The array servers_by may hold a
# command that is to run it.
start_servers() {
  local line
  coproc SERVERS { exec "${servers_by[@]}" "$SERVERS_PROGRAM" "$@"; }
  # bash forgets these as soon as the program ends.
  # shellcheck disable=SC2153 # coproc sets them
  servers_output=${SERVERS[0]} servers_input=${SERVERS[1]} servers_pid=$SERVERS_PID
  SERVERS_SAVE_PATH=
  while IFS= read -r line; do
    if [[ $line == SERVERS_*=* ]]; then printf -v "${line%%=*}" %s "${line#*=}"; fi
  done <&"$servers_output"
  if [[ ! $SERVERS_SAVE_PATH ]]; then
    stop_servers
    return 1
  fi
}

# Stops what start_servers has started; without it, does nothing.
stop_servers() {
  if [[ ! ${servers_pid:-} ]]; then return 0; fi
  exec {servers_input}>&- {servers_output}<&-
  wait "$servers_pid" 2>/dev/null || true
  servers_pid=
}
