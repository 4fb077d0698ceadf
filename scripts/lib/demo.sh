# shellcheck shell=bash disable=SC2154 # scripts/demo sets them
# The configuration files of the demo: of PHP, its nodes and nginx. Needs $state, the
# demo's folder; $nodes, their names; $worker, who serves, or nothing; $port.

write_ini() {
  cat >"$state/php.ini" <<INI
extension = $state/redis_session.so
session.save_handler = redis
session.save_path = "$SERVERS_SAVE_PATH"
session.use_strict_mode = 1
session.cookie_httponly = 1
session.cookie_samesite = Lax
redis.session.locking_enabled = 1
; 500 times 20 ms: longer than three slow pages in a row.
redis.session.lock_retries = 500
display_errors = 0
log_errors = 1
INI
}

write_node() {
  local node=$1
  {
    printf '[global]\nerror_log = %s\ndaemonize = no\n' "$state/log/$node.log"
    printf '[%s]\nlisten = %s\n' "$node" "$state/run/$node.sock"
    if [[ $worker ]]; then
      printf 'user = %s\ngroup = %s\nlisten.owner = %s\nlisten.mode = 0600\n' "$worker" "$(id -gn "$worker")" "$worker"
    fi
    printf 'pm = static\npm.max_children = 4\ncatch_workers_output = yes\nenv[NODE_NAME] = %s\n' "$node"
  } >"$state/$node.conf"
}

write_nginx() {
  local node directive
  {
    echo 'daemon off;'
    echo 'worker_processes 1;'
    if [[ $worker ]]; then echo "user $worker $(id -gn "$worker");"; fi
    echo "pid $state/run/nginx.pid;"
    echo "error_log $state/log/nginx.log;"
    echo 'events {}'
    echo 'http {'
    echo "  access_log $state/log/access.log;"
    for directive in client_body proxy fastcgi uwsgi scgi; do
      echo "  ${directive}_temp_path $state/nginx/$directive;"
    done
    echo '  types { text/css css; }'
    echo '  upstream nodes {'
    for node in "${nodes[@]}"; do
      echo "    server unix:$state/run/$node.sock max_fails=1 fail_timeout=2s;"
    done
    cat <<NGINX
  }
  server {
    listen 127.0.0.1:$port;
    root $state/page;
    charset utf-8;
    location = /demo-id { return 200 "$state"; }
    location = /style.css { }
NGINX
    for node in "${nodes[@]}"; do
      cat <<NGINX
    location = /alive/$node {
      fastcgi_pass unix:$state/run/$node.sock;
      fastcgi_param SCRIPT_FILENAME $state/page/index.php;
      fastcgi_param QUERY_STRING alive;
      fastcgi_param REQUEST_METHOD GET;
      access_log off;
    }
NGINX
    done
    cat <<NGINX
    location = / {
      fastcgi_pass nodes;
      # A dead node is skipped. A POST that was sent already is not sent again:
      # for that, nginx would need the word non_idempotent here.
      fastcgi_next_upstream error timeout;
      fastcgi_connect_timeout 1s;
      fastcgi_param SCRIPT_FILENAME $state/page/index.php;
      fastcgi_param QUERY_STRING \$query_string;
      fastcgi_param REQUEST_METHOD \$request_method;
      fastcgi_param REQUEST_URI \$request_uri;
      fastcgi_param CONTENT_TYPE \$content_type;
      fastcgi_param CONTENT_LENGTH \$content_length;
      fastcgi_param SERVER_PROTOCOL \$server_protocol;
      fastcgi_param REMOTE_ADDR \$remote_addr;
    }
    location / { return 404; }
  }
}
NGINX
  } >"$state/nginx.conf"
}
