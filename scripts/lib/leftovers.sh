# shellcheck shell=sh
# Which lines of configuration ask for our save handlers. Sourced by install.sh,
# and copied into the package's postrm: plain sh, and no other file of ours.

# Prints FILE:NUMBER:LINE for each line that chooses one of the handlers $1
# ("redis|rediscluster"), in the files and folders $2... In the forms of ini
# files, FPM pools, Apache and nginx, and what users may bring: .htaccess and
# .user.ini.
lines_with_handler() {
  handlers=$1
  shift
  # (Alpine's grep has no --include.)
  grep -rnHIE "^[^;#]*session\.save_handler[]\"']*([[:space:]]*=[[:space:]]*|[[:space:]]+)[\"']?($handlers)[\"']?[[:space:]]*([;\"'\\].*)?$" \
    "$@" /dev/null 2>/dev/null |
    grep -E '^[^:]*(\.(ini|conf|cnf)|/\.htaccess|/sites-(available|enabled)/[^:]*|/conf-(available|enabled)/[^:]*):' || true
}

# Prints, one a line, where lines for PHP $1 may be: its own folders, those of
# web servers, and the files that sites may have of their own.
places_with_settings() {
  for place in "/etc/php/$1" "/etc/php$(echo "$1" | tr -d .)" /etc/php.ini /etc/php.d /etc/php-fpm.d \
    /usr/local/etc/php /usr/local/etc/php-fpm.d /etc/apache2 /etc/httpd /etc/nginx; do
    if [ -e "$place" ]; then echo "$place"; fi
  done
  find /var/www /srv/www /usr/share/nginx/html -maxdepth 5 \( -name .htaccess -o -name .user.ini \) -type f 2>/dev/null || true
}
