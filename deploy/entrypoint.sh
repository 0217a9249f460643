#!/bin/sh
# Runs the command it is given; as root, it first becomes whoever owns the output folder.
#
# Compose starts the containers as root for this, because ./output is a folder of the host: in a fresh clone it belongs
# to whoever cloned, with a uid that no image can know. What the platform writes there then belongs to that person too.
# A folder of root's (root cloned, or Docker made it) is given to the image's own user. Nothing runs as root after this.
set -eu

if [ "$(id -u)" -eq 0 ]; then
    folder="${OUTPUT_DIR:-/app/output}"
    user="$(stat -Lc %u "$folder")"
    group="$(stat -Lc %g "$folder")"
    if [ "$user" -eq 0 ]; then
        user=1000
        group=1000
        chown "$user:$group" "$folder"
    fi
    exec setpriv --reuid="$user" --regid="$group" --clear-groups --no-new-privs "$@"
fi

exec "$@"
