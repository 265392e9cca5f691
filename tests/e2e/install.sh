#!/bin/sh
# Installs to a folder, builds the README's C programs outside the tree with pkg-config alone, and runs them: one in a
# private world, one that joins a running world. Also find_package(xenkit).
set -u
build=${1:-build}
src=$(pwd)
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
trap 'timeout 10 "$src/$build/xenkit" down >/dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }

cmake --install "$build" --prefix "$tmp/usr" > "$tmp/log" 2>&1; ok $? "cmake --install"
PKG_CONFIG_PATH=$(dirname "$(find "$tmp/usr" -name xenkit.pc)")
LD_LIBRARY_PATH=$(dirname "$PKG_CONFIG_PATH")
export PKG_CONFIG_PATH LD_LIBRARY_PATH
cp examples/pair.c examples/readstore.c "$tmp/"
cd "$tmp" || exit 1
# shellcheck disable=SC2046
sed -i "s|^prefix=.*|prefix=$tmp/usr|" "$PKG_CONFIG_PATH/xenkit.pc"
cc -Wall -O2 pair.c $(pkg-config --cflags --libs xenkit) -pthread -o pair; ok $? "pair.c builds with pkg-config"
# shellcheck disable=SC2046
cc -Wall -O2 readstore.c $(pkg-config --cflags --libs xenkit) -o readstore; ok $? "readstore.c builds"
out=$(timeout 60 ./pair); rc=$?; echo "# $out"
[ $rc = 0 ] && case "$out" in "1000013824 bytes"*equal) true ;; *) false ;; esac; ok $? "1 GB through a vchan, hashes equal"

printf 'return { name = "joined", domains = {} }\n' > w.lua
timeout 20 "$src/$build/xenkit" up -d -q w.lua; ok $? "a world comes up"
out=$(timeout 10 ./readstore "$tmp/rt/joined" name); echo "# $out"
case "$out" in *"reads name = reader") true ;; *) false ;; esac; ok $? "a C program joins it and reads the store"
timeout 10 ./readstore "$tmp/rt/nothing" / 2> err; [ $? = 1 ]; ok $? "a world that is not there is an error"
timeout 20 "$src/$build/xenkit" down; ok $? "the world goes down"
[ -z "$(ls "$tmp/rt")" ]; ok $? "and leaves nothing behind"

printf 'return { start = function() print "hi" end }\n' > s.lua
PATH=$tmp/usr/bin:$PATH xenkit build s.lua -o image > built 2>&1 && [ -s image/s.img ] && [ -s image/xenkit-kernel ]
ok $? "the installed command builds a stub domain"

mkdir cm && cat > cm/CMakeLists.txt <<'C'
cmake_minimum_required(VERSION 3.20)
project(t C)
find_package(xenkit REQUIRED)
find_package(Threads REQUIRED)
add_executable(pair ../pair.c)
target_link_libraries(pair xenkit::xenkit Threads::Threads)
C
cmake -S cm -B cm/b -DCMAKE_PREFIX_PATH="$tmp/usr" > cm.log 2>&1 && cmake --build cm/b >> cm.log 2>&1 && ./cm/b/pair > cm.out
ok $? "find_package(xenkit)"
echo "1..$n"
exit $bad
