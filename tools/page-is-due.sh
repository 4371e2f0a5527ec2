#!/bin/sh
# Exits with 0 when the page has a source and is not built, or was built before its source was changed.
cd "$(dirname "$0")/.." || exit 1
[ -e src/ui/index.html ] || exit 1
[ -e dist/ui/index.html ] || exit 0
[ -n "$(find src/ui package-lock.json -newer dist/ui/index.html -print -quit)" ]
