# shellcheck shell=bash
# Debian packages and a Rust toolchain for the scripts of this repository.
# Sourced, never run. Installs only what is missing and starts no service.

# Prints a step, so that a long one is never silent.
step() { printf '==> %s\n' "$*"; }

# Prints what is wrong and how to mend it (one line per argument), then exits 1.
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  if (($#)); then printf '       %s\n' "$@" >&2; fi
  exit 1
}

# Runs a command as root: directly, or with sudo.
as_root() {
  if ((EUID == 0)); then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    die "this needs root: $*" "Run the script as root, or install sudo."
  fi
}

# Prints those of the given Debian packages that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
      grep -qx installed || printf '%s\n' "$package"
  done
}

# Installs those of the given Debian packages that are missing. Services that
# come with them are not started, as far as Debian's policy-rc.d can prevent it.
install_packages() {
  local missing
  mapfile -t missing < <(missing_packages "$@")
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]} (Debian's names)" "This system has no apt-get: install them with its own package manager."
  step "Installing packages: ${missing[*]}"
  # One root shell: the policy must be in place while apt runs, and gone after.
  # shellcheck disable=SC2016 # expands in the inner shell
  as_root bash -euc '
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d
    if (set -C; printf "#!/bin/sh\nexit 101\n" >"$policy") 2>/dev/null; then
      trap "rm -f $policy" EXIT
      trap "exit 130" INT
      trap "exit 143" TERM
      chmod 755 "$policy"
    fi
    # Package lists may be absent (a fresh image) or older than the mirror.
    install() { apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y -q --no-install-recommends --no-remove "$@"; }
    apt-get install -s -q --no-install-recommends --no-remove "$@" >/dev/null 2>&1 || apt-get -q update
    install "$@" || { apt-get -q update && install "$@"; }
  ' install_packages "${missing[@]}" </dev/null ||
    die "apt-get could not install: ${missing[*]}" "Its messages are above. Install them by hand, then run this again."
  [[ -d /run/systemd/system ]] || return 0
  local units
  units=$(dpkg -L "${missing[@]}" | sed -n 's|.*/systemd/system/\([^@/]*\.service\)$|\1|p' | sort -u | paste -sd' ')
  if [[ $units ]]; then
    echo "    Not started, but systemd will start them at the next boot. If you do not want that:"
    echo "    systemctl disable $units"
  fi
}

# Succeeds if dotted version $1 is at least $2.
version_at_least() {
  local -a have want
  IFS=. read -ra have <<<"${1%%[!0-9.]*}"
  IFS=. read -ra want <<<"$2"
  local i
  for i in 0 1 2; do
    ((10#${have[i]:-0} == 10#${want[i]:-0})) || return $((10#${have[i]:-0} < 10#${want[i]:-0}))
  done
}

# Sets CARGO to a cargo whose rustc is at least version $1, or exits and says
# how to get one. $2: yes to install the package that has one, if any has.
find_cargo() {
  local wanted=$1 install=${2:-no} too_old package=''
  if look_for_cargo "$wanted"; then return 0; fi
  if command -v apt-get >/dev/null; then
    # The lists may be absent (a fresh image), or from before it was there.
    package=$(cargo_package "$wanted") ||
      { [[ $install == yes ]] && as_root apt-get -q update && package=$(cargo_package "$wanted"); } || package=
  fi
  if [[ $package && $install == yes ]]; then
    install_packages "$package"
    hash -r
    if look_for_cargo "$wanted"; then return 0; fi
  fi
  local apk=''
  if [[ ! $too_old ]] && command -v apk >/dev/null; then apk=yes; fi
  die "Rust $wanted or newer is needed${too_old:+, found only $too_old}." \
    "${apk:+apk add cargo, or }${package:+apt-get install $package${too_old:+ (it replaces a package cargo that is older)}, or }rustup: https://rustup.rs"
}

# Puts the toolchain of CARGO first in PATH, unless PATH finds it there already:
# when PATH changes, cargo runs the build scripts again that look for PHP in it.
put_cargo_first() {
  local bin
  bin=$(dirname "$CARGO")
  if [[ $(command -v cargo) != "$bin/cargo" || $(command -v rustc) != "$bin/rustc" ]]; then PATH=$bin:$PATH; fi
}

# Adds the folders to PATH that it lacks: Debian keeps servers where a plain
# user's PATH does not look.
look_for_servers() {
  local dir
  for dir in /usr/local/sbin /usr/sbin /sbin; do
    if [[ :$PATH: != *:"$dir":* ]]; then PATH=$PATH:$dir; fi
  done
}

# Looks where rustup puts cargo (under sudo: for the user who called), in PATH,
# and where Ubuntu's versioned packages put it. Tells of others in too_old.
look_for_cargo() {
  local wanted=$1 candidate version caller=''
  too_old=
  if [[ ${SUDO_USER:-} ]]; then caller=$(getent passwd "$SUDO_USER" | cut -d: -f6) || caller=; fi
  for candidate in "${CARGO:-}" "${caller:+$caller/.cargo/bin/cargo}" "$(command -v cargo || true)" \
    "${CARGO_HOME:-${HOME:-}/.cargo}/bin/cargo" /usr/lib/rust-*/bin/cargo; do
    [[ $candidate && -x $candidate ]] || continue
    # rust-version is about the compiler; take the one beside this cargo.
    version=$(PATH=$(dirname "$candidate"):$PATH rustc --version 2>/dev/null | cut -d' ' -f2) || version=
    [[ $version ]] || continue
    if version_at_least "$version" "$wanted"; then
      CARGO=$candidate
      return 0
    fi
    too_old="${too_old:+$too_old, }$version ($candidate)"
  done
  return 1
}

# Prints the package whose cargo is at least version $1. Debian keeps the one
# its browsers are built with up to date; Ubuntu has one for each version.
cargo_package() {
  local package version
  while read -r package version; do
    if version_at_least "$version" "$1"; then
      printf '%s\n' "$package"
      return 0
    fi
  done < <(
    { echo cargo; echo cargo-web; apt-cache pkgnames cargo-1. | grep -E '^cargo-1\.[0-9]+$' | sort -V; } |
      xargs apt-cache policy 2>/dev/null | awk '/^[^ ]/ { name = $1; sub(/:$/, "", name) } $1 == "Candidate:" { print name, $2 }'
  )
  return 1
}
