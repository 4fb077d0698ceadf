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
# shellcheck source=scripts/lib/ini.sh
source "$root/scripts/lib/ini.sh"
# shellcheck source=scripts/lib/leftovers.sh
source "$root/scripts/lib/leftovers.sh"

usage() {
  cat <<USAGE
Usage: ./install.sh [option...]

Builds redis_session.so, tries it in PHP, copies it to PHP's extension
directory and enables it for every SAPI of that PHP. Run it as root, or as a
user who may use sudo. Running it again installs the new build over the old.

  --php-config PATH  the PHP to install for (default: \$PHP_CONFIG, or the
                     php-config in PATH)
  --deps             install missing build packages first, Rust and make too
                     (apt-get; on other systems: say which)
  --no-enable        only copy the .so, leave php.ini alone
  --prefix DIR       install below DIR instead of / (also: DESTDIR=DIR), to make
                     a package or to copy into an image; changes nothing else
  --uninstall        disable the extension, remove what was installed and all
                     other files that only load it, and name the settings that
                     still ask for it. Needs no php-config: the php in PATH does
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
  # Headers and php-config may be gone when the extension is removed.
  extension_dir=$("$PHP" -n -r 'echo PHP_EXTENSION_DIR;')
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
  local others
  if [[ $layout != debian && ! $DESTDIR ]]; then
    # A line of the administrator's own is as good, and twice would warn.
    others=$(files_that_load_it | grep -vxF "$ini" || true)
    if [[ $others ]]; then
      step "Enabled already in: $others"
      if [[ -e $ini ]]; then
        privileged rm -f "$ini"
        step "Removed, as this PHP would load it twice: $ini"
      fi
      return 0
    fi
  fi
  case $layout in
    debian)
      if [[ $DESTDIR ]]; then
        write_ini
        echo "    After unpacking, run: phpenmod -v $PHP_VERSION_SHORT redis_session"
      else
        enable_on_debian
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

# Prints the ini files by which the CLI loads the extension.
files_that_load_it() {
  local files=()
  mapfile -t files < <(loaded_ini_files)
  ini_files_with redis_session "${files[@]}" /dev/null
}

# Asks the PHP that users will run, with its own configuration.
verify() {
  local output
  if ! output=$("$PHP" -d display_startup_errors=1 -d display_errors=stderr --ri redis_session 2>&1); then
    printf '%s\n' "$output" >&2
    die "$PHP does not load redis_session with its own configuration." \
      "Its message is above; 'php --ini' shows what it reads. Undo: ./install.sh --uninstall"
  fi
  if [[ $output == *'already loaded'* ]]; then
    die "$PHP loads redis_session twice. Keep one of these lines:" "$(files_that_load_it | paste -sd' ')"
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
  local files=() places=() lines handlers='redis|rediscluster|redis_session'
  mapfile -t files < <(loaded_ini_files)
  mapfile -t places < <(places_with_settings "$PHP_VERSION_SHORT")
  # Those of the other programs, too; a module that no program has does no harm.
  if [[ $layout == debian ]]; then files=("/etc/php/$PHP_VERSION_SHORT"/*/{php.ini,conf.d}); fi
  lines=$(ini_files_with redis_session "${files[@]}" /dev/null)
  if [[ $lines ]]; then
    printf '\nA file that says more than that still loads it; remove the line from:\n'
    printf '%s\n' "$lines" | sed 's/^/    /'
  fi
  if "$PHP" -d display_errors=0 -r 'exit(extension_loaded("redis") ? 0 : 1);' 2>/dev/null; then handlers=redis_session; fi
  lines=$(lines_with_handler "$handlers" "${files[@]}" "${places[@]}" | sort -u)
  if [[ $lines ]]; then
    printf '\nNobody serves these any more; sessions fail until they are changed, for instance to "files":\n'
    printf '%s\n' "$lines" | sed 's/^/    /'
  fi
}

# Names what has to be told to load the new extension; does not tell it. Apache
# stays one process when it is reloaded, and keeps the code that it has loaded.
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
    echo "PHP processes that are already running do not see the change. Tell them:"
    printf '%s\n' "${units[@]}" | sort -u | sed -E 's/^/    systemctl reload /; s/reload (apache2|httpd)$/restart \1/'
  elif ((${#units[@]})); then
    echo "PHP processes that are already running do not see the change. Tell them:"
    printf '%s\n' "${units[@]}" | sort -u | sed -E 's/.*/    service & reload/; s/(apache2|httpd) reload$/\1 restart/'
  else
    echo "PHP processes that are already running do not see the change. Tell them:"
    echo "    kill -USR2 <pid of the php-fpm master>; restart Apache, or the container"
  fi
}

# --------------------------------------------------------------------- actions

do_install() {
  check_requirements "$root" "$php_config" "$deps"
  find_php "$php_config"
  find_cargo "$(wanted_rust "$root")" "$deps"
  find_locations
  refuse_package "Remove that first (apt-get purge PACKAGE), or install a newer package."
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
    session.save_handler = redis_session
    session.save_path = "tcp://127.0.0.1:6379"
ADVICE
  explain_phpredis
  explain_reload
}

# What a package has installed is the package's, also to remove. $1: what to do instead.
refuse_package() {
  local package
  package=$(package_of "$extension_dir/redis_session.so")
  [[ ! $package ]] || die "$extension_dir/redis_session.so belongs to the package $package." \
    "${1/PACKAGE/$package}"
}

do_uninstall() {
  find_php_to_remove_from "$php_config"
  find_locations
  refuse_package "Remove the package instead: apt-get purge PACKAGE"
  local file removed=no files=() modules=() kept=()
  # Before the first is removed: a link is known by what it leads to.
  mapfile -t files < <(ini_files_to_remove | sort -u)
  if [[ $layout == debian ]]; then
    mapfile -t modules < <({ echo redis_session.ini; ini_files_with redis_session "$DESTDIR$mods_available"; } | sed 's|.*/||; s/\.ini$//' | sort -u)
    for file in "${modules[@]}"; do mapfile -t -O "${#files[@]}" files < <(module_records "$file"); done
  fi
  files+=("$DESTDIR$extension_dir/redis_session.so")
  for file in "${files[@]}"; do
    if [[ -e $file || -L $file ]]; then
      privileged rm -f "$file"
      if [[ $file != "$DESTDIR"/var/lib/php/* ]]; then step "Removed: $file"; fi
      removed=yes
    fi
  done
  if [[ $layout == debian ]]; then
    mapfile -t kept < <(ini_files_with redis_session "$DESTDIR$mods_available")
    if ((${#kept[@]})); then step "Disabled, but kept, as it says more than that: ${kept[*]}"; fi
  fi
  if [[ $removed == no ]]; then
    step "Nothing to remove: redis_session is not installed for PHP $PHP_VERSION_SHORT."
  fi
  if [[ $DESTDIR ]]; then return 0; fi
  explain_leftovers
  if [[ $removed == yes ]]; then explain_reload; fi
}

"do_$action"
