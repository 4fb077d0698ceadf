# shellcheck shell=bash
# Finding a PHP, and building and load-testing the extension for it.
# Sourced after packages.sh, never run.

# Sets PHP_CONFIG, PHP (the CLI of the same installation) and PHP_VERSION_SHORT
# (8.2). $1 is a php-config to use, or empty for $PHP_CONFIG or the one in PATH.
find_php() {
  PHP_CONFIG=${1:-${PHP_CONFIG:-php-config}}
  PHP_CONFIG=$(command -v "$PHP_CONFIG") ||
    die "php-config not found${1:+ at $1}: PHP's development files are missing." \
      "Install $(php_dev_package), or name one: --php-config PATH"
  PHP=$("$PHP_CONFIG" --php-binary)
  [[ -x $PHP ]] || die "$PHP_CONFIG names the PHP binary '$PHP', which does not exist." \
    "Install the command line PHP of that installation (Debian: php$("$PHP_CONFIG" --version | cut -d. -f1,2)-cli)."
  PHP_VERSION_SHORT=$("$PHP_CONFIG" --version | cut -d. -f1,2)
  local runs
  runs=$("$PHP" -n -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')
  [[ $runs == "$PHP_VERSION_SHORT" ]] ||
    die "$PHP_CONFIG is for PHP $PHP_VERSION_SHORT, but its $PHP is PHP $runs." \
      "Name the php-config of the PHP that is to load the extension: --php-config PATH"
  export PHP PHP_CONFIG
}

# Stops passing on PHP and PHP_CONFIG where PATH says the same: with them cargo
# runs the build scripts again (half a minute) after each build without them.
# $1, $2: what they were before find_php.
leave_php_to_path() {
  [[ ! $1 && ! $2 && $PHP_CONFIG == "$(command -v php-config)" ]] || return 0
  [[ $(realpath "$PHP") == "$(realpath "$(command -v php)")" ]] || return 0
  export -n PHP PHP_CONFIG
}

# Sets PHP and PHP_VERSION_SHORT as find_php does, but makes do with a PHP
# without its development files. $1: a php-config, which may be gone, or empty.
find_php_to_remove_from() {
  local config=${1:-${PHP_CONFIG:-php-config}}
  if command -v "$config" >/dev/null; then
    find_php "$1"
    return 0
  fi
  # What is php-config8.4 for one PHP is php8.4 beside it, in Debian and elsewhere.
  PHP=$(command -v "${config/php-config/php}") || PHP=
  [[ $PHP && $config == *php-config* ]] || die "neither $config nor a php beside it was found." \
    "Name the PHP to remove it from by its php-config, even if that is gone: --php-config /usr/bin/php-config8.2"
  PHP_VERSION_SHORT=$("$PHP" -n -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;')
  export PHP
}

# Prints the package with PHP's headers: of the PHP in PATH, if there is one.
php_dev_package() {
  local version
  version=$(php -n -r 'echo PHP_MAJOR_VERSION, ".", PHP_MINOR_VERSION;' 2>/dev/null) || version=
  printf 'php%s-dev\n' "$version"
}

# Succeeds if bindgen will find libclang, which it loads at build time, and
# clang's own headers (stddef.h), which some packages of libclang lack.
has_libclang() {
  if [[ ${LIBCLANG_PATH:-} ]]; then return 0; fi
  any_exists /usr/lib/llvm*/lib*/libclang[.-]*so* /usr/lib/llvm*/libclang[.-]*so* \
    /usr/lib{,64,/*-linux-gnu*}/libclang[.-]*so* /usr/local/lib/libclang[.-]*so* &&
    any_exists /usr/lib{,64,/llvm*/lib*,/llvm*}/clang/*/include/stddef.h /usr/local/lib/clang/*/include/stddef.h
}

any_exists() {
  local file
  for file in "$@"; do
    if [[ -e $file ]]; then return 0; fi
  done
  return 1
}

# Succeeds if the headers of PHP_CONFIG include the session API.
has_session_headers() { [[ -e $("$PHP_CONFIG" --include-dir)/ext/session/php_session.h ]]; }

# Prints the oldest Rust that will do for the checkout $1.
wanted_rust() { sed -n 's/^rust-version *= *"\([0-9.]*\)".*/\1/p' "$1/Cargo.toml"; }

# Prints the value of the line $2 in the Cargo.toml of the checkout $1, such as version or authors.
manifest() { sed -nE "s/^$2 = \[?\"([^\"]*)\"\]?$/\1/p" "$1/Cargo.toml" | head -n 1; }

# Builds for the PHP that find_php found, with the cargo that find_cargo found,
# and sets LIBRARY. Under sudo, cargo runs as the user who called sudo, so that
# their toolchain is used and target/ stays theirs.
# $1: the checkout; $2: a function to run cargo with (may be left out).
build_extension() {
  local root=$1 as_user=() flags=()
  shift
  if ((EUID == 0)) && [[ ${SUDO_USER:-root} != root && -z ${CARGO_TARGET_DIR:-} ]] &&
    [[ $(stat -c %U "$root") == "$SUDO_USER" ]] && sudo -u "$SUDO_USER" test -x "$CARGO"; then
    as_user=(sudo -H -u "$SUDO_USER" --)
  fi
  # musl builds are static by default, and such a program cannot load a .so.
  if PATH=$(dirname "$CARGO"):$PATH rustc -vV | grep -q '^host:.*-musl$' && [[ -z ${RUSTFLAGS:-} ]]; then
    flags=(RUSTFLAGS='-C target-feature=-crt-static')
  fi
  "$@" "${as_user[@]}" env PATH="$(dirname "$CARGO"):$PATH" PHP="$PHP" PHP_CONFIG="$PHP_CONFIG" "${flags[@]}" \
    "$CARGO" build --release --locked --manifest-path "$root/Cargo.toml" ||
    die "cargo build failed; its messages are above." \
      "A header or libclang that it misses: install.sh --deps. No network: cargo fetch --locked where there is one."
  built_library "$root" || die "cargo built no libredis_session.so in ${CARGO_TARGET_DIR:-$root/target}/release."
}

# Sets LIBRARY to what an earlier build left; fails if there is nothing.
built_library() {
  LIBRARY=${CARGO_TARGET_DIR:-$1/target}/release/libredis_session.so
  [[ -e $LIBRARY ]] && LIBRARY=$(realpath "$LIBRARY")
}

# Prints the ini file that enables the extension. Debian reads the priority;
# phpredis has 20 and must come first.
ini_text() { printf '; configuration for the redis_session module\n; priority=30\nextension=redis_session\n'; }

# Loads $1 into PHP and asks whether it is there, since PHP only warns about an
# extension that it cannot load, and goes on without it.
load_test() {
  local output status=0 session=()
  # Alpine's session extension is itself a shared one.
  # (Not grep -q, whose early end PHP would take for an error of its own.)
  if ! "$PHP" -n -m | grep -x session >/dev/null; then session=(-d extension=session); fi
  # shellcheck disable=SC2016 # PHP's variables
  output=$("$PHP" -n -d display_errors=stderr -d display_startup_errors=1 -d html_errors=0 "${session[@]}" \
    -d session.upload_progress.enabled=0 -d extension="$1" -r '
      if (!extension_loaded("redis_session")) exit(3);
      if (ini_set("session.save_handler", "redis_session") === false) exit(4);' 2>&1) || status=$?
  ((status)) || return 0
  [[ ! $output ]] || printf '%s\n' "$output" >&2
  case $status in
    3) if [[ $output == *API=* ]]; then
      die "$1 was built for another PHP than $PHP." \
        "Build it again for this one: cargo clean, then this script with --php-config PATH of that PHP."
    fi
    die "$PHP cannot load $1; its reason is above." ;;
    4) die "$1 loads, but registers no save handler; PHP's message is above." ;;
    *) die "$PHP ended with status $status while loading $1." "Please report this together with the output of php -v." ;;
  esac
}
