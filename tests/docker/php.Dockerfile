# An image laid out as the official php:X.Y-fpm is, made of Debian's sources: PHP
# in /usr/local, its own headers, a compiler, and no PHP of Debian's to be had.
# hadolint ignore=DL3006
FROM localhost/debian
ARG SERIES
# Nothing, or --enable-zts.
ARG FLAGS=
ENV PHP_INI_DIR=/usr/local/etc/php
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3003,DL3008,SC2164
RUN sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/source.list; \
    apt-get update; \
    apt-get install -y --no-install-recommends autoconf ca-certificates curl dpkg-dev file g++ gcc libc-dev make pkg-config re2c xz-utils; \
    mkdir /tmp/php; cd /tmp/php; \
    apt-get source --download-only --tar-only "php$SERIES"; \
    tar -xf php*.orig.tar.* --strip-components=1; \
    ./configure --with-config-file-path="$PHP_INI_DIR" --with-config-file-scan-dir="$PHP_INI_DIR/conf.d" \
      --disable-all --disable-cgi --disable-phpdbg --enable-fpm --enable-session --enable-filter --enable-ctype \
      --enable-tokenizer --with-fpm-user=www-data --with-fpm-group=www-data ${FLAGS:-}; \
    make -j "$(nproc)"; make install; \
    mkdir -p "$PHP_INI_DIR/conf.d"; \
    rm -rf /tmp/php /etc/apt/sources.list.d/source.list /var/lib/apt/lists/*
RUN printf 'Package: php*\nPin: release *\nPin-Priority: -1\n' >/etc/apt/preferences.d/no-debian-php; \
    printf '%s\n' '[global]' 'error_log = /proc/self/fd/2' 'daemonize = no' '[www]' 'user = www-data' 'group = www-data' \
      'listen = 9000' 'pm = dynamic' 'pm.max_children = 5' 'pm.start_servers = 2' 'pm.min_spare_servers = 1' \
      'pm.max_spare_servers = 3' 'clear_env = no' 'catch_workers_output = yes' 'decorate_workers_output = no' \
      >/usr/local/etc/php-fpm.conf; \
    mkdir -p /var/www/html
COPY docker-php-ext-enable /usr/local/bin/
WORKDIR /var/www/html
EXPOSE 9000
CMD ["php-fpm"]
