#!/bin/sh
# Speaks like a test executable of Rust: tests.rs beside it runs it. A test does what its name says.

failed=
status=0
for name in "$@"; do
    case $name in
    passes_and_then_dies) echo "test $name ... ok" && status=9 ;;
    passes*) echo "test $name ... ok" ;;
    is_ignored) echo "test $name ... ignored" ;;
    fails) echo "test $name ... FAILED" && failed=$name ;;
    aborts)
        # libtest would show this at once only without capture.
        case "$*" in *--nocapture*) echo "my last words" >&2 ;; esac
        kill -ABRT $$
        ;;
    hangs)
        echo "weirs-watchdog: test $name exceeded its limit of 60 s" >&2
        exit 124
        ;;
    esac
done
if [ -n "$failed" ]; then
    printf '\nfailures:\n\n---- %s stdout ----\nwhy %s failed\n' "$failed" "$failed"
    printf '\n\nfailures:\n    %s\n\n' "$failed"
    status=101
fi
echo "test result: whatever it was"
exit $status
