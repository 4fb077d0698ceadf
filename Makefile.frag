redis_session_sources = $(srcdir)/Cargo.toml $(srcdir)/Cargo.lock $(srcdir)/build.rs $(shell find $(srcdir)/src -type f)

# On the Makefile too: another ./configure may be for another PHP.
$(phplibdir)/redis_session.so: $(redis_session_sources) $(builddir)/Makefile
	$(srcdir)/scripts/build --php-config "$(PHP_CONFIG)" --output "$@"

# On one server; php-tests/run --help tells of the others. TESTS=file... for some.
test: all
	PHP_CONFIG="$(PHP_CONFIG)" $(srcdir)/php-tests/run --so $(phplibdir)/redis_session.so --topology tcp $(TESTS)
