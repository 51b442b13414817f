/* SPDX-License-Identifier: MIT */
#include "fs/look/looker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "tests/support/unit.h"

#define ACT "TEST_LOOKER_ACT"

static int program = -1;

/* This program is also the one that looks: as the test wants it. */
static int act(int argc, char *argv[])
{
    const char *how = getenv(ACT);

    if (how == NULL)
        return 1;
    if (strcmp(how, "silent") == 0)
        return 0;
    if (strcmp(how, "many") == 0)
        for (unsigned i = 0; i < 2 * LOOKER_USES_MAX; i++)
            printf("%s %u\n", argv[2], i + 1);
    else
        for (int i = 2; i < argc; i++)
            printf("%s %d\n", argv[i], 100 + i);
    fflush(stdout);
    if (strcmp(how, "hangs") == 0)
        pause();
    return 0;
}

struct found {
    unsigned times;
    struct look_use uses[LOOKER_USES_MAX];
    size_t count;
};

static void find(void *context, const struct look_use *uses, size_t count)
{
    struct found *found = context;

    assert_true(count <= LOOKER_USES_MAX);
    found->times++;
    found->count = count;
    if (count > 0)
        memcpy(found->uses, uses, count * sizeof(*uses));
}

static const uint64_t devices[] = { 42, 18446744073709551615u };

static void turn(struct looker *looker, struct found *found)
{
    static const struct timespec pause = { .tv_nsec = 1000000 };

    looker_turn(looker, devices, 2, find, found);
    nanosleep(&pause, NULL);
}

static struct looker *new_looker(const char *how, const char *every_ms)
{
    struct looker *looker = NULL;

    setenv(ACT, how, 1);
    setenv(LOOKER_EVERY_VARIABLE, every_ms, 1);
    assert_int_equal(looker_new(&looker, program, NULL), 0);
    return looker;
}

static void it_looks_again_and_again(void **state)
{
    struct looker *looker = new_looker("two", "1");
    struct found *found = calloc(1, sizeof(*found));

    while (found->times < 3)
        turn(looker, found);
    assert_int_equal(found->count, 2);
    assert_int_equal(found->uses[0].device, 42);
    assert_int_equal(found->uses[0].slot, 102);
    assert_true(found->uses[1].device == UINT64_MAX);
    assert_int_equal(found->uses[1].slot, 103);
    setenv(ACT, "silent", 1); /* nothing is in use any more */
    while (found->count > 0)
        turn(looker, found);
    looker_free(looker);
    free(found);
}

static void more_than_a_pipe_holds(void **state)
{
    struct looker *looker = new_looker("many", "1");
    struct found *found = calloc(1, sizeof(*found));

    while (found->times < 1)
        turn(looker, found);
    assert_int_equal(found->count, LOOKER_USES_MAX);
    assert_int_equal(found->uses[LOOKER_USES_MAX - 1].slot, LOOKER_USES_MAX);
    looker_free(looker);
    free(found);
}

static void one_that_hangs_is_not_waited_for(void **state)
{
    struct looker *looker = new_looker("hangs", "1");
    struct found *found = calloc(1, sizeof(*found));

    for (unsigned i = 0; i < 200; i++)
        turn(looker, found);
    assert_int_equal(found->times, 0);
    looker_free(looker); /* and ends it */
    free(found);
}

static void no_program_and_no_mount_are_no_look(void **state)
{
    struct looker *looker = NULL;
    struct found *found = calloc(1, sizeof(*found));

    setenv(LOOKER_EVERY_VARIABLE, "1", 1);
    assert_int_equal(looker_new(&looker, -1, NULL), 0);
    for (unsigned i = 0; i < 5; i++)
        looker_turn(looker, devices, 0, find, found);
    assert_int_equal(found->times, 0);
    while (found->times < 2) /* each ends at once */
        turn(looker, found);
    assert_int_equal(found->count, 0);
    looker_free(looker);
    free(found);
    assert_null(looker_free(NULL));
}

static void the_time_between_two_looks(void **state)
{
    unsetenv(LOOKER_EVERY_VARIABLE);
    assert_int_equal(looker_every_ms(), LOOKER_EVERY_MS);
    setenv(LOOKER_EVERY_VARIABLE, "250", 1);
    assert_int_equal(looker_every_ms(), 250);
    setenv(LOOKER_EVERY_VARIABLE, "x", 1);
    assert_int_equal(looker_every_ms(), LOOKER_EVERY_MS);
    setenv(LOOKER_EVERY_VARIABLE, "60001", 1);
    assert_int_equal(looker_every_ms(), LOOKER_EVERY_MS);
}

static void lines_that_are_right_count(void **state)
{
    static const char text[] = "1 2\n\n3\n4 5 6\n-7 8\n9 4294967296\n 10 11\n12 13\nx y\n14 15";
    struct look_use *uses = NULL;
    size_t count = 7;

    assert_int_equal(looker_read(span_text(text), &uses, &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(uses[0].device, 1);
    assert_int_equal(uses[0].slot, 2);
    assert_int_equal(uses[1].device, 12);
    assert_int_equal(uses[1].slot, 13);
    memory_free(uses);
    assert_int_equal(looker_read(span_of(NULL, 0), &uses, &count, NULL), 0);
    assert_int_equal(count, 0);
}

static int read_two(void)
{
    struct look_use *uses = NULL;
    size_t count;
    int r = looker_read(span_text("1 2\n3 4\n"), &uses, &count, NULL);

    memory_free(uses);
    return r;
}

static void lack_of_memory_is_told(void **state)
{
    assert_survives_no_memory(read_two());
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_looks_again_and_again),
        cmocka_unit_test(more_than_a_pipe_holds),
        cmocka_unit_test(one_that_hangs_is_not_waited_for),
        cmocka_unit_test(no_program_and_no_mount_are_no_look),
        cmocka_unit_test(the_time_between_two_looks),
        cmocka_unit_test(lines_that_are_right_count),
        cmocka_unit_test(lack_of_memory_is_told),
    };

    if (argc > 1 && strcmp(argv[1], LOOK_WORD) == 0)
        return act(argc, argv);
    program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
