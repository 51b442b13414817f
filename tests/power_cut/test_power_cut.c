/* SPDX-License-Identifier: MIT */
#include <err.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/power_cut/check.h"
#include "tests/power_cut/disk.h"
#include "tests/power_cut/journal.h"
#include "tests/power_cut/recorder.h"
#include "tests/power_cut/scenario.h"
#include "tests/support/private_mounts.h"
#include "tests/support/unit.h"

/*
 * The cache of a mount, after a power cut at every change that it makes on the disk.
 *
 * POWER_CUT_STATES: so many states are tried, in place of the usual number.
 * POWER_CUT_AT="CHANGE KIND SEED": that one too, as a failure names it; how many changes there are
 * is not the same each time.
 */
#define STATES_USUAL 700
#define FAULTS_TOLD 12

static struct scenario scenario;
static struct journal journal;
static char *place; /* in memory, where that can be had: a sync of a real disk takes its time */
static char recorded[256];

/* Root may write what has no permission for it, the user of a mount may not. */
static void become_ordinary(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    const uint32_t all = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;

    if (syscall(SYS_capget, &head, data) != 0)
        err(1, "capget");
    data[0].effective &= ~all;
    if (syscall(SYS_capset, &head, data) != 0)
        err(1, "capset");
}

static void go(void *context)
{
    const int *begin = context;

    if (write(*begin, "x", 1) != 1)
        err(1, "pipe");
}

static int record(void **state)
{
    int begin[2], status;
    pid_t pid;
    char byte;

    scenario_init(&scenario);
    place = temporary_new();
    (void)mount("tmpfs", place, "tmpfs", 0, "size=512m,mode=0700");
    (void)snprintf(recorded, sizeof(recorded), "%s/recorded", place);
    assert_int_equal(mkdir(recorded, 0700), 0);
    assert_int_equal(pipe(begin), 0);
    pid = fork();
    if (pid == 0) {
        if (read(begin[0], &byte, 1) != 1)
            _exit(1);
        scenario_run(&scenario, recorded);
        _exit(0);
    }
    status = recorder_run(pid, recorded, go, &begin[1], &journal);
    assert_int_equal(status, 0);
    close(begin[0]);
    close(begin[1]);
    return 0;
}

static int forget(void **state)
{
    umount2(place, MNT_DETACH);
    temporary_remove(place);
    journal_release(&journal);
    scenario_release(&scenario);
    return 0;
}

static char *state_new(void)
{
    static unsigned number;
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/%u", place, number++);
    assert_int_equal(mkdir(path, 0700), 0);
    return strdup(path);
}

static void every_change_is_seen(void **state)
{
    size_t unknown = journal_find(&journal, CHANGE_UNKNOWN);
    const struct cut all = { journal.count, CUT_KEEPS_ALL, 0 };
    char *folder = state_new(), line[1100];

    if (unknown < journal.count)
        fail_msg("a change that is not written down: %s", journal.changes[unknown].name);
    for (int kind = 0; kind < CHANGE_UNKNOWN; kind++)
        if (kind != CHANGE_MAKE_NAMELESS && journal_find(&journal, kind) == journal.count &&
            kind != CHANGE_TRUNCATE)
            fail_msg("the scenario has no change of kind %d", kind);
    disk_make(&journal, &all, folder);
    /* Names, kinds and modes; then bytes. */
    (void)snprintf(line, sizeof(line),
                   "list() { (cd \"$1\" && find . -printf '%%P %%y %%m\\n' | sort); }; "
                   "[ \"$(list %s)\" = \"$(list %s)\" ] && diff -r %s %s",
                   recorded, folder, recorded, folder);
    assert_int_equal(system(line), 0);
    temporary_remove(folder);
}

/* Around each change of a name and each sync, and among the bytes. */
static bool is_near_names(size_t at)
{
    for (size_t i = at > 0 ? at - 1 : 0; i <= at && i < journal.count; i++) {
        int kind = journal.changes[i].kind;

        if (kind != CHANGE_WRITE && kind != CHANGE_MARK)
            return true;
    }
    return false;
}

static size_t choose_cuts(size_t *out_cuts)
{
    size_t count = 0;

    for (size_t at = journal.base; at <= journal.count; at++)
        if (is_near_names(at) || at % 4 == 0)
            out_cuts[count++] = at;
    return count;
}

static bool try_cut(const struct cut *cut, unsigned *faults)
{
    char *folder = state_new(), why[CHECK_TEXT_SIZE] = "";
    bool right;

    disk_make(&journal, cut, folder);
    right = check_boot(&scenario, &journal, cut, folder, why);
    if (!right && (*faults)++ < FAULTS_TOLD)
        print_message("# change %zu of %zu, kind %d, seed %llu: %s\n", cut->at, journal.count,
                      cut->kind, (unsigned long long)cut->seed, why);
    temporary_remove(folder);
    return right;
}

static void a_cut_at_any_change(void **state)
{
    size_t *cuts = calloc(journal.count + 1, sizeof(*cuts)), count = choose_cuts(cuts);
    const char *wish = getenv("POWER_CUT_STATES");
    size_t states = wish != NULL ? strtoul(wish, NULL, 10) : STATES_USUAL;
    const char *one = getenv("POWER_CUT_AT");
    unsigned faults = 0;

    assert_true(states > 0);
    if (one != NULL) {
        struct cut cut = { 0, CUT_ANY, 0 };
        unsigned kind;

        assert_int_equal(sscanf(one, "%zu %u %" SCNu64, &cut.at, &kind, &cut.seed), 3);
        cut.kind = (enum cut_kind)kind;
        assert_true(cut.at <= journal.count && kind < CUT_KINDS);
        assert_true(try_cut(&cut, &faults));
        states = 0;
    }
    /* Evenly over the cuts; each round has other kinds and seeds. */
    for (size_t i = 0; i < states; i++) {
        size_t at = (i * 7919) % count;
        struct cut cut = { cuts[at], (enum cut_kind)((i + i / CUT_KINDS) % CUT_KINDS), i };

        try_cut(&cut, &faults);
    }
    free(cuts);
    if (faults > 0)
        fail_msg("%u of %zu states are not what they should be", faults, states);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_seen),
        cmocka_unit_test(a_cut_at_any_change),
    };

    private_mounts_begin();
    become_ordinary();
    return cmocka_run_group_tests(tests, record, forget);
}
