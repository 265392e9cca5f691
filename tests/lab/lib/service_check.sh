# SPDX-License-Identifier: MIT
# One test of the README's service on any ground: sh service_check.sh hosted|dom0|guest|stub XENKIT SCRIPT PORT. It starts
# the service, visits it three times, reads what it counted in the store and what it printed, and ends it. Numbers of
# domains and ports are written as N, so the output is the same everywhere. Runs under busybox, too.
ground=$1 xenkit=$2 script=$3 port=$4
work=$(mktemp -d) || exit 1

visit() { # busybox has nc; elsewhere bash opens the port
    if command -v nc > /dev/null; then nc 127.0.0.1 "$port" < /dev/null
    else bash -c "exec 3<> /dev/tcp/127.0.0.1/$port && cat <&3"; fi
}

start() {
    case $ground in
    hosted)
        XENKIT_RUNTIME_DIR=$work XENKIT_STATE_DIR=$work
        export XENKIT_RUNTIME_DIR XENKIT_STATE_DIR
        printf 'return { domains = { { name = "hello", script = "%s", params = { port = %s } } } }\n' \
            "$script" "$port" > "$work/w.lua"
        "$xenkit" up -q -d "$work/w.lua" ;;
    stub) "$xenkit" create --on xen "$script" --name hello "port=$port" > /dev/null ;;
    *) "$xenkit" run --on xen "$script" "port=$port" > "$work/out" 2>&1 & pid=$! ;;
    esac
}

counted() {
    case $ground in
    hosted) "$xenkit" store read "$("$xenkit" store ls /local/service 2> /dev/null > /dev/null
        "$xenkit" list --json | tr '{' '\n' | sed -n 's/.*"domid":\([0-9]*\).*"name":"hello".*/\/local\/domain\/\1\/data\/visitors/p')" ;;
    stub) xenstore-read "/local/domain/$(xl domid hello)/data/visitors" ;;
    dom0) xenstore-read /local/domain/0/data/visitors ;;
    guest) xenstore-read data/visitors ;;
    esac
}

printed() {
    case $ground in
    hosted) timeout 2 "$xenkit" console -r hello < /dev/null ;;
    stub) cat /var/log/xen/console/guest-hello.log ;;
    *) cat "$work/out" ;;
    esac
}

finish() {
    case $ground in
    hosted) "$xenkit" down ;;
    stub) "$xenkit" shutdown --on xen hello > /dev/null 2>&1 ;;
    *) kill "$pid" ;;
    esac
    rm -rf "$work"
}

[ "$ground" != stub ] || rm -f /var/log/xen/console/guest-hello.log
start || { echo "the service did not start"; exit 1; }
trap finish EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do # until somebody listens
    first=$(visit 2> /dev/null)
    [ -z "$first" ] || break
    sleep 0.5
done
echo "$first"
visit
visit
echo "counted $(counted)"
sleep 0.5
printed | tr -d '\r' | sed -n 's/domain [0-9]* waits/domain N waits/; s/^\(.*[] ]\)*\(domain N waits.*\)/\2/p; s/.*greeted 127\.0\.0\.1:[0-9]*/greeted 127.0.0.1:N/p'
