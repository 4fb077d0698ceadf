# shellcheck shell=bash
# Debian systems in folders of their own, to build and install in without
# touching this one. Sourced after packages.sh, never run.

# The folder that keeps them: some 300 MB to 1.5 GB each.
roots_cache() {
  local home=${HOME:?}
  # Under sudo, the cache of the user who called.
  if ((EUID == 0)) && [[ ${SUDO_USER:-} ]]; then home=$(getent passwd "$SUDO_USER" | cut -d: -f6); fi
  printf '%s/redis-session/roots\n' "${XDG_CACHE_HOME:-$home/.cache}"
}

# Prints the mirror that this machine's apt gets Debian from.
debian_mirror() {
  local uri origin
  if [[ ${DEBIAN_MIRROR:-} ]]; then
    printf '%s\n' "$DEBIAN_MIRROR"
    return 0
  fi
  # shellcheck disable=SC2016 # apt's variables
  while read -r uri origin; do
    # Security updates have a tree of their own, without a release in it.
    if [[ $origin == Debian && $uri != *security* ]]; then
      printf '%s\n' "${uri%/}"
      return 0
    fi
  done < <(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' 'Identifier: Packages' 2>/dev/null)
  echo http://deb.debian.org/debian
}

# Succeeds if root $1 is there, made for exactly the packages $2...
root_made() {
  local made
  made=$(roots_cache)/$1.packages
  shift
  [[ -e $made && $(<"$made") == "$* with security updates" ]]
}

# Makes root $1 of Debian's release $2 with the packages $3.., unless it is
# there, and sets ROOT to its folder. Its services never start. The release
# sid+experimental is sid, and what only experimental has.
make_root() {
  local name=$1 suite=${2%+*} cache lock start=$SECONDS mirror more=''
  if [[ $2 == *+* ]]; then more=${2#*+}; fi
  shift 2
  cache=$(roots_cache)
  ROOT=$cache/$name
  if root_made "$name" "$@"; then return 0; fi
  command -v debootstrap >/dev/null || install_packages debootstrap
  mirror=$(debian_mirror)
  mkdir -p "$cache"
  exec {lock}>"$cache/lock"
  flock -n "$lock" || { step "Another root is being made; waiting for it"; flock "$lock"; }
  if ! root_made "$name" "$@"; then
    if [[ ! -e $ROOT/.base ]]; then
      step "Making a Debian $suite in $ROOT (log: $ROOT.log)"
      as_root rm -rf "$ROOT"
      as_root debootstrap --variant=minbase "$suite" "$ROOT" "$mirror" >"$ROOT.log" 2>&1 </dev/null ||
        { tail -n 5 "$ROOT.log" >&2; die "debootstrap made no Debian $suite; see above, and $ROOT.log"; }
      # shellcheck disable=SC2016 # expands in the inner shell
      as_root bash -euc 'printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d"; chmod 755 "$1/usr/sbin/policy-rc.d"
        printf "APT::Install-Recommends 0;\nAcquire::Languages none;\nDpkg::Use-Pty 0;\n" >"$1/etc/apt/apt.conf.d/redis-session"
        if [[ $3 ]]; then printf "deb %s %s main\n" "$2" "$3" >"$1/etc/apt/sources.list.d/$3.list"; fi
        : >"$1/.base"' make_root "$ROOT" "$mirror" "$more"
    fi
    # As each installed Debian has them; what is built here may need them.
    if [[ $suite != sid ]]; then
      echo "deb ${mirror%/debian}/debian-security $suite-security main" | as_root tee "$ROOT/etc/apt/sources.list.d/security.list" >/dev/null
    fi
    step "Installing in $ROOT: $*"
    # How to reach the mirror and what to think of its dates, as here.
    apt-config dump 2>/dev/null | grep -E '^Acquire::(https?::Proxy|Check-(Valid-Until|Date)) ' |
      as_root tee "$ROOT/etc/apt/apt.conf.d/as-outside" >/dev/null || true
    in_root "$ROOT" bash -euc 'export DEBIAN_FRONTEND=noninteractive
      apt-get -q update; apt-get -q -y upgrade; apt-get -q -y install "$@"; apt-get clean' install "$@" >>"$ROOT.log" 2>&1 </dev/null ||
      { tail -n 8 "$ROOT.log" >&2; die "$ROOT cannot have all of: $*" "See above, and $ROOT.log"; }
    printf '%s with security updates\n' "$*" >"$ROOT.packages"
    step "Made in $((SECONDS - start)) s"
  fi
  exec {lock}>&-
}

# Sets TOOLCHAIN to the folder of the toolchain of the cargo that find_cargo
# found, which must hold nothing else: it is shown to roots as it is.
find_toolchain() {
  TOOLCHAIN=$(PATH=$(dirname "$CARGO"):$PATH rustc --print sysroot)
  [[ $TOOLCHAIN != /usr && -x $TOOLCHAIN/bin/cargo ]] || die "$CARGO shares a folder with other programs." \
    "This needs a toolchain in a folder of its own, as rustup installs it."
}

# Runs command $2.. as root inside root $1, without this shell's environment.
# Folders in ROOT_BINDS ("here:there" or "here:there:ro") are seen there too.
# Mounts and processes have namespaces of their own, which end with the
# command, however it ends: nothing is left to unmount or to stop.
ROOT_BINDS=()
in_root() {
  local root=$1
  shift
  # shellcheck disable=SC2016 # expands in the inner shell
  as_root unshare --mount --propagation private --pid --fork --kill-child bash -euc '
    root=$1 binds=$2
    shift 2
    trap "exit 130" INT
    trap "exit 143" TERM
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    if [[ -e /etc/resolv.conf ]]; then cat /etc/resolv.conf >"$root/etc/resolv.conf"; fi
    while IFS=: read -r here there mode; do
      [[ $here ]] || continue
      mkdir -p "$root$there"
      mount --bind "$here" "$root$there"
      if [[ $mode ]]; then mount -o "remount,bind,$mode" "$root$there"; fi
    done <<<"$binds"
    env -i HOME=/root LANG=C.UTF-8 TERM=dumb PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      chroot "$root" "$@"
  ' in_root "$root" "$(printf '%s\n' "${ROOT_BINDS[@]}")" "$@"
}

# Prints a tar archive of the checkout in the current folder, as it is now:
# what git tracks, and what it does not ignore.
checkout() {
  git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- --ignore-failed-read 2>/dev/null
}
