# Shared by the scripts beside it; sourced, not run.

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# A prefix that installs packages, or nothing where that is not possible.
installer() {
    command -v apt-get >/dev/null 2>&1 || return 1
    if [ "$(id -u)" = 0 ]; then echo ""; elif sudo -n true 2>/dev/null; then echo "sudo"; else return 1; fi
}

install() {
    local prefix
    prefix=$(installer) || return 1
    say "installing $*"
    if [ ! -e "${TMPDIR:-/tmp}/.stipend-apt-updated" ]; then
        $prefix apt-get update -qq >/dev/null
        touch "${TMPDIR:-/tmp}/.stipend-apt-updated"
    fi
    DEBIAN_FRONTEND=noninteractive $prefix apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

free_port() {
    python3 - <<'PY'
import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])
PY
}

# Sets PG_BIN to the newest installed server's programs.
find_postgres() {
    PG_BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    [ -n "$PG_BIN" ] && [ -x "$PG_BIN/initdb" ] && return 0
    PG_BIN=$(dirname "$(command -v initdb 2>/dev/null || echo /nowhere/initdb)")
    [ -x "$PG_BIN/initdb" ]
}

need_postgres() {
    command -v python3 >/dev/null 2>&1 || install python3 python3-venv || die "the tests need python3: install it"
    find_postgres && return 0
    install postgresql || true
    find_postgres || die "the tests need PostgreSQL: install it (Debian: apt-get install postgresql)"
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null 2>&1 || useradd --system --no-create-home postgres
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

start_postgres() {
    local dir=$1/pg port
    port=$(free_port)
    mkdir -p "$dir"
    [ "$(id -u)" = 0 ] && chown postgres "$dir"
    say "starting a private PostgreSQL on port $port"
    as_postgres "$PG_BIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale >"$1/initdb.log" 2>&1 || { cat "$1/initdb.log" >&2; die "initdb failed"; }
    # The settings of a real server where they matter to the tests: fsync stays on.
    as_postgres "$PG_BIN/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" \
        -o "-p $port -k $dir -c listen_addresses=127.0.0.1 -c max_connections=400 -c shared_buffers=256MB" start >/dev/null \
        || { cat "$dir/log" >&2; die "PostgreSQL did not start"; }
    STIPEND_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
}

stop_postgres() {
    [ -d "$1/pg/data" ] && as_postgres "$PG_BIN/pg_ctl" -D "$1/pg/data" -m immediate stop >/dev/null 2>&1 || true
}

# A PKCS#11 token in software: the tests initialise tokens of their own with it.
find_softhsm() {
    local path
    command -v softhsm2-util >/dev/null 2>&1 || return 1
    for path in /usr/lib/softhsm /usr/lib/*/softhsm /usr/lib64/softhsm /usr/lib64/pkcs11 /usr/local/lib/softhsm /opt/homebrew/lib/softhsm; do
        [ -e "$path/libsofthsm2.so" ] && STIPEND_TEST_SOFTHSM_MODULE=$path/libsofthsm2.so && return 0
    done
    return 1
}

need_softhsm() {
    find_softhsm && return 0
    install softhsm2 || true
    find_softhsm || die "the tests need SoftHSM 2: install it (Debian: apt-get install softhsm2)"
}

# Puts another time under a running program.
find_faketime() {
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || compgen -G '/usr/lib*/faketime/libfaketimeMT.so.1' >/dev/null
}

need_faketime() {
    find_faketime && return 0
    install libfaketime || true
    find_faketime || die "the tests need libfaketime: install it (Debian: apt-get install libfaketime)"
}

# Relying services that nobody here wrote. The servers' programs are enough: no service is set up.
find_peers() {
    command -v haproxy >/dev/null 2>&1 && [ -x /usr/sbin/apache2 ] && [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ]
}

need_peers() {
    find_peers && return 0
    install haproxy apache2-bin libapache2-mod-auth-openidc || true
    find_peers || die "the tests need haproxy and Apache with mod_auth_openidc: install them (Debian: apt-get install haproxy apache2-bin libapache2-mod-auth-openidc)"
}

# The server goes on without Redis; that it does is tested with one.
need_redis() {
    command -v redis-server >/dev/null 2>&1 && return 0
    install redis-server || true
    command -v redis-server >/dev/null 2>&1 || die "the tests need redis-server: install it (Debian: apt-get install redis-server)"
}

start_redis() {
    local port
    port=$(free_port)
    mkdir -p "$1/redis"
    say "starting a private Redis on port $port"
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$1/redis" --daemonize yes \
        --pidfile "$1/redis/pid" --logfile "$1/redis/log" >/dev/null
    STIPEND_TEST_REDIS_URL="redis://127.0.0.1:$port"
}

# Waits until it is gone: it still writes when it is told to stop.
stop_redis() {
    local pid
    pid=$(cat "$1/redis/pid" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

# Clients that nobody here wrote, at the versions that interop/ names.
prepare_interop() {
    local venv=target/interop-venv node=target/interop-node stamp
    mkdir -p target
    stamp=$(cat interop/python/requirements.txt interop/node/package.json | cksum)
    STIPEND_INTEROP_PYTHON=$PWD/$venv/bin/python
    STIPEND_INTEROP_NODE=$PWD/$node
    [ "$(cat target/.interop-stamp 2>/dev/null)" = "$stamp" ] && return 0
    say "installing the interop clients"
    rm -rf "$venv" "$node"
    python3 -m venv "$venv" 2>/dev/null || { install python3-venv && python3 -m venv "$venv"; } || die "python3 -m venv failed: install python3-venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r interop/python/requirements.txt || die "the Python clients could not be installed"
    command -v npm >/dev/null 2>&1 || install nodejs npm || die "the tests need Node.js and npm: install them"
    mkdir -p "$node"
    cp interop/node/package.json "$node/"
    (cd "$node" && npm install --silent --no-audit --no-fund --no-package-lock) || die "the Node clients could not be installed"
    echo "$stamp" >target/.interop-stamp
}

# Authorization servers that nobody here wrote, to be measured beside ours, at the versions that
# bench/peers names.
prepare_peers() {
    local dir=target/bench-peers stamp
    stamp=$(cat bench/peers/* | cksum)
    [ "$(cat $dir/.stamp 2>/dev/null)" = "$stamp" ] && return 0
    say "installing the peers"
    rm -rf "$dir"
    mkdir -p "$dir"
    cp bench/peers/* "$dir/"
    python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install -q --disable-pip-version-check -r "$dir/requirements.txt" || return 1
    command -v npm >/dev/null 2>&1 || install nodejs npm || return 1
    (cd "$dir" && npm install --silent --no-audit --no-fund --no-package-lock) || return 1
    echo "$stamp" >"$dir/.stamp"
}

# A system OpenSSL saves building one; without it the vendored one is built.
choose_openssl() {
    if [ -z "${OPENSSL_NO_VENDOR:-}" ] && pkg-config --exists openssl 2>/dev/null; then
        export OPENSSL_NO_VENDOR=1
    fi
}
