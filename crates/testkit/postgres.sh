#!/usr/bin/env bash
# A private PostgreSQL for tests, in a folder of its own, on a port of the loopback interface:
#
#   postgres.sh new DIR       makes it in the empty folder DIR, starts it, prints its address
#   postgres.sh start DIR     starts it again, on the same port
#   postgres.sh stop DIR      ends it, connections or not
#   postgres.sh kill DIR      the same without any order, as a crash would
#
# Nothing is synced: what it keeps survives its own end, but not the machine's.
set -euo pipefail

fail() { echo "postgres.sh: $1" >&2; exit 1; }

[ $# = 2 ] || fail "usage: postgres.sh new|start|stop|kill DIR"
dir=$(realpath "$2")
cd /

bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] || fail "PostgreSQL's server is not installed; on Debian: apt-get install postgresql"

# The server refuses to run as root.
server() {
  if [ "$(id -u)" = 0 ]; then
    runuser -u postgres -- "$bin/$1" "${@:2}"
  else
    "$bin/$1" "${@:2}"
  fi
}

start() {
  server pg_ctl start --silent --wait --pgdata "$dir/data" --log "$dir/log" --options \
    "-p $1 -k '$dir' -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync=off \
     -c full_page_writes=off" >/dev/null 2>&1
}

case $1 in
  new)
    [ "$(id -u)" != 0 ] || chown postgres "$dir"
    server initdb --pgdata "$dir/data" --username postgres --auth trust --encoding UTF8 \
      --locale C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; fail "no cluster"; }
    # Below the range that the system gives to others. Taken ones make the start fail.
    for _ in 1 2 3 4 5 6 7 8; do
      port=$((20000 + RANDOM % 12000))
      if start "$port"; then
        echo "$port" >"$dir/port"
        echo "postgres://postgres@127.0.0.1:$port/postgres"
        exit
      fi
    done
    cat "$dir/log" >&2
    fail "it does not start"
    ;;
  start) start "$(cat "$dir/port")" || { cat "$dir/log" >&2; fail "it does not start"; } ;;
  stop) server pg_ctl stop --silent --wait --mode fast --pgdata "$dir/data" ;;
  kill) server pg_ctl stop --silent --wait --mode immediate --pgdata "$dir/data" ;;
  *) fail "no such command: $1" ;;
esac
