# shellcheck shell=bash disable=SC2154 # install.sh sets them
# Which ini files load the extension, whoever wrote them: one does for each of
# PHP's programs, and a second makes PHP warn at every start. Files are known by
# what is in them, not by their names. Sourced by install.sh after build.sh,
# never run; find_locations has set the places.

# Prints the .ini files in (or below) $2.. that load extension $1.
ini_files_with() {
  local name=$1
  shift
  # (Alpine's grep has no --include.)
  grep -lRsE "^[[:space:]]*extension[[:space:]]*=[[:space:]]*[\"']?([^;\"']*/)?$name(\.so)?[\"']?[[:space:]]*(;.*)?$" "$@" |
    grep '\.ini$' | sort || true
}

# Succeeds if the file loads the extension and says nothing else.
only_loads() {
  ! grep -qvE "^[[:space:]]*(;.*|extension[[:space:]]*=.*redis_session(\.so)?[\"']?[[:space:]]*(;.*)?)?$" "$1"
}

# Prints the ini files that this PHP's CLI reads.
loaded_ini_files() {
  # shellcheck disable=SC2016 # PHP's variables
  "$PHP" -d display_errors=0 -r '
    foreach ([php_ini_loaded_file(), ...explode(",", (string) php_ini_scanned_files())] as $file) {
      if (trim((string) $file) !== "") echo trim($file), "\n";
    }' 2>/dev/null
}

# Prints the folders of PHP's programs (cli, fpm, apache2, ...), as Debian has them.
program_folders() {
  local folder
  for folder in "$DESTDIR/etc/php/$PHP_VERSION_SHORT"/*/conf.d; do
    if [[ -d $folder ]]; then dirname "$folder"; fi
  done
}

# Prints the package that the file belongs to, or nothing.
package_of() {
  if [[ ! $DESTDIR ]] && command -v dpkg-query >/dev/null; then
    dpkg-query --search "$(realpath -m "$1")" 2>/dev/null | head -n 1 | sed 's/: .*//; s/:[a-z0-9]*$//' || true
  fi
}

# Enables the extension for those of Debian's programs that do not load it yet,
# by the file of mods-available that is there, or else by ours. Where a program
# has it twice, the links that are too many go.
enable_on_debian() {
  local folder files file own links name=redis_session modules enabled=no
  mapfile -t modules < <(ini_files_with redis_session "$mods_available")
  if ((!${#modules[@]})); then
    write_ini
  elif [[ " ${modules[*]} " != *" $ini "* ]]; then
    name=$(basename "${modules[0]}" .ini)
  fi
  while read -r folder; do
    mapfile -t files < <(ini_files_with redis_session "$folder"/php.ini "$folder"/conf.d)
    if ((!${#files[@]})); then
      as_root phpenmod -r -v "$PHP_VERSION_SHORT" -s "$(basename "$folder")" "$name"
      enabled=yes
      continue
    fi
    own=() links=()
    for file in "${files[@]}"; do
      if [[ -L $file ]]; then links+=("$file"); else own+=("$file"); fi
    done
    # A file of the administrator's own stays, else the link that is read last,
    # as phpredis must come first.
    if ((!${#own[@]})); then own=("${links[-1]}") && unset 'links[-1]'; fi
    for file in "${links[@]}"; do
      as_root rm -f "$file"
      step "Removed, as $(basename "$folder") would load it twice: $file"
    done
    step "Enabled already in: ${own[*]}"
  done < <(program_folders)
  if [[ $enabled == yes ]]; then step "Enabled with phpenmod: $mods_available/$name.ini"; fi
}

# Prints what loads the extension and nothing else, and the links to that,
# also those that lead nowhere: what is removed with the extension.
ini_files_to_remove() {
  local file link target
  if [[ $layout == debian ]]; then
    ini_files_with redis_session "$DESTDIR$mods_available" "$DESTDIR/etc/php/$PHP_VERSION_SHORT"/*/conf.d
  elif [[ $scan_dir ]]; then
    ini_files_with redis_session "$DESTDIR$scan_dir"
  fi | while read -r file; do
    # A link goes even where its file stays, for what else it says.
    if [[ -L $file ]] || only_loads "$file"; then printf '%s\n' "$file"; fi
  done
  for link in "$DESTDIR/etc/php/$PHP_VERSION_SHORT"/*/conf.d/*.ini ${scan_dir:+"$DESTDIR$scan_dir"/*.ini}; do
    target=$(readlink "$link") || continue
    if [[ ! -e $link && "${link##*/} ${target##*/}" == *redis_session* ]]; then printf '%s\n' "$link"; fi
  done
}

# Prints Debian's records of who enabled the module $1.
module_records() {
  local file
  for file in "$DESTDIR/var/lib/php/modules/$PHP_VERSION_SHORT"/*/{en,dis}abled_by_{admin,maint}/"$1" \
    "$DESTDIR/var/lib/php/modules/$PHP_VERSION_SHORT/registry/$1"; do
    if [[ -e $file ]]; then printf '%s\n' "$file"; fi
  done
}
