#!/bin/sh
# Stands in for a C++ compiler. Tests link to it; the file `mode` beside the link says what it does
# when it is asked to compile, and the file `log` gets one line a compilation.
here=$(dirname "$0")
case " $* " in
*" -c "*) ;;
*) exec c++ "$@" ;;
esac
echo "$*" >>"$here/log"
out=
previous=
for word in "$@"; do
  [ "$previous" = -o ] && out=$word
  previous=$word
done
case $(cat "$here/mode") in
good) exec c++ "$@" ;;
slow) sleep 0.1 && exec c++ "$@" ;;
copy) cp "$here/object" "$out" ;;
fails)
  seq 1 100
  echo "tiny.cpp:3: error: there is no such thing" >&2
  exit 1
  ;;
silent) ;;
garbage) echo "not an object" >"$out" ;;
hangs) sleep 300 ;;
esac
