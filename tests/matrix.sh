#!/bin/sh
# SPDX-License-Identifier: MIT
# docs/matrix.md against the tests: each cell names a test and words that stand in it, or says why there is none.
set -u
n=0 bad=0 cells=0 wrong=
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }

# Row by row, tab between "front TAB cell".
cells_of() {
    awk -F ' *\\| *' '/^\|/ && !/^\| (front|---)/ { for (i = 3; i < NF; i++) print $2 "\t" $i }' "$1"
}

check() { # FILE - sets wrong, cells
    tab=$(printf '\t')
    while IFS=$tab read -r row cell; do
        cells=$((cells + 1))
        file=${cell%%: *} words=${cell#*: }
        case $cell in
            no:\ ?* | -) ;;
            *:\ ?*) [ -f "tests/$file" ] && grep -qF -e "$words" "tests/$file" || wrong="$wrong
# $row: $cell" ;;
            *) wrong="$wrong
# $row: $cell" ;;
        esac
    done
}

list=$(mktemp) || exit 1
trap 'rm -f "$list"' EXIT
cells_of docs/matrix.md > "$list"
check < "$list"
[ -z "$wrong" ] && [ "$cells" -ge 40 ]; ok $? "each of $cells cells names a test that is there, or says why not$wrong"

wrong=
printf 'a\tlab/test_none.sh: words\nb\tlab/test_disk.sh: words that stand nowhere\nc\t\nd\tno: a reason\n' > "$list"
check < "$list"
[ "$(printf '%s\n' "$wrong" | grep -c '^# [abc]: ')" = 3 ] && [ "$(printf '%s\n' "$wrong" | grep -c '^# ')" = 3 ]
ok $? "what is wrong is found"
echo "1..$n"
exit $bad
