/* SPDX-License-Identifier: MIT */
#include "fs/usage/lease_book.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/codec/json.h"
#include "tests/support/unit.h"

#define NOW_S 1700000000
#define HOUR_MS ((uint64_t)3600 * 1000)
#define NEVER UINT64_MAX

/* A book, and a clock that the test turns. */
struct world {
    struct lease_book *book;
    uint64_t now_ms;
    struct api_leases asked; /* the last */
};

static struct world world_of(const char *mountpoint, bool is_former)
{
    const struct lease_book_options options = { .host = "h",
                                                .mountpoint = mountpoint,
                                                .is_former = is_former };
    struct world world = { .now_ms = 1000 };

    assert_int_equal(lease_book_new(&world.book, &options, NULL), 0);
    return world;
}

static void update(struct world *world, struct in_use *set)
{
    in_use_sort(set);
    assert_int_equal(lease_book_update(world->book, set, world->now_ms, 0, NULL), 0);
    in_use_release(set);
}

/* "1 2": these versions are in use, each for that reason. */
static void use(struct world *world, const char *versions, enum in_use_reason reason)
{
    struct in_use set = { 0 };
    struct span rest = span_text(versions), name;
    char text[64];

    while (span_cut(&rest, ' ', &name)) {
        snprintf(text, sizeof(text), "%.*s", (int)name.size, (const char *)name.bytes);
        in_use_add(&set, "p", "a", text, reason);
    }
    update(world, &set);
}

/* Turns the clock to when the next request is due, and takes it. */
static void next(struct world *world)
{
    uint64_t due_ms = lease_book_due_ms(world->book);

    assert_true(due_ms != NEVER);
    if (due_ms > world->now_ms)
        world->now_ms = due_ms;
    assert_int_equal(lease_book_next(world->book, world->now_ms, &world->asked, NULL), 0);
}

static void answer(struct world *world, int code, size_t refused, uint64_t retry_after_ms)
{
    struct api_leases_answer said = {
        .code = code, .renew_in_s = 3600, .refused = refused, .retry_after_ms = retry_after_ms
    };

    if (code < 0)
        error_set(&said.err, code, "because %d", code);
    lease_book_answer(world->book, &said, world->now_ms, NOW_S, 0);
}

/* What was asked for: "1 2", with "+" behind when the rest goes. */
static void assert_asked(const struct world *world, const char *expected)
{
    struct buf text = buf_init(BUF_UNLIMITED);

    for (size_t i = 0; i < world->asked.count; i++)
        buf_format(&text, "%s%s", i > 0 ? " " : "", world->asked.items[i].version);
    if (world->asked.within != NULL)
        buf_add_text(&text, "+");
    assert_string_equal(buf_text(&text), expected);
    buf_release(&text);
}

/* The object that status shows. */
static void assert_told(const struct world *world, const char *version, const char *expected)
{
    struct buf text = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&text);

    json_begin_object(&writer, NULL);
    lease_book_tell(world->book, "p", "a", version, &writer);
    json_end(&writer);
    assert_string_equal(buf_text(&text), expected);
    buf_release(&text);
}

static void soon_then_each_hour(void **state)
{
    struct world world = world_of("/mnt", false);

    assert_true(lease_book_due_ms(world.book) == NEVER);
    use(&world, "", IN_USE_RECENT);
    assert_true(lease_book_due_ms(world.book) == NEVER);
    use(&world, "1", IN_USE_RECENT);
    assert_int_equal(lease_book_due_ms(world.book), 1000 + LEASE_BOOK_SOON_MS);
    assert_told(
        &world, "1",
        "{\"in_use\":[\"recent\"],\"lease\":{\"state\":\"waiting\",\"place\":\"/mnt/p/a/1\","
        "\"renewed_at\":null,\"error\":\"\"}}");
    world.now_ms += 100;
    use(&world, "1 2", IN_USE_RECENT); /* goes with it */
    assert_int_equal(lease_book_due_ms(world.book), 1000 + LEASE_BOOK_SOON_MS);
    next(&world);
    assert_asked(&world, "1 2+");
    assert_string_equal(world.asked.within, "/mnt");
    assert_string_equal(world.asked.host, "h");
    assert_string_equal(world.asked.items[1].place, "/mnt/p/a/2");
    assert_string_equal(world.asked.items[1].mode, "mount");
    assert_string_equal(world.asked.items[1].state, "remote");
    answer(&world, 0, SIZE_MAX, 0);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    assert_told(&world, "1",
                "{\"in_use\":[\"recent\"],\"lease\":{\"state\":\"held\",\"place\":\"/mnt/p/a/1\","
                "\"renewed_at\":\"2023-11-14T22:13:20Z\",\"error\":\"\"}}");
    assert_told(&world, "3", "{\"in_use\":[],\"lease\":null}");
    use(&world, "1 2", IN_USE_OPEN); /* other reasons are no news */
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    next(&world);
    assert_asked(&world, "1 2+");
    answer(&world, 0, SIZE_MAX, 0);
    lease_book_free(world.book);
}

static void what_is_not_used_goes(void **state)
{
    struct world world = world_of("/mnt", false);
    struct api_leases release = { .count = 7 };

    assert_false(lease_book_release(world.book, &release));
    use(&world, "1 2", IN_USE_RECENT);
    assert_false(lease_book_release(world.book, &release)); /* not said yet */
    next(&world);
    assert_true(lease_book_release(world.book, &release)); /* perhaps said */
    answer(&world, 0, SIZE_MAX, 0);
    use(&world, "2", IN_USE_RECENT);
    assert_true(lease_book_due_ms(world.book) <= world.now_ms + 4 * LEASE_BOOK_SOON_MS);
    next(&world);
    assert_asked(&world, "2+");
    answer(&world, 0, SIZE_MAX, 0);
    assert_told(&world, "1", "{\"in_use\":[],\"lease\":null}");
    assert_true(lease_book_release(world.book, &release));
    assert_int_equal(release.count, 0);
    assert_string_equal(release.within, "/mnt");
    use(&world, "", IN_USE_RECENT);
    next(&world);
    assert_asked(&world, "+");
    answer(&world, 0, SIZE_MAX, 0);
    use(&world, "", IN_USE_RECENT);
    assert_true(lease_book_due_ms(world.book) == NEVER);
    assert_false(lease_book_release(world.book, &release));
    lease_book_free(world.book);
}

static void what_changes_while_it_is_said(void **state)
{
    struct world world = world_of("/mnt", false);

    use(&world, "1 2", IN_USE_RECENT);
    next(&world);
    use(&world, "2 3", IN_USE_RECENT); /* 1 ends, 3 begins */
    answer(&world, 0, SIZE_MAX, 0);
    assert_true(lease_book_due_ms(world.book) < world.now_ms + HOUR_MS / 2);
    use(&world, "2 3", IN_USE_RECENT);
    next(&world);
    assert_asked(&world, "2 3+");
    answer(&world, 0, SIZE_MAX, 0);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    lease_book_free(world.book);
}

static void what_was_brought_is_said_again(void **state)
{
    struct world world = world_of("/mnt", false);
    struct in_use set = { 0 };

    use(&world, "1", IN_USE_PREFETCHING);
    next(&world);
    answer(&world, 0, SIZE_MAX, 0);
    in_use_add(&set, "p", "a", "1", IN_USE_PINNED);
    update(&world, &set);
    assert_true(lease_book_due_ms(world.book) < world.now_ms + HOUR_MS / 2);
    in_use_add(&set, "p", "a", "1", IN_USE_PINNED);
    set.items[0].state = "complete";
    update(&world, &set);
    next(&world);
    assert_string_equal(world.asked.items[0].state, "complete");
    answer(&world, 0, SIZE_MAX, 0);
    use(&world, "1", IN_USE_ATTACHED);
    next(&world);
    assert_string_equal(world.asked.items[0].mode, "attach");
    assert_string_equal(world.asked.items[0].state, "complete"); /* as it was last */
    answer(&world, 0, SIZE_MAX, 0);
    use(&world, "1", IN_USE_ATTACHED);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    lease_book_free(world.book);
}

static void an_earlier_mount_is_settled(void **state)
{
    struct world world = world_of("/mnt", true);
    struct api_leases release;

    assert_true(lease_book_due_ms(world.book) == NEVER); /* before anything is known */
    use(&world, "", IN_USE_RECENT);
    assert_true(lease_book_release(world.book, &release));
    next(&world);
    assert_asked(&world, "+");
    answer(&world, 0, SIZE_MAX, 0);
    use(&world, "", IN_USE_RECENT);
    assert_true(lease_book_due_ms(world.book) == NEVER);
    assert_false(lease_book_release(world.book, &release));
    lease_book_free(world.book);
}

static void one_that_is_refused_does_not_keep_the_others_back(void **state)
{
    struct world world = world_of("/mnt", false);

    use(&world, "1 2 3", IN_USE_RECENT);
    next(&world);
    answer(&world, -ESTALE, 1, 0);
    next(&world);
    assert_asked(&world, "1 3+");
    answer(&world, -ENOENT, 1, 0);
    next(&world);
    assert_asked(&world, "1+");
    answer(&world, 0, SIZE_MAX, 0);
    assert_told(
        &world, "2",
        "{\"in_use\":[\"recent\"],\"lease\":{\"state\":\"refused\",\"place\":\"/mnt/p/a/2\","
        "\"renewed_at\":null,\"error\":\"because -116\"}}");
    use(&world, "1 2 3", IN_USE_RECENT);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    use(&world, "1 2 3 4", IN_USE_RECENT);
    next(&world);
    assert_asked(&world, "1 4+"); /* nobody asks in vain */
    answer(&world, 0, SIZE_MAX, 0);
    next(&world);
    assert_asked(&world, "1 2 3 4+"); /* but each hour */
    answer(&world, -EINVAL, 0, 0);
    next(&world);
    answer(&world, -EINVAL, 0, 0);
    next(&world);
    answer(&world, -EINVAL, 0, 0);
    next(&world);
    answer(&world, -EINVAL, 0, 0);
    next(&world);
    assert_asked(&world, "+");
    answer(&world, 0, SIZE_MAX, 0);
    lease_book_free(world.book);
}

static void failures_wait_longer_and_longer(void **state)
{
    static const int codes[] = { -EAGAIN, -EPERM, -EACCES, -ETIMEDOUT, -EIO, -EEXIST, -EINVAL };
    struct world world = world_of("/mnt", false);
    uint64_t before_ms = 0;

    use(&world, "1", IN_USE_RECENT);
    for (size_t i = 0; i < 12; i++) {
        uint64_t wait_ms;

        next(&world);
        assert_asked(&world, "1+");
        answer(&world, codes[i % (sizeof(codes) / sizeof(codes[0]))], SIZE_MAX, 0);
        wait_ms = lease_book_due_ms(world.book) - world.now_ms;
        assert_true(wait_ms >= before_ms && wait_ms >= LEASE_BOOK_AGAIN_MS / 2);
        assert_true(wait_ms <= HOUR_MS);
        before_ms = wait_ms;
        use(&world, i % 2 == 0 ? "1" : "1 2", IN_USE_RECENT); /* is no reason to hurry */
        assert_int_equal(lease_book_due_ms(world.book), world.now_ms + wait_ms);
        use(&world, "1", IN_USE_RECENT);
    }
    assert_told(&world, "1",
                "{\"in_use\":[\"recent\"],\"lease\":{\"state\":\"failed\",\"place\":\"/mnt/p/a/1\","
                "\"renewed_at\":null,\"error\":\"because -5\"}}");
    next(&world);
    answer(&world, -EAGAIN, SIZE_MAX, 5 * HOUR_MS);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + 5 * HOUR_MS);
    next(&world);
    answer(&world, 0, SIZE_MAX, 0);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    /* What is held stays so when a renewal fails, and the error is shown. */
    next(&world);
    answer(&world, -EAGAIN, SIZE_MAX, 0);
    assert_told(&world, "1",
                "{\"in_use\":[\"recent\"],\"lease\":{\"state\":\"held\",\"place\":\"/mnt/p/a/1\","
                "\"renewed_at\":\"2023-11-14T22:13:20Z\",\"error\":\"because -11\"}}");
    lease_book_free(world.book);
}

static void a_server_without_leases_is_asked_each_hour(void **state)
{
    struct world world = world_of("/mnt", false);

    use(&world, "1", IN_USE_RECENT);
    next(&world);
    answer(&world, -ENOENT, SIZE_MAX, 0);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    use(&world, "1 2", IN_USE_RECENT);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    assert_told(&world, "2",
                "{\"in_use\":[\"recent\"],\"lease\":{\"state\":\"unsupported\","
                "\"place\":\"/mnt/p/a/2\",\"renewed_at\":null,\"error\":\"because -2\"}}");
    use(&world, "", IN_USE_RECENT); /* and all begins anew */
    assert_true(lease_book_due_ms(world.book) == NEVER);
    use(&world, "1", IN_USE_RECENT);
    next(&world);
    answer(&world, 0, SIZE_MAX, 0);
    lease_book_free(world.book);
}

static void more_than_a_request_holds(void **state)
{
    struct world world = world_of("/mnt", false);
    struct in_use set = { 0 };
    size_t said = 0, requests = 0;
    char version[32];

    for (unsigned i = 0; i < 2500; i++) {
        snprintf(version, sizeof(version), "v%u", i);
        in_use_add(&set, "p", "a", version, IN_USE_RECENT);
    }
    update(&world, &set);
    do {
        next(&world);
        assert_true(world.asked.count <= API_LEASES_MAX);
        assert_null(world.asked.within); /* it would release the others */
        said += world.asked.count;
        requests++;
        answer(&world, 0, SIZE_MAX, 0);
    } while (lease_book_due_ms(world.book) == world.now_ms);
    assert_int_equal(said, 2500);
    assert_int_equal(requests, 3);
    use(&world, "v1", IN_USE_RECENT);
    next(&world);
    assert_asked(&world, "v1+"); /* and all others go */
    answer(&world, 0, SIZE_MAX, 0);
    assert_told(&world, "v2", "{\"in_use\":[],\"lease\":null}");
    lease_book_free(world.book);
}

static void places_fit_whatever_the_mount_point_is(void **state)
{
    char *longest = calloc(1, 4096);
    const char *const points[] = { longest, "/mnt/\xff", "/mnt/a\nb", "/mnt/\"q\"" };

    memset(longest, 'x', 4095);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        struct world world = world_of(points[i], false);

        use(&world, "1", IN_USE_RECENT);
        next(&world);
        assert_int_equal(strncmp(world.asked.within, "mount-", 6), 0);
        assert_int_equal(strlen(world.asked.within), 6 + 64);
        assert_int_equal(strncmp(world.asked.items[0].place, world.asked.within, 70), 0);
        assert_string_equal(world.asked.items[0].place + 70, "/p/a/1");
        lease_book_free(world.book);
    }
    /* As long as it may be, with the longest names. */
    longest[1024 - VERSION_KEY_SIZE] = '\0';
    {
        struct world world = world_of(longest, false);
        char project[NAME_TEXT_SIZE] = { 0 }, version[VERSION_TEXT_SIZE] = { 0 };
        struct in_use set = { 0 };

        memset(project, 'p', NAME_MAX_SIZE);
        memset(version, 'v', VERSION_MAX_SIZE);
        in_use_add(&set, project, project, version, IN_USE_RECENT);
        update(&world, &set);
        next(&world);
        assert_true(strlen(world.asked.items[0].place) <= 1024);
        assert_string_equal(world.asked.within, longest);
        lease_book_free(world.book);
    }
    free(longest);
}

static void nobody_is_told_without_a_token(void **state)
{
    const struct lease_book_options options = {
        .host = "h", .mountpoint = "/mnt", .is_silent = true, .is_former = true
    };
    struct world world = { .now_ms = 1000 };
    struct api_leases release;

    assert_int_equal(lease_book_new(&world.book, &options, NULL), 0);
    use(&world, "1", IN_USE_RECENT);
    assert_true(lease_book_due_ms(world.book) == NEVER);
    assert_false(lease_book_release(world.book, &release));
    assert_told(&world, "1", "{\"in_use\":[\"recent\"],\"lease\":null}");
    lease_book_free(world.book);
    assert_null(lease_book_free(NULL));
}

static int count_them(void *context, const struct version_names *names)
{
    return ++*(int *)context == 2 ? 7 : 0;
}

static void all_that_are_in_use(void **state)
{
    struct world world = world_of("/mnt", false);
    int count = 0;
    struct buf text = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&text);

    use(&world, "1 2 3", IN_USE_RECENT);
    assert_int_equal(lease_book_each(world.book, count_them, &count), 7);
    next(&world);
    answer(&world, 0, SIZE_MAX, 0);
    use(&world, "1", IN_USE_RECENT); /* the others are only held */
    count = 2;
    assert_int_equal(lease_book_each(world.book, count_them, &count), 0);
    assert_int_equal(count, 3);
    json_begin_object(&writer, NULL);
    lease_book_tell_all(world.book, &writer);
    json_end(&writer);
    assert_string_equal(buf_text(&text),
                        "{\"leases\":{\"host\":\"h\",\"place\":\"/mnt\",\"held\":3,"
                        "\"renewed_at\":\"2023-11-14T22:13:20Z\",\"error\":\"\"}}");
    buf_release(&text);
    lease_book_free(world.book);
}

static int say_two(void)
{
    const struct lease_book_options options = { .host = "h", .mountpoint = "/mnt" };
    struct lease_book *book = NULL;
    struct api_leases asked;
    struct in_use set = { 0 };
    int r = lease_book_new(&book, &options, NULL);

    in_use_add(&set, "p", "a", "1", IN_USE_RECENT);
    in_use_add(&set, "p", "a", "2", IN_USE_RECENT);
    in_use_sort(&set);
    if (r == 0)
        r = lease_book_update(book, &set, 0, 0, NULL);
    if (r == 0)
        r = lease_book_next(book, 0, &asked, NULL);
    in_use_release(&set);
    lease_book_free(book);
    return r;
}

static void lack_of_memory_is_told(void **state)
{
    struct world world = world_of("/mnt", false);
    struct in_use set = { .has_failed = true };

    assert_survives_no_memory(say_two());
    use(&world, "1", IN_USE_RECENT);
    next(&world);
    answer(&world, 0, SIZE_MAX, 0);
    /* What could not be collected is not known to be unused. */
    assert_int_equal(lease_book_update(world.book, &set, world.now_ms, 0, NULL), -ENOMEM);
    assert_int_equal(lease_book_due_ms(world.book), world.now_ms + HOUR_MS);
    next(&world);
    assert_asked(&world, "1+");
    lease_book_free(world.book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(soon_then_each_hour),
        cmocka_unit_test(what_is_not_used_goes),
        cmocka_unit_test(what_changes_while_it_is_said),
        cmocka_unit_test(what_was_brought_is_said_again),
        cmocka_unit_test(an_earlier_mount_is_settled),
        cmocka_unit_test(one_that_is_refused_does_not_keep_the_others_back),
        cmocka_unit_test(failures_wait_longer_and_longer),
        cmocka_unit_test(a_server_without_leases_is_asked_each_hour),
        cmocka_unit_test(more_than_a_request_holds),
        cmocka_unit_test(places_fit_whatever_the_mount_point_is),
        cmocka_unit_test(nobody_is_told_without_a_token),
        cmocka_unit_test(all_that_are_in_use),
        cmocka_unit_test(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
