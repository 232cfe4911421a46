#!/bin/sh
# Stands in for nvcc: lists GPU generations, and writes its arguments after a fatbin's first bytes.
here=$(dirname "$0")
if [ "$1" = --list-gpu-arch ]; then
  echo compute_80
  echo compute_90
  exit 0
fi
echo "$*" >>"$here/log"
out=
previous=
for word in "$@"; do
  [ "$previous" = -o ] && out=$word
  previous=$word
done
case $(cat "$here/mode") in
good) printf '\120\355\125\272 %s' "$*" >"$out" ;;
garbage) echo "no image" >"$out" ;;
esac
