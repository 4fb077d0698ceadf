#!/usr/bin/env bash
# Builds the redis_session extension and installs it into a PHP, or removes it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib/packages.sh
source "$root/scripts/lib/packages.sh"
# shellcheck source=scripts/lib/build.sh
source "$root/scripts/lib/build.sh"
# shellcheck source=scripts/lib/requirements.sh
source "$root/scripts/lib/requirements.sh"

usage() {
  cat <<USAGE
Usage: ./install.sh [option...]

Builds redis_session.so, tries it in PHP, copies it to PHP's extension
directory and enables it for every SAPI of that PHP. Run it as root, or as a
user who may use sudo. Running it again installs the new build over the old.

  --php-config PATH  the PHP to install for (default: \$PHP_CONFIG, or the
                     php-config in PATH)
  --deps             install missing build packages first, Rust too (apt-get;
                     on other systems: say which)
  --no-enable        only copy the .so, leave php.ini alone
  --prefix DIR       install below DIR instead of / (also: DESTDIR=DIR), to make
                     a package or to copy into an image; changes nothing else
  --uninstall        disable the extension and remove what was installed
  -h, --help         this text

Exit code: 0 installed (or removed), 1 something is missing or failed,
2 wrong usage.
USAGE
}

# phpenmod is where a plain user's PATH may not look.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

action=install enable=yes deps=no php_config=
DESTDIR=${DESTDIR:-}
while (($#)); do
  case $1 in
    --php-config | --prefix)
      (($# > 1)) || { echo "install.sh: $1 needs a value (see --help)" >&2; exit 2; }
      if [[ $1 == --prefix ]]; then DESTDIR=$2; else php_config=$2; fi
      shift ;;
    --php-config=*) php_config=${1#*=} ;;
    --prefix=*) DESTDIR=${1#*=} ;;
    --deps) deps=yes ;;
    --no-enable) enable=no ;;
    --uninstall) action=uninstall ;;
    -h | --help) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1 (see --help)" >&2; exit 2 ;;
  esac
  shift
done
DESTDIR=${DESTDIR%/}
if [[ $DESTDIR && $DESTDIR != /* ]]; then DESTDIR=$PWD/$DESTDIR; fi

# ------------------------------------------------------------------- locations

# Where things go, as PHP itself sees them (without DESTDIR).
find_locations() {
  extension_dir=$("$PHP_CONFIG" --extension-dir)
  scan_dir=$("$PHP" -n -r 'echo PHP_CONFIG_FILE_SCAN_DIR;')
  scan_dir=${scan_dir%%:*}
  mods_available=/etc/php/$PHP_VERSION_SHORT/mods-available
  if [[ $scan_dir == "/etc/php/$PHP_VERSION_SHORT"/* && -d $mods_available ]] && command -v phpenmod >/dev/null; then
    layout=debian ini=$mods_available/redis_session.ini
  elif [[ $scan_dir == /usr/local/etc/php/conf.d ]] && command -v docker-php-ext-enable >/dev/null; then
    layout=docker ini=$scan_dir/docker-php-ext-redis_session.ini
  elif [[ $scan_dir && -d $scan_dir ]]; then
    layout=scan ini=$scan_dir/$(scan_dir_name)
  else
    layout=none ini=
  fi
}

# The ini files of a directory are read by name, and phpredis must come first.
scan_dir_name() {
  local name=60-redis_session.ini phpredis
  phpredis=$(ini_files_with redis "$scan_dir" | sort | tail -n 1)
  phpredis=${phpredis##*/}
  if [[ $phpredis && ! $phpredis < $name ]]; then name=zz-redis_session.ini; fi
  printf '%s\n' "$name"
}

# Prints the .ini files in (or below) $2.. that load extension $1.
ini_files_with() {
  local name=$1
  shift
  # (Alpine's grep has no --include.)
  grep -lRsE "^[[:space:]]*extension[[:space:]]*=[[:space:]]*[\"']?([^;\"']*/)?$name(\.so)?[\"']?[[:space:]]*(;.*)?$" "$@" |
    grep '\.ini$' || true
}

# Prints the ini files that this PHP's CLI reads.
loaded_ini_files() {
  # shellcheck disable=SC2016 # PHP's variables
  "$PHP" -d display_errors=0 -r '
    foreach ([php_ini_loaded_file(), ...explode(",", (string) php_ini_scanned_files())] as $file) {
      if (trim((string) $file) !== "") echo trim($file), "\n";
    }' 2>/dev/null
}

# Runs a command that writes to PHP's directories: in a staging directory as
# ourselves, else as root unless these directories are ours.
privileged() {
  if [[ $DESTDIR || -w $extension_dir && -w ${scan_dir:-$extension_dir} ]]; then "$@"; else as_root "$@"; fi
}

# A process may have the old file mapped: never write into it, replace it.
# $1: mode-644 source, $2: destination.
install_file() {
  privileged mkdir -p "$(dirname "$2")"
  privileged install -m 644 "$1" "$2.new.$$"
  privileged mv -f "$2.new.$$" "$2"
}

write_ini() {
  local text
  text=$(mktemp)
  ini_text >"$text"
  install_file "$text" "$DESTDIR$ini"
  rm -f "$text"
}

# ---------------------------------------------------------------------- enable

enable_extension() {
  local others files=()
  if [[ ! $DESTDIR ]]; then
    # A line of the administrator's own is as good, and twice would warn.
    mapfile -t files < <(loaded_ini_files)
    others=$(ini_files_with redis_session "${files[@]}" /dev/null | grep -v '/[0-9a-z-]*redis_session\.ini$' || true)
    if [[ $others ]]; then
      step "Enabled already in: $others"
      return 0
    fi
  fi
  case $layout in
    debian)
      write_ini
      if [[ $DESTDIR ]]; then
        echo "    After unpacking, run: phpenmod -v $PHP_VERSION_SHORT redis_session"
      else
        as_root phpenmod -r -v "$PHP_VERSION_SHORT" redis_session
        step "Enabled with phpenmod: $ini"
      fi ;;
    docker)
      if [[ $DESTDIR ]]; then write_ini; else privileged docker-php-ext-enable redis_session; fi
      step "Enabled: $DESTDIR$ini" ;;
    scan)
      write_ini
      step "Enabled: $DESTDIR$ini" ;;
    none)
      step "This PHP reads no directory of ini files. Add this line to its php.ini yourself:"
      echo "    extension=redis_session"
      enable=no ;;
  esac
}

# Asks the PHP that users will run, with its own configuration.
verify() {
  local output
  if ! output=$("$PHP" -d display_startup_errors=1 -d display_errors=stderr --ri redis_session 2>&1); then
    printf '%s\n' "$output" >&2
    die "$PHP does not load redis_session with its own configuration." \
      "Its message is above; 'php --ini' shows what it reads. Undo: ./install.sh --uninstall"
  fi
  step "php --ri redis_session:"
  printf '%s\n' "$output" | sed '/./,$!d; s/^/    /'
}

# ---------------------------------------------------------------------- advice

# phpredis registers `redis` before us if it is loaded: the first name wins.
explain_phpredis() {
  local files=() lines='' file
  "$PHP" -d display_errors=0 -r 'exit(extension_loaded("redis") ? 0 : 1);' 2>/dev/null || return 0
  mapfile -t files < <(loaded_ini_files)
  while read -r file; do
    [[ $file ]] || continue
    lines+="${lines:+$'\n'}    $(grep -nEH '^[[:space:]]*extension[[:space:]]*=.*redis(\.so)?["'\'']?[[:space:]]*(;.*)?$' "$file" | head -n 1)"
  done < <(ini_files_with redis "${files[@]}" /dev/null)
  cat <<ADVICE

phpredis is loaded too, and the first to register a name keeps it:
    session.save_handler = redis            is served by phpredis
    session.save_handler = redis_session    is served by this extension
Keys, data and locks are the same, so servers may be switched one by one.
To use this extension, either write redis_session, or, if no code of yours uses
phpredis' Redis class, disable phpredis and keep writing redis. Its line:
${lines:-    (in no ini file that the command line PHP reads)}
ADVICE
  if [[ $layout == debian ]]; then
    echo "To disable that line everywhere: phpdismod -v $PHP_VERSION_SHORT redis"
  fi
}

# Names the lines of others that need what has been removed.
explain_leftovers() {
  local files=() lines handlers='redis|rediscluster|redis_session'
  mapfile -t files < <(loaded_ini_files)
  # Those of the other programs, too.
  if [[ $layout == debian ]]; then files=("/etc/php/$PHP_VERSION_SHORT"); fi
  lines=$(ini_files_with redis_session "${files[@]}" /dev/null)
  if [[ $lines ]]; then
    printf '\nA line that this script did not write still loads it; remove it from:\n'
    printf '%s\n' "$lines" | sed 's/^/    /'
  fi
  if "$PHP" -d display_errors=0 -r 'exit(extension_loaded("redis") ? 0 : 1);' 2>/dev/null; then handlers=redis_session; fi
  lines=$(grep -rnHE "^[^;#]*session\.save_handler\]?[[:space:]]*=[[:space:]]*[\"']?($handlers)[\"']?[[:space:]]*(;.*)?$" \
    "${files[@]}" /dev/null 2>/dev/null | grep -E '^[^:]*\.(ini|conf):' || true)
  if [[ $lines ]]; then
    printf '\nNobody serves these any more; sessions fail until they are changed, for instance to "files":\n'
    printf '%s\n' "$lines" | sed 's/^/    /'
  fi
}

# Names what has to be told to load the new extension; does not tell it.
explain_reload() {
  local dir unit units=()
  for dir in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    for unit in "$dir/php-fpm.service" "$dir/php$PHP_VERSION_SHORT-fpm.service" \
      "$dir/php${PHP_VERSION_SHORT/./}-php-fpm.service" "$dir"/{apache2,httpd}.service; do
      if [[ -e $unit ]]; then units+=("$(basename "$unit" .service)"); fi
    done
  done
  echo
  if [[ -d /run/systemd/system ]] && ((${#units[@]})); then
    echo "PHP processes that run already do not see the change until they are reloaded:"
    printf '%s\n' "${units[@]}" | sort -u | sed 's/^/    systemctl reload /'
  elif ((${#units[@]})); then
    echo "PHP processes that run already do not see the change until they are reloaded:"
    printf '%s\n' "${units[@]}" | sort -u | sed 's/.*/    service & reload/'
  else
    echo "PHP processes that run already (php-fpm, Apache) do not see the change until"
    echo "they are reloaded: kill -USR2 <pid of the php-fpm master>, or restart the container."
  fi
}

# --------------------------------------------------------------------- actions

do_install() {
  check_requirements "$php_config" "$deps"
  find_php "$php_config"
  find_cargo "$(wanted_rust "$root")" "$deps"
  find_locations
  step "Building for PHP $("$PHP_CONFIG" --version) ($PHP) with $CARGO; the first build takes a few minutes"
  build_extension "$root"
  step "Loading it into PHP, without any php.ini"
  load_test "$LIBRARY"
  install_file "$LIBRARY" "$DESTDIR$extension_dir/redis_session.so"
  step "Installed: $DESTDIR$extension_dir/redis_session.so"
  if [[ $enable == yes ]]; then enable_extension; fi
  if [[ $DESTDIR ]]; then return 0; fi
  if [[ $enable == no ]]; then
    echo "    Not enabled. The line that enables it: extension=redis_session"
    return 0
  fi
  verify
  cat <<ADVICE

To keep sessions in Redis, set in php.ini or in a php-fpm pool:
    session.save_handler = redis
    session.save_path = "tcp://127.0.0.1:6379"
ADVICE
  explain_phpredis
  explain_reload
}

do_uninstall() {
  find_php "$php_config"
  find_locations
  local file removed=no files=()
  if [[ $layout == debian && ! $DESTDIR ]]; then
    # It must go while its ini file is there, and it keeps a record that nobody needs.
    if [[ -e $ini ]]; then as_root phpdismod -v "$PHP_VERSION_SHORT" -p redis_session; fi
    files=(/var/lib/php/modules/"$PHP_VERSION_SHORT"/*/{en,dis}abled_by_{admin,maint}/redis_session
      /var/lib/php/modules/"$PHP_VERSION_SHORT"/registry/redis_session)
  fi
  if [[ $scan_dir ]]; then
    files+=("$DESTDIR$scan_dir"/{docker-php-ext-,60-,zz-}redis_session.ini)
  fi
  files+=("$DESTDIR$extension_dir/redis_session.so")
  if [[ $ini ]]; then files+=("$DESTDIR$ini"); fi
  for file in "${files[@]}"; do
    if [[ -e $file || -L $file ]]; then
      privileged rm -f "$file"
      if [[ $file != /var/lib/php/* ]]; then step "Removed: $file"; fi
      removed=yes
    fi
  done
  if [[ $removed == no ]]; then
    step "Nothing to remove: redis_session is not installed for PHP $PHP_VERSION_SHORT."
    return 0
  fi
  if [[ $DESTDIR ]]; then return 0; fi
  explain_leftovers
  explain_reload
}

"do_$action"
