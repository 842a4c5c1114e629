#!/bin/sh
# Stands between cargo and rustc, which is $1. Where cargo says --batchwasm-root FILE (it does for the function's crate
# alone) the crate begins at another file, becomes a reactor, and is put where --batchwasm-out says while cargo holds its
# lock: the next build of the same project writes to the same place.
set -eu

root= copy= out= crate= folder= extra= previous=
for arg do
    case $previous in
        --batchwasm-root) root=$arg ;;
        --batchwasm-copy) copy=$arg ;;
        --batchwasm-out) out=$arg ;;
        --crate-name) crate=$arg ;;
        --out-dir) folder=$arg ;;
    esac
    case $arg in extra-filename=*) extra=${arg#extra-filename=} ;; esac
    previous=$arg
done
[ -n "$root" ] || exec "$@"

previous=
for arg do
    shift
    case $previous in
        --batchwasm-*) ;;
        --crate-type) set -- "$@" cdylib ;;
        *)
            case $arg in
                --batchwasm-*) ;;
                *.rs) if [ "$arg" -ef "$root" ]; then set -- "$@" "$copy"; else set -- "$@" "$arg"; fi ;;
                *) set -- "$@" "$arg" ;;
            esac
            ;;
    esac
    previous=$arg
done
"$@"
cp "$folder/$crate$extra.wasm" "$out"
