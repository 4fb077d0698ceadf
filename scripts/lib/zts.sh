# shellcheck shell=bash
# Small thread-safe builds of PHP, as Debian packages none. Each is of a kind:
# "debug" checks itself and tells what a request has leaked, "release" has the
# ABI of the thread-safe PHPs that people run.
# Sourced after packages.sh, never run.

# What the build of PHP needs of Debian, beside apt-get itself.
readonly zts_packages=(gcc libc6-dev make xz-utils)

# The folder that keeps thread-safe PHPs.
zts_cache() { printf '%s/redis-session\n' "${XDG_CACHE_HOME:-${HOME:?}/.cache}"; }

# Prints where the PHP of kind $1 and version $2 is kept.
zts_folder() {
  local infix=
  if [[ $1 == debug ]]; then infix=-debug; fi
  printf '%s/zts%s-php-%s\n' "$(zts_cache)" "$infix" "$2"
}

# Prints the folder of the newest complete PHP of kind $1 and series $2 (8.2);
# fails if there is none. Complete is one whose build came to its end.
zts_php_made() {
  local candidate found=
  while read -r candidate; do
    if [[ -e $candidate/complete && -x $candidate/bin/php ]]; then found=$candidate; fi
  done < <(printf '%s\n' "$(zts_folder "$1" "$2")".* | sort -V)
  [[ $found ]] && printf '%s\n' "$found"
}

# Makes a PHP of kind $1 and series $2 unless there is one, and sets ZTS_PHP to
# its folder. $3: where the log of its build goes.
make_zts_php() {
  local kind=$1 series=$2 log=$3 cache lock
  if ZTS_PHP=$(zts_php_made "$kind" "$series"); then
    step "Thread-safe PHP: $ZTS_PHP, made before"
    return 0
  fi
  command -v apt-get >/dev/null ||
    die "there is no thread-safe PHP $series in $(zts_cache), and no apt-get to get its source with." \
      "On another system than Debian: build PHP with --enable-zts --enable-embed, and name its php-config in ZTS_PHP_CONFIG."
  install_packages "${zts_packages[@]}"
  cache=$(zts_cache)
  mkdir -p "$cache"
  # Two of these at a time would build into the same folder.
  exec {lock}>"$cache/lock"
  flock -n "$lock" || { step "Another build of PHP is running; waiting for it"; flock "$lock"; }
  if ! ZTS_PHP=$(zts_php_made "$kind" "$series"); then
    zts_work=$(mktemp -d "$cache/work.XXXXXX")
    fetch_php_source "$series" "$zts_work" >"$log" 2>&1 || { tail -n 20 "$log" >&2; die "no source of PHP $series; see above, and $log"; }
    build_php "$kind" "$zts_work" "$log"
    rm -rf "$zts_work"
    zts_work=
  fi
  exec {lock}>&-
}

# Prints lines of sources.list: this machine's own mirrors of its distribution,
# with the source packages that its lists leave out.
source_list() {
  local uri release component origin key found=
  # shellcheck disable=SC2016 # apt's variables
  local format='$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)'
  while read -r uri release component origin; do
    case $origin in
      Debian | Ubuntu) key=/usr/share/keyrings/${origin,,}-archive-keyring.gpg ;;
      *) continue ;;
    esac
    if [[ -e $key ]]; then key=" [signed-by=$key]"; else key=; fi
    printf 'deb-src%s %s %s %s\n' "$key" "$uri" "$release" "$component"
    found=yes
  done < <(apt-get indextargets --format "$format" 'Identifier: Packages')
  [[ $found ]]
}

# Downloads the source of PHP $1 into folder $2, with apt's checks of origin
# and content, but with lists of packages of its own there.
fetch_php_source() {
  local series=$1 apt=$2/apt package=php$1 version versions options
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  step "Looking for the source package $package"
  source_list >"$apt/sources.list" ||
    { echo "apt knows no mirror of Debian or Ubuntu: run apt-get update first"; return 1; }
  options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User="$(id -un)")
  apt-get "${options[@]}" update || return 1
  mapfile -t versions < <(apt-cache "${options[@]}" showsrc --only-source "$package" |
    sed -n 's/^Version: //p' | sort -rVu)
  ((${#versions[@]})) || { echo "this distribution has no source package $package"; return 1; }
  # A mirror may lack the newest for a while.
  for version in "${versions[@]}"; do
    step "Downloading $package $version"
    # Without Debian's patches: they are for its layout of files, and with
    # them all of PHP's generated files would have to be made again.
    if (cd "$2" && apt-get "${options[@]}" source --download-only --tar-only "$package=$version"); then
      return 0
    fi
  done
  return 1
}

# Builds the source in folder $2 as kind $1 and sets ZTS_PHP to where it is
# installed. $3: the log.
build_php() {
  local kind=$1 work=$2 log=$3 source version option=--disable-debug is=10 start=$SECONDS
  mkdir "$work/php"
  tar -xf "$work"/php*.orig.tar.* -C "$work/php" --strip-components=1
  source=$work/php
  version=$(sed -n 's/^#define PHP_VERSION "\(.*\)"$/\1/p' "$source/main/php_version.h")
  ZTS_PHP=$(zts_folder "$kind" "$version")
  rm -rf "$ZTS_PHP" # what an interrupted build has left
  step "Building a thread-safe PHP $version into $ZTS_PHP (a few minutes; log: $log)"
  if [[ $kind == debug ]]; then option=--enable-debug is=11; fi
  # With --with-pic, the same objects serve the programs and libphp.so.
  (
    cd "$source" &&
      ./configure --prefix="$ZTS_PHP" --disable-all --enable-zts "$option" --enable-cli --enable-cgi --enable-embed \
        --enable-session --enable-pcntl --enable-posix --disable-phpdbg --with-pic &&
      make -j "$(nproc)" &&
      make install
  ) >>"$log" 2>&1 || { tail -n 20 "$log" >&2; die "PHP $version could not be built; the end of $log is above."; }
  [[ $("$ZTS_PHP/bin/php" -n -r 'echo (int) PHP_ZTS, (int) PHP_DEBUG;') == "$is" ]] || die "$ZTS_PHP/bin/php is no thread-safe $kind build; see $log"
  : >"$ZTS_PHP/complete"
  step "Built in $((SECONDS - start)) s"
}
