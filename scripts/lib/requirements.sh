# shellcheck shell=bash
# What the build needs: says what is missing, all of it at once, or installs it.
# Sourced after packages.sh and build.sh, never run.

# Fills `missing` with what the build lacks, as Debian packages, and `reasons`
# with one line for each. $1: the checkout; $2: a php-config, or empty as for
# find_php; $3: yes if "make" is to be there too.
find_missing() {
  missing=() reasons=()
  local config=${2:-${PHP_CONFIG:-php-config}} version package too_old
  if ! command -v "$config" >/dev/null; then
    missing+=("$(php_dev_package)")
    reasons+=("$config: PHP's development files")
  elif ! PHP_CONFIG=$config has_session_headers; then
    version=$("$config" --version | cut -d. -f1,2)
    missing+=("php$version-dev")
    reasons+=("$("$config" --include-dir)/ext/session/php_session.h: the headers of PHP $version")
  fi
  if ! has_libclang; then
    missing+=(libclang-dev)
    reasons+=("libclang: reads PHP's headers while building (elsewhere than usual? set LIBCLANG_PATH)")
  fi
  if ! command -v cc >/dev/null; then
    missing+=(gcc libc6-dev)
    reasons+=("cc: a C compiler, which Rust uses as its linker")
  fi
  if [[ $3 == yes ]] && ! command -v make >/dev/null; then
    missing+=(make)
    reasons+=("make: for the way over phpize and ./configure")
  fi
  if ! look_for_cargo "$(wanted_rust "$1")"; then
    package=$(cargo_package "$(wanted_rust "$1")" 2>/dev/null) || package=
    if [[ $package ]]; then missing+=("$package"); fi
    reasons+=("cargo: Rust $(wanted_rust "$1") or newer${too_old:+; found only $too_old}${package:+ (or rustup: https://rustup.rs)}")
    if [[ ! $package ]]; then no_rust_package=yes; fi
  fi
}

# Exits with what to do if something is missing.
# $1: the checkout; $2: a php-config, or empty as for find_php; $3: yes to
# install packages, "make" among them; $4: yes if that must be there.
check_requirements() {
  local root=$1 php_config=$2 deps=$3 make=${4:-no} missing reasons no_rust_package=''
  if [[ $php_config ]] && ! command -v "$php_config" >/dev/null; then
    die "--php-config: there is no such program: $php_config"
  fi
  if [[ $deps == yes ]] && command -v apt-get >/dev/null; then
    find_missing "$root" "$php_config" yes
    if [[ $no_rust_package ]]; then
      # The lists may be absent (a fresh image), or from before it was there.
      as_root apt-get -q update </dev/null
      find_missing "$root" "$php_config" yes
    fi
    if ((${#missing[@]})); then install_packages "${missing[@]}"; fi
    hash -r
    no_rust_package=''
  fi
  find_missing "$root" "$php_config" "$make"
  ((${#reasons[@]})) || return 0

  printf 'error: the build needs what is not here:\n' >&2
  printf '       %s\n' "${reasons[@]}" >&2
  if command -v apk >/dev/null; then
    echo "Install: apk add php-dev clang-dev gcc musl-dev make cargo   (php-dev by its version: php83-dev)" >&2
  elif command -v dnf >/dev/null; then
    echo "Install: dnf install php-devel clang-devel gcc make cargo" >&2
  elif [[ $deps == yes ]] && ((${#missing[@]})) && command -v apt-get >/dev/null; then
    echo "The packages ${missing[*]} do not bring it. A PHP that does not come from" >&2
    echo "packages needs its own headers: see 'make install-headers', or --php-config." >&2
  elif ((${#missing[@]})); then
    echo "Install: apt-get install ${missing[*]}   (or: ./install.sh --deps)" >&2
  fi
  if [[ $no_rust_package ]]; then
    echo "Rust: no package that apt-get knows is new enough$([[ $deps == yes ]] || echo " (apt-get update may help)"); rustup is: https://rustup.rs" >&2
  fi
  exit 1
}
