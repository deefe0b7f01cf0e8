#!/bin/sh
# deploy/image.sh DIR: completes an image's files around DIR/usr/local/bin/upbeat: the C library, certificates, busybox.
set -eu

image=$1

# The loader and the libraries that the program names, under their own names.
for library in $(ldd "$image/usr/local/bin/upbeat" | grep -o '/[^ ]*'); do
    install -D -m 755 "$(readlink -f "$library")" "$image$library"
done

# Whom to trust: for amqps://, for Postgres with TLS, and for tasks that call https://.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$image/etc/ssl/certs/ca-certificates.crt"

install -D -m 755 /bin/busybox "$image/bin/busybox"
for tool in $(/bin/busybox --list); do
    [ "$tool" = busybox ] || ln -sf busybox "$image/bin/$tool"
done

echo 'upbeat:x:10001:10001::/data:/bin/sh' >"$image/etc/passwd"
echo 'upbeat:x:10001:' >"$image/etc/group"
# Names of hosts: the file first, as everywhere, then DNS.
echo 'hosts: files dns' >"$image/etc/nsswitch.conf"
install -d -m 1777 "$image/tmp"
install -d "$image/data"
