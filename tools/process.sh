# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# process - a process that is known again later, for scripts that start and stop daemons.
#
# A process id alone may have passed to another process. What is recorded in a file is the id,
# the boot, the time the process started, and its program: only the same process has all four.

# Prints the boot, start time and program of the process $1; fails when there is none.
process_identity() {
    local stat exe fields
    # Not $(<file): when the file is gone that ends the whole shell.
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }         # the name before it may hold anything
    [ "${stat%% *}" != Z ] || return 1
    exe=$(readlink "/proc/$1/exe") || return 1
    read -ra fields <<<"$stat"
    echo "$(</proc/sys/kernel/random/boot_id) ${fields[19]} ${exe% (deleted)}"
}

# Records the running process $1 in the file $2.
process_record() {
    local identity
    identity=$(process_identity "$1") || return 1
    echo "$1 $identity" >"$2"
}

# Prints the id of the process recorded in the file $1 when that very process still runs.
process_recorded() {
    local pid identity
    [ -f "$1" ] || return 1
    read -r pid identity <"$1" || return 1
    [ "$(process_identity "$pid")" = "$identity" ] || return 1
    echo "$pid"
}

# Waits until the process recorded in $1 is gone, $2 seconds at most.
process_wait_gone() {
    local tenths=$(($2 * 10))
    while process_recorded "$1" >/dev/null; do
        tenths=$((tenths - 1))
        [ "$tenths" -gt 0 ] || return 1
        sleep 0.1
    done
}
