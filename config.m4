dnl phpize && ./configure && make && make test && make install
dnl
dnl There is no C here to compile: "make" runs scripts/build, which lets cargo
dnl build for the PHP of --with-php-config.

PHP_ARG_ENABLE([redis_session],
  [whether to enable the session handler for Redis and Valkey],
  [AS_HELP_STRING([--enable-redis_session],
    [Enable the session handler for Redis and Valkey])],
  [yes])

if test "$PHP_REDIS_SESSION" != "no"; then
  if ! "$abs_srcdir/scripts/build" --php-config "$PHP_CONFIG" --check; then
    AC_MSG_ERROR([the build of redis_session needs more than is here; see above])
  fi

  PHP_SUBST([PHP_CONFIG])
  PHP_ADD_BUILD_DIR([$abs_builddir/modules])
  PHP_MODULES="$PHP_MODULES \$(phplibdir)/redis_session.so"
  PHP_ADD_MAKEFILE_FRAGMENT([$abs_srcdir/Makefile.frag], [$abs_srcdir], [$abs_builddir])

  dnl PHP's "make test" starts no servers; Makefile.frag has one that does. This
  dnl is phpize's copy of the file: make would warn of two rules of one name.
  $SED -e 's/^test: all$/test-without-servers: all/' "$abs_srcdir/build/Makefile.global" > conftest.global
  cat conftest.global > "$abs_srcdir/build/Makefile.global"
  rm -f conftest.global
fi
