#!/bin/sh
# Stands in for a C++ compiler. Tests link to it; the file `mode` beside the link says what it does
# when it is asked for a library, and the file `log` gets one line a library.
here=$(dirname "$0")
mode=$(cat "$here/mode")
out=
previous=
for word in "$@"; do
  [ "$previous" = -o ] && out=$word
  previous=$word
done
case " $* " in
*" -shared "*) echo "$*" >>"$here/log" ;;
*) [ "$mode" = copy ] && exec touch "$out" || exec c++ "$@" ;;
esac
case $mode in
good) exec c++ "$@" ;;
slow) sleep 0.5 && exec c++ "$@" ;;
copy) exec cp "$here/library" "$out" ;;
full)
  echo "fatal error: error writing to $out: No space left on device" >&2
  echo good >"$here/mode"
  exit 1
  ;;
fails)
  echo "kernel.cpp:3: error: there is no such thing" >&2
  seq 1 100 >&2
  exit 1
  ;;
silent) ;;
garbage) echo "not a library" >"$out" ;;
esac
