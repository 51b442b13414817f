/* SPDX-License-Identifier: MIT */
#include "fs/usage/uses.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "tests/support/place.h"

#define NOW 1700000000

struct seen {
    size_t count;
    int64_t used_at_s; /* of the last */
    uint64_t seen_ms;
    char version[200];
};

static int see(void *context, const struct use *use)
{
    struct seen *seen = context;

    seen->count++;
    seen->used_at_s = use->used_at_s;
    seen->seen_ms = use->seen_ms;
    snprintf(seen->version, sizeof(seen->version), "%s/%s/%s", use->project, use->app,
             use->version);
    return 0;
}

static struct seen look(struct uses *uses)
{
    struct seen seen = { .count = 0 };

    assert_int_equal(uses_each(uses, see, &seen), 0);
    assert_int_equal(seen.count, uses_count(uses));
    return seen;
}

static char *path_in(const struct place *place, char out[128])
{
    snprintf(out, 128, "%s/uses", place->path);
    return out;
}

static struct uses *open_uses(const struct place *place, int64_t now_s)
{
    struct uses *uses = NULL;
    char path[128];

    assert_int_equal(uses_open(path_in(place, path), now_s, &uses, NULL), 0);
    return uses;
}

static bool note(struct uses *uses, const char *version, int64_t now_s)
{
    bool is_new = false;

    assert_int_equal(uses_note(uses, "p", "a", version, now_s, 0, &is_new), 0);
    return is_new;
}

static void it_is_remembered(void **state)
{
    struct place *place = *state;
    struct uses *uses = open_uses(place, NOW);
    bool is_new = true;
    struct seen seen;
    struct stat info;
    char path[128];

    assert_int_equal(look(uses).count, 0);
    assert_true(note(uses, "1", NOW));
    assert_false(note(uses, "1", NOW + 5));
    assert_int_equal(uses_note(uses, "p", "a", "1", NOW + 6, 77, &is_new), 0);
    assert_false(is_new);
    assert_int_equal(look(uses).seen_ms, 77);
    note(uses, "1", NOW + 7); /* read: it goes on being open */
    assert_int_equal(look(uses).seen_ms, 77);
    assert_int_equal(uses_save(uses, NULL), 0);
    uses_close(uses);
    assert_int_equal(stat(path_in(place, path), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    uses = open_uses(place, NOW + 100);
    seen = look(uses);
    assert_string_equal(seen.version, "p/a/1");
    assert_int_equal(seen.used_at_s, NOW + 7);
    assert_int_equal(seen.seen_ms, 0);
    assert_false(note(uses, "1", NOW + 101)); /* known from before */
    uses_close(uses);
    /* A clock that was wrong: the future is now. */
    uses = open_uses(place, NOW - 1000);
    assert_int_equal(look(uses).used_at_s, NOW - 1000);
    uses_close(uses);
}

static void only_what_has_changed_is_written(void **state)
{
    struct place *place = *state;
    struct uses *uses = open_uses(place, NOW);
    char path[128], beside[160];

    assert_int_equal(uses_save(uses, NULL), 0);
    assert_int_equal(access(path_in(place, path), F_OK), -1);
    place_put(place, "uses.new", "of one that was killed");
    note(uses, "1", NOW);
    assert_int_equal(uses_save(uses, NULL), 0);
    snprintf(beside, sizeof(beside), "%s.new", path);
    assert_int_equal(access(beside, F_OK), -1);
    assert_int_equal(unlink(path), 0);
    note(uses, "1", NOW);
    assert_int_equal(uses_save(uses, NULL), 0);
    assert_int_equal(access(path, F_OK), -1);
    uses_forget(uses, NOW + 1);
    assert_int_equal(uses_count(uses), 0);
    assert_int_equal(uses_save(uses, NULL), 0);
    assert_int_equal(access(path, F_OK), 0);
    uses_close(uses);
}

static void a_disk_that_fails_costs_nothing_else(void **state)
{
    struct place *place = *state;
    struct uses *uses = NULL;
    char path[160];

    snprintf(path, sizeof(path), "%s/none/uses", place->path);
    assert_int_equal(uses_open(path, NOW, &uses, NULL), 0);
    note(uses, "1", NOW);
    assert_true(uses_save(uses, NULL) < 0);
    assert_int_equal(uses_count(uses), 1);
    place_put(place, "none/made", "");
    assert_int_equal(uses_save(uses, NULL), 0); /* tried again, though nothing was used since */
    assert_int_equal(access(path, F_OK), 0);
    uses_close(uses);
    assert_int_equal(uses_open(NULL, NOW, &uses, NULL), 0);
    note(uses, "1", NOW);
    assert_int_equal(uses_save(uses, NULL), 0);
    uses_close(uses);
}

static void a_file_that_is_wrong_is_none(void **state)
{
#define NAMES(app) "\"project\":\"p\",\"app\":\"" app "\",\"version\":\"1\""
    static const char good[] = "{" NAMES("a") ",\"used_at_s\":5}";
    static const char *const texts[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"format\":2,\"uses\":[%s]}",
        "{\"format\":\"1\",\"uses\":[%s]}",
        "{\"format\":1,\"uses\":[%s,7]}",
        "{\"format\":1,\"uses\":[%s,{}]}",
        "{\"format\":1,\"uses\":[%s,{" NAMES("..") ",\"used_at_s\":5}]}",
        "{\"format\":1,\"uses\":[%s,{" NAMES("a") "}]}",
        "{\"format\":1,\"uses\":[%s,{" NAMES("a") ",\"used_at_s\":-5}]}",
        "{\"format\":1,\"uses\":[%s,{" NAMES("a") ",\"used_at_s\":\"5\"}]}",
        "{\"format\":1,\"uses\":[%s,{\"project\":7,\"used_at_s\":5}]}",
        "{\"format\":1,\"uses\":[%s",
        "{\"format\":1,\"uses\":7}",
    };
#undef NAMES
    struct place *place = *state;
    char text[512];

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct uses *uses;

        snprintf(text, sizeof(text), texts[i], good);
        place_put(place, "uses", text);
        uses = open_uses(place, NOW);
        assert_int_equal(uses_count(uses), 0);
        uses_close(uses);
    }
    for (int twice = 0; twice < 2; twice++) { /* and one that is right, also said twice */
        struct uses *uses;

        snprintf(text, sizeof(text), "{\"format\":1,\"uses\":[%s%s%s]}", good, twice ? "," : "",
                 twice ? good : "");
        place_put(place, "uses", text);
        uses = open_uses(place, NOW);
        assert_int_equal(uses_count(uses), 1);
        uses_close(uses);
    }
}

static void the_oldest_is_forgotten(void **state)
{
    struct place *place = *state;
    struct uses *uses = open_uses(place, NOW);
    char version[32];

    for (int i = 0; i < USES_MAX; i++) {
        snprintf(version, sizeof(version), "v%d", i);
        note(uses, version, NOW + i);
    }
    assert_true(note(uses, "one-more", NOW + USES_MAX));
    assert_int_equal(uses_count(uses), USES_MAX);
    assert_true(note(uses, "v0", NOW + USES_MAX)); /* it was */
    assert_false(note(uses, "v2", NOW + USES_MAX));
    assert_int_equal(uses_save(uses, NULL), 0);
    uses_close(uses);
    uses = open_uses(place, NOW + USES_MAX);
    assert_int_equal(uses_count(uses), USES_MAX);
    uses_forget(uses, NOW + USES_MAX);
    assert_int_equal(uses_count(uses), 3);
    uses_close(uses);
}

static void names_that_are_none(void **state)
{
    struct uses *uses = NULL;
    bool is_new = false;

    assert_int_equal(uses_open(NULL, NOW, &uses, NULL), 0);
    assert_int_equal(uses_note(uses, "p", "..", "1", NOW, 0, &is_new), -EINVAL);
    assert_int_equal(uses_note(uses, NULL, "a", "1", NOW, 0, &is_new), -EINVAL);
    assert_int_equal(uses_count(uses), 0);
    uses_close(uses);
    assert_null(uses_close(NULL));
}

static int use_one(void)
{
    struct uses *uses = NULL;
    bool is_new;
    int r = uses_open(NULL, NOW, &uses, NULL);

    if (r == 0)
        r = uses_note(uses, "p", "a", "1", NOW, 0, &is_new);
    uses_close(uses);
    return r;
}

static void lack_of_memory_is_told(void **state)
{
    assert_survives_no_memory(use_one());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_PLACE(it_is_remembered),
        IN_A_PLACE(only_what_has_changed_is_written),
        IN_A_PLACE(a_disk_that_fails_costs_nothing_else),
        IN_A_PLACE(a_file_that_is_wrong_is_none),
        IN_A_PLACE(the_oldest_is_forgotten),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
