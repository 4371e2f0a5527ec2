#!/bin/sh
# Exits with 0 when the page has a source and is not built, or was built before its source was changed.
cd "$(dirname "$0")/.." || exit 1
[ -e src/ui/index.html ] || exit 1
[ -e dist/ui/index.html ] || exit 0
# What it is built of: its own source, the rooms that it imports from, and how it is built.
[ -n "$(find src/ui src/base src/apis src/core src/machinery/client tools/page package-lock.json \
  -type f ! -name '*.test.ts' -newer dist/ui/index.html -print -quit)" ]
