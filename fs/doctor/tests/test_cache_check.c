/* SPDX-License-Identifier: MIT */
#include "fs/doctor/cache_check.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "fs/care/scrub_place.h"
#include "fs/doctor/findings.h"
#include "tests/support/place.h"
#include "tests/support/unit.h"

static const char *at(const struct place *place, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", place->path, name);
    return path;
}

static struct findings look(const struct place *place)
{
    const struct cache_facts facts = { .path = place->path };
    struct findings findings = { 0 };

    cache_check(&facts, &findings);
    assert_int_equal(findings_check(&findings, NULL), 0);
    return findings;
}

static const struct finding *found(const struct findings *findings, const char *name)
{
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->items[i].name, name) == 0)
            return &findings->items[i];
    fail_msg("nothing is said of %s", name);
    return NULL;
}

/* What is said of one thing there: its level, and that it has the words. */
static void expect(const struct place *place, const char *name, enum finding_level level,
                   const char *words)
{
    struct findings findings = look(place);
    const struct finding *one = found(&findings, name);

    assert_string_equal(finding_level_name(one->level), finding_level_name(level));
    assert_non_null(strstr(one->what, words));
    assert_non_null(strstr(one->what, place->path));
    if (level >= FINDING_WARNING)
        assert_non_null(one->advice);
    findings_release(&findings);
}

static void a_sound_one_has_no_faults(void **state)
{
    struct place *place = *state;

    assert_int_equal(chmod(place->path, 0700), 0);
    expect(place, "cache-damage", FINDING_OK, "");
    expect(place, "cache-parts", FINDING_OK, "");
    expect(place, "scrub", FINDING_NOTE, "not gone over it");
    expect(place, "cache-owner", geteuid() == 0 ? FINDING_NOTE : FINDING_OK, "belongs to");
}

static void who_else_may_write_is_a_problem(void **state)
{
    struct place *place = *state;

    assert_int_equal(chmod(place->path, 0777), 0);
    expect(place, "cache-owner", FINDING_PROBLEM, "others may write");
    assert_int_equal(chmod(place->path, 0755), 0);
    expect(place, "cache-owner", FINDING_WARNING, "others may look");
}

static void damage_is_counted(void **state)
{
    struct place *place = *state;

    place_put(place, "bad/a", "12345");
    place_put(place, "bad/b", "1");
    expect(place, "cache-damage", FINDING_WARNING, "2 objects");
}

static void age(const struct place *place, const char *name)
{
    const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

    assert_int_equal(utimensat(AT_FDCWD, at(place, name), old, 0), 0);
}

static void leftovers_are_old_and_belong_to_nothing(void **state)
{
    struct place *place = *state;

    place_put(place, "part/aa", "part");
    place_put(place, "part/aa.m", "map");
    place_put(place, "part/bb.m", "map");
    place_put(place, "part/new.1", "x");
    expect(place, "cache-parts", FINDING_OK, ""); /* young */
    age(place, "part/aa.m");
    age(place, "part/bb.m");
    age(place, "part/new.1");
    expect(place, "cache-parts", FINDING_NOTE, "2 files");
}

static void put_scrub(struct place *place, int64_t ended_at_s, uint64_t wrong)
{
    struct scrub_place scrub = { .ended_at_s = ended_at_s, .objects = 7, .wrong = wrong };
    struct buf text = buf_init(4096);

    scrub_place_write(&scrub, &text);
    place_put(place, "scrub", buf_text(&text));
    buf_release(&text);
}

static void the_scrubber_is_told(void **state)
{
    struct place *place = *state;

    put_scrub(place, time(NULL), 0);
    expect(place, "scrub", FINDING_OK, "7 objects");
    put_scrub(place, 1000, 0);
    expect(place, "scrub", FINDING_NOTE, "last round");
    put_scrub(place, time(NULL), 2);
    expect(place, "scrub", FINDING_WARNING, "2 of 7");
    place_put(place, "scrub", "nonsense\n");
    expect(place, "scrub", FINDING_NOTE, "not gone over it");
}

/* Names in a cache are its user's: a link that leads out of it is not followed. */
static void links_are_not_followed(void **state)
{
    struct place *place = *state;

    assert_int_equal(symlink("/etc", at(place, "bad")), 0);
    assert_int_equal(symlink("/dev/zero", at(place, "scrub")), 0);
    expect(place, "cache-damage", FINDING_OK, "");
    expect(place, "scrub", FINDING_NOTE, "not gone over it");
}

static void one_that_is_not_there(void **state)
{
    struct cache_facts facts = { .path = "/nonexistent/cache" };
    struct findings findings = { 0 };

    cache_check(&facts, &findings);
    assert_int_equal(findings_worst(&findings), FINDING_NOTE);
    facts.is_used = true;
    cache_check(&facts, &findings);
    assert_int_equal(findings_worst(&findings), FINDING_PROBLEM);
    findings_release(&findings);
}

static void a_floor_that_is_reached(void **state)
{
    struct place *place = *state;
    struct cache_facts facts = { .path = place->path,
                                 .is_used = true,
                                 .free_limit = (uint64_t)1 << 60 };
    struct findings findings = { 0 };

    cache_check(&facts, &findings);
    assert_int_equal(found(&findings, "cache-room")->level, FINDING_WARNING);
    findings_release(&findings);
    facts.free_limit = 0;
    facts.quota = (uint64_t)1 << 60;
    cache_check(&facts, &findings);
    assert_int_equal(found(&findings, "cache-room")->level, FINDING_NOTE);
    findings_release(&findings);
}

static void file_systems_are_known(void **state)
{
    bool is_fault = false;

    assert_non_null(cache_check_type(0x794c7630, &is_fault));
    assert_true(is_fault);
    assert_non_null(cache_check_type(NFS_SUPER_MAGIC, &is_fault));
    assert_true(is_fault);
    assert_non_null(cache_check_type((long)(int32_t)0xff534d42, &is_fault));
    assert_true(is_fault);
    assert_non_null(cache_check_type(TMPFS_MAGIC, &is_fault));
    assert_false(is_fault);
    assert_null(cache_check_type(EXT4_SUPER_MAGIC, &is_fault));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_sound_one_has_no_faults),
        IN_A_PLACE(who_else_may_write_is_a_problem),
        IN_A_PLACE(damage_is_counted),
        IN_A_PLACE(leftovers_are_old_and_belong_to_nothing),
        IN_A_PLACE(the_scrubber_is_told),
        IN_A_PLACE(links_are_not_followed),
        cmocka_unit_test(one_that_is_not_there),
        IN_A_PLACE(a_floor_that_is_reached),
        cmocka_unit_test(file_systems_are_known),
    };

    return cmocka_run_group_tests_name("cache_check", tests, NULL, NULL);
}
