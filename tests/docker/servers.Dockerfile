# What compose.yaml takes of the images redis and nginx, of Debian's packages.
# hadolint ignore=DL3006
FROM localhost/debian
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends nginx-light redis-server wget && \
    rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/default
CMD ["nginx", "-g", "daemon off;"]
