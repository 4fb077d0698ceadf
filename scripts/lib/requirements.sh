# shellcheck shell=bash
# What the build needs beside Rust: says what is missing, or installs it.
# Sourced after packages.sh and build.sh, never run.

# Fills `missing` with what the build lacks, as Debian packages, and `reasons`
# with one line for each. $1: a php-config, or empty as for find_php.
find_missing() {
  missing=() reasons=()
  local config=${1:-${PHP_CONFIG:-php-config}} version
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
}

# Exits with what to do if something is missing.
# $1: a php-config, or empty as for find_php; $2: yes to install packages.
check_requirements() {
  local php_config=$1 deps=$2 missing reasons
  if [[ $php_config ]] && ! command -v "$php_config" >/dev/null; then
    die "--php-config: there is no such program: $php_config"
  fi
  find_missing "$php_config"
  if ((${#missing[@]})) && [[ $deps == yes ]] && command -v apt-get >/dev/null; then
    install_packages "${missing[@]}"
    hash -r
    find_missing "$php_config"
  fi
  ((${#missing[@]})) || return 0

  printf 'error: the build needs what is not here:\n' >&2
  printf '       %s\n' "${reasons[@]}" >&2
  if command -v apk >/dev/null; then
    echo "Install: apk add php-dev clang-dev gcc musl-dev   (php-dev by its version: php83-dev)" >&2
  elif command -v dnf >/dev/null; then
    echo "Install: dnf install php-devel clang-devel gcc" >&2
  elif [[ $deps == yes ]] && command -v apt-get >/dev/null; then
    echo "The packages ${missing[*]} do not bring it. A PHP that does not come from" >&2
    echo "packages needs its own headers: see 'make install-headers', or --php-config." >&2
  else
    echo "Install: apt-get install ${missing[*]}   (or: ./install.sh --deps)" >&2
  fi
  exit 1
}
