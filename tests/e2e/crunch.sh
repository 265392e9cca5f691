#!/bin/sh
# Images of folders: `xenkit crunch` judged by stock tools; in a C program, in a service, served by www and asked by curl.
set -u
build=${1:-build}
case $build in /*) ;; *) build=$PWD/$build ;; esac
src=$PWD
x="timeout -k 2 60 $build/xenkit"
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
unset SOURCE_DATE_EPOCH
pids=
trap 'for p in $pids; do kill -TERM $p 2> /dev/null; done; wait; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
there() { command -v "$1" > /dev/null; }
refused() { # CODE WORDS ARGS...
    code=$1 words=$2; shift 2
    out=$($x crunch "$@" 2>&1); [ $? = "$code" ] && has "$out" "$words"
}

cd "$tmp" || exit 1
mkdir -p in/sub/deep in/img && cp "$src"/docs/*.md in/ && cp "$src/src/store/tree.c" in/sub/ && : > in/sub/empty
head -c 70000 /dev/urandom > in/img/noise.png && head -c 100 /dev/urandom > in/img/tiny.png
yes '<p>a page of some length</p>' | head -n 400 > in/index.html && printf '<h1>deep</h1>' > in/sub/deep/index.html
printf 'body { color: red }\n' > 'in/sub/a name, with ünïcode.css' && ln -s ../index.html in/sub/link.html

out=$($x crunch in -o a.zip) && has "$out" "a.zip: $(find -L in -type f | wc -l) files" && $x crunch check a.zip > out &&
    has "$(cat out)" "sound"
ok $? "an image is made"
if there unzip; then
    unzip -tq a.zip > out && mkdir u && unzip -q a.zip -d u && diff -r in u && cmp -s in/index.html u/sub/link.html &&
        [ "$(unzip -p a.zip index.html | cksum)" = "$(cksum < in/index.html)" ]
    ok $? "unzip finds the same in it"
else
    skip "unzip finds the same in it" "no unzip here"
fi
if there python3; then
    python3 -c 'import zipfile; z = zipfile.ZipFile("a.zip"); assert z.testzip() is None; print(*z.namelist(), sep = "\n")' > names &&
        LC_ALL=C sort -c names && [ "$(wc -l < names)" = "$(find -L in -type f | wc -l)" ]
    ok $? "so does Python, in order"
else
    skip "so does Python, in order" "no python3 here"
fi
same=0
while read -r path; do $x crunch get a.zip "$path" | cmp -s - "in/$path" || same=1; done << L
$(cd in && find -L . -type f | sed 's|^\./||')
L
[ $same = 0 ] && has "$($x crunch list --json a.zip)" '"path":"sub/a name, with ünïcode.css"' &&
    has "$($x crunch list a.zip)" "text/css"
ok $? "each file is listed, and comes out"

cp -r in again && (cd again && for f in *; do mv "$f" "_$f"; done && for f in _*; do mv "$f" "${f#_}"; done && touch index.html) &&
    TZ=Asia/Tokyo $x crunch again -o b.zip > out && cmp a.zip b.zip && SOURCE_DATE_EPOCH=1700000000 $x crunch in -o c.zip > out &&
    TZ=Asia/Tokyo SOURCE_DATE_EPOCH=1700000000 $x crunch again -o d.zip > out && cmp c.zip d.zip && ! cmp -s a.zip c.zip
ok $? "the same files make the same bytes"
touch -d '2020-02-03 04:05:07 UTC' in/index.html && $x crunch in --keep-times -o k.zip > out &&
    has "$($x crunch list k.zip)" "2020-02-03 04:05" && { ! there unzip || { rm -rf u && TZ=Asia/Tokyo unzip -q k.zip -d u &&
        [ "$(stat -c %Y u/index.html)" = "$(stat -c %Y in/index.html)" ]; }; }
ok $? "times are kept when that is asked for"
$x crunch in --align -o p.zip > out && $x crunch list --json p.zip | tr '{' '\n' | grep '"method":"stored"' |
    sed 's/.*"at":\([0-9]*\).*"size":\([0-9]*\).*/\1 \2/' | awk '$2 && $1 % 4096 { bad = 1 } END { exit bad || NR < 4 }' &&
    { ! there unzip || unzip -tq p.zip > out; }
ok $? "pages are aligned"
$x crunch in -o o.zip --only '*.md' --only 'img/*' --ignore 'tiny*' > out && ! $x crunch list o.zip | grep -qv '\.md$\|noise' &&
    has "$($x crunch list o.zip)" "img/noise.png" && cp a.zip in/ && $x crunch in -o in/a.zip > out && cmp a.zip in/a.zip && rm in/a.zip
ok $? "files are chosen, and an image is not in itself"

refused 2 "missing option '--output'" in && refused 2 "is no name in C" in -o x --c 1x && refused 2 "one of them" in -o x --c a --lua &&
    refused 1 "nothing: no such entry" nothing -o x && refused 1 "in/index.html: it is no folder" in/index.html -o x
ok $? "wrong words are refused"
ln -s /etc/hostname in/out && refused 1 "in/out: a link that leads out of in" in -o x && rm in/out &&
    mkfifo in/pipe && refused 1 "in/pipe: it is neither a file nor a folder" in -o x && rm in/pipe &&
    : > "$(printf 'in/a\nb')" && refused 1 "control letters" in -o x && rm in/a?b && : > 'in/a\b' &&
    refused 1 "the path has a backslash" in -o x && rm 'in/a\b' && refused 1 "no files, or patterns" in -o x --only '*.foo' &&
    out=$(SOURCE_DATE_EPOCH=soon $x crunch in -o x 2>&1); [ $? = 2 ] && has "$out" "SOURCE_DATE_EPOCH is 'soon'" && [ ! -e x ] &&
    [ ! -e x.part ]
ok $? "so is what cannot be in an image, and nothing is left"
head -c 5000 a.zip > cut.zip && refused 1 "cut.zip: it is no ZIP file, or its end is missing" check cut.zip &&
    refused 1 "it is no ZIP file" list "$src/README.md" && refused 1 "none: no such entry" get a.zip none && cp a.zip bad.zip &&
    printf XXXX | dd of=bad.zip bs=1 seek=3000 conv=notrunc 2> /dev/null && refused 1 "1 of" check bad.zip && has "$out" "damaged: "
ok $? "damage is told"
if there zip; then
    (cd in && zip -qry ../l.zip .) && refused 1 "'sub/link.html' is a link" list l.zip && (cd in && zip -qr - .) > z.zip &&
        $x crunch check z.zip > out && (cd in && zip -qrP word ../e.zip index.html) && refused 1 "is encrypted" list e.zip
    ok $? "zip's own are read, but for links and what is encrypted"
else
    skip "zip's own are read, but for links and what is encrypted" "no zip here"
fi

if there cc; then
    cat > user.c << 'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenkit/crunch.h>

extern const unsigned char site[];
extern const size_t site_size;

int main(int argc, char **argv)
{
    struct xk_crunch_file f;
    struct xk_crunch *c;
    char *buf;

    if (argc < 2 || xk_crunch_open(NULL, site, site_size, &c, NULL) < 0)
        return 1;
    if (xk_crunch_find(c, argv[1], strlen(argv[1]), &f) < 0 || !(buf = malloc(f.size + 1)) || xk_crunch_read(NULL, &f, buf) < 0)
        return 2;
    fwrite(buf, 1, f.size, stdout);
    free(buf);
    xk_crunch_close(c);
    return 0;
}
C
    $x crunch in -o site.c --c site > out && cc -std=c11 -Wall -Wextra -Werror -pedantic -I"$src/include" user.c site.c \
        "$build/libxenkit.a" -lz -o user && ./user index.html | cmp - in/index.html && ./user img/noise.png | cmp - in/img/noise.png
    ok $? "an image in a C program"
else
    skip "an image in a C program" "no cc here"
fi
mkdir lib && $x crunch in -o lib/site.lua --lua > out && cat > user.lua << L
local crunch, task = require "xenkit.crunch", require "xenkit.task"
return { needs = { lib = { conf = "$tmp/lib" } }, start = function()
  local image <close> = assert(crunch.open(require "conf.site"))
  print(image:count(), #image:read "index.html", #image:read "img/noise.png")
  task.sleep(0.5) -- the last words of a domain that ends at once are lost now and then
end }
L
out=$($x run user.lua 2>&1) && has "$out" "$(find -L in -type f | wc -l)	$(wc -c < in/index.html)	70000"
ok $? "and in a Lua module, for a service"

# --- a site ---
start() { # words of xenkit run
    : > www.out
    timeout -k 2 60 "$build/xenkit" run "$src/scripts/services/www.lua" "$@" > www.out 2>&1 &
    pids="$pids $!"
    i=0
    until grep -q 'listens on' www.out || [ $i -gt 50 ]; do sleep 0.1; i=$((i + 1)); done
    url=http://127.0.0.1:$(sed -n 's/.*listens on .*:\([0-9]*\)$/\1/p' www.out | head -n 1)
}
get() { curl -s -m 5 -D head -o body "$@"; }
rm in/*.md && $x crunch in -o site.zip --align > out
start image=site.zip port=0
get "$url/index.html" && cmp body in/index.html && get "$url/" && cmp body in/index.html && get "$url/img/noise.png" &&
    cmp body in/img/noise.png && grep -qi '^content-type: image/png' head && get "$url/sub/a%20name,%20with%20%C3%BCn%C3%AFcode.css" &&
    grep -qi '^content-type: text/css' head && get "$url/none" && grep -q ' 404 ' head && get "$url/hello" && grep -q Hello body
ok $? "www serves an image"
get --compressed "$url/index.html" && cmp body in/index.html && grep -qi '^content-encoding: gzip' head && grep -qi '^vary: accept-encoding' head &&
    get -H 'Accept-Encoding: gzip' "$url/index.html" && gzip -t < body && [ "$(wc -c < body)" -lt 500 ] &&
    get -H 'Accept-Encoding: gzip;q=0' "$url/index.html" && cmp body in/index.html && ! grep -qi '^content-encoding' head &&
    get -I --compressed "$url/index.html" && grep -qi '^content-encoding: gzip' head
ok $? "as gzip to curl --compressed"
get "$url/img/noise.png" && tag=$(sed -n 's/^[Ee][Tt]ag: \([^\r]*\)\r*$/\1/p' head) && [ -n "$tag" ] && get -H "If-None-Match: $tag" "$url/img/noise.png" &&
    grep -q ' 304 ' head && get -r 1000-50999 "$url/img/noise.png" && grep -q ' 206 ' head && tail -c +1001 in/img/noise.png | head -c 50000 | cmp - body
ok $? "with tags and ranges"
mkdir over && echo overlaid > over/index.html && echo '# Own' > over/own.md
start image=site.zip root=over port=0
get "$url/" && grep -q overlaid body && get "$url/own.html" && grep -q '<h1' body && get "$url/sub/deep/" && grep -q deep body
ok $? "a folder goes before it"
out=$($x run "$src/scripts/services/www.lua" image=cut.zip port=0 2>&1); [ $? != 0 ] && has "$out" "cut.zip: it is no ZIP file"
ok $? "what is no image is said so"
if [ -e "$build/xenkit-domain.boot" ]; then
    out=$(cd "$src" && $x build scripts/services/www.lua -o "$tmp/stub" image="$tmp/site.zip" port=80 2>&1); rc=$?
    if has "$out" "cannot be had in a stub domain yet" > /dev/null; then skip "and built for a stub domain" "no sockets there"; else
        [ $rc = 0 ]; ok $? "and built for a stub domain"; fi
fi
echo "1..$n"
exit $bad
