/* SPDX-License-Identifier: MIT */
#include "agent/transfer/scan.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support/place.h"
#include "agent/transfer/pattern.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"

CLEANUP_DEFINE(scan, scan_free);

static void hash_text(void *context, struct scan_entry *entry)
{
    entry->sha256 = *(struct digest *)context; /* every file of these tests holds "hello" */
}

static char warned[256]; /* the last warning */

static void keep_warning(void *context, const char *text)
{
    snprintf(warned, sizeof(warned), "%s", text);
}

static int run(struct place *place, const struct pattern_list *ignore, enum scan_links links,
               struct scan **out, struct error *err)
{
    struct transfer transfer = { .warn = keep_warning };
    struct digest hello = digest_of("hello", 5);
    struct scan_options options = { .transfer = &transfer,
                                    .root = place->at,
                                    .ignore = ignore,
                                    .links = links,
                                    .on_unknown = hash_text,
                                    .context = &hello };

    struct scan *scan = NULL;
    int r = scan_new(&scan, err);

    if (r == 0)
        r = scan_run(scan, &options, err);
    if (r < 0)
        scan_free(scan);
    else
        *out = scan;
    return r;
}

/* The vector of the formats' page: its content is published. */
static void make_vector(struct place *place)
{
    place_put(place, "a/b", "hello");
    place_put(place, "a-b", "");
    place_put(place, "n\nl", "hello");
    assert_int_equal(directory_set_mode(place->at, "a", 0755, NULL), 0);
    assert_int_equal(directory_set_mode(place->at, "a-b", 0755, NULL), 0);
    assert_int_equal(directory_make_link(place->at, "../a-b", "a/l", NULL), 0);
}

static void the_published_vector(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_scan) struct scan *scan = NULL;
    struct listing_totals totals;
    char hex[DIGEST_HEX_SIZE];
    uint64_t size = 0;

    make_vector(place);
    assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL), 0);
    assert_int_equal(scan_count(scan), 5);
    scan_entry_at(scan, 3)->sha256 = digest_of("", 0); /* a-b */
    assert_int_equal(scan_write_listing(scan, sink_to_counter(&size), &totals, NULL), 0);
    digest_hex(&totals.content, hex);
    assert_string_equal(hex, "59b70a67ee19d6c1dc5b623ea2ad961d83798c9950d60058626132d02b09fbd8");
}

static void equal_files_count_once(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_scan) struct scan *scan = NULL;
    uint64_t bytes = 0;

    place_put(place, "a", "hello");
    place_put(place, "d/again", "hello");
    place_put(place, "z", "other bytes");
    assert_int_equal(directory_make_link(place->at, "a", "link", NULL), 0);
    assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL), 0);
    for (size_t i = 0; i < scan_count(scan); i++) {
        struct scan_entry *entry = scan_entry_at(scan, i);
        if (entry->kind == ENTRY_FILE)
            entry->sha256 = digest_of(&entry->size, sizeof(entry->size)); /* sizes tell them here */
    }
    assert_int_equal(scan_distinct_bytes(scan, NULL, &bytes, NULL), 0);
    assert_int_equal(bytes, strlen("hello") + strlen("other bytes"));
}

static void patterns_and_our_own_names_are_left_out(void **state)
{
    struct place *place = *state;
    cleanup(pattern_list_release) struct pattern_list ignore = pattern_list_init();
    cleanup(cleanup_scan) struct scan *scan = NULL;

    place_put(place, ".kkartifact/x", "hello");
    place_put(place, ".kkartifact.yml", "hello");
    place_put(place, "sub/.kkartifact.yml", "hello");
    place_put(place, "sub/x.o", "hello");
    assert_int_equal(pattern_list_add(&ignore, "*.o", NULL), 0);
    assert_int_equal(run(place, &ignore, SCAN_LINKS_KEEP, &scan, NULL), 0);
    assert_int_equal(scan_count(scan), 2);
    assert_string_equal(scan_entry_at(scan, 1)->path, "sub/.kkartifact.yml");
}

static void dropped_bits_are_told(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    static const mode_t modes[] = { 04755, 02755, 01755, 04700, 06755 };
    static const char said[] = "setuid, setgid and sticky bits are not kept: ";
    struct place *place = *state;
    char path[512];

    for (size_t i = 0; i < 5; i++) {
        cleanup(cleanup_scan) struct scan *scan = NULL;
        warned[0] = '\0';
        assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL), 0);
        if (i == 0)
            assert_string_equal(warned, "");
        else
            assert_memory_equal(warned, said, strlen(said));
        if (i == 2)
            assert_string_equal(warned + strlen(said), "a becomes 0755, b becomes 0755");
        place_put(place, names[i], "hello");
        snprintf(path, sizeof(path), "%s/%s", place->path, names[i]);
        assert_int_equal(chmod(path, modes[i]), 0);
    }
    cleanup(cleanup_scan) struct scan *scan = NULL;
    assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL), 0);
    assert_string_equal(warned + strlen(said),
                        "a becomes 0755, b becomes 0755, c becomes 0755 and 2 more");
    memset(path, 'A', 200); /* before "a" */
    path[200] = '\0';
    place_put(place, path, "hello");
    assert_int_equal(directory_set_mode(place->at, path, 04755, NULL), 0);
    scan = scan_free(scan);
    assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL), 0);
    assert_non_null(strstr(warned, "A becomes 0755 and 5 more"));
}

static void links_and_special_files(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_scan) struct scan *scan = NULL;
    struct scan *none = NULL;
    struct error err;

    assert_int_equal(directory_make_link(place->at, "x", "link", NULL), 0);
    assert_int_equal(run(place, NULL, SCAN_LINKS_SKIP, &scan, NULL), 0);
    assert_int_equal(scan_count(scan), 0);
    assert_int_equal(run(place, NULL, SCAN_LINKS_REFUSE, &none, &err), -EINVAL);
    assert_non_null(strstr(err.text, "link"));
    assert_int_equal(mkfifoat(directory_fd(place->at), "fifo", 0600), 0);
    assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &none, &err), -EINVAL);
    assert_non_null(strstr(err.text, "fifo"));
    assert_null(none);
}

static void directories_that_change_are_seen(void **state)
{
    struct place *place = *state;
    cleanup(cleanup_scan) struct scan *scan = NULL;
    const char *path = NULL;

    place_put(place, "d/e/f", "hello");
    assert_int_equal(directory_set_mtime(place->at, "d/e", 7, NULL), 0);
    assert_int_equal(run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL), 0);
    assert_int_equal(scan_check_directories(scan, place->at, &path, NULL), 0);
    place_put(place, "d/e/g", "hello");
    assert_int_equal(scan_check_directories(scan, place->at, &path, NULL), 1);
    assert_string_equal(path, "d/e");
    place_put(place, "top", "hello");
    assert_int_equal(scan_check_directories(scan, place->at, &path, NULL), 1);
    assert_string_equal(path, ".");
}

static void stopping(void **state)
{
    struct place *place = *state;
    atomic_bool stop = true;
    struct transfer transfer = { .stop = &stop };
    struct scan_options options = { .transfer = &transfer, .root = place->at };
    cleanup(cleanup_scan) struct scan *scan = NULL;

    place_put(place, "f", "hello");
    assert_int_equal(scan_new(&scan, NULL), 0);
    assert_int_equal(scan_run(scan, &options, NULL), -ECANCELED);
}

static int run_once(struct place *place)
{
    cleanup(cleanup_scan) struct scan *scan = NULL;

    return run(place, NULL, SCAN_LINKS_KEEP, &scan, NULL);
}

static void no_memory(void **state)
{
    struct place *place = *state;

    make_vector(place);
    assert_survives_no_memory(run_once(place));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(the_published_vector),
        IN_A_PLACE(equal_files_count_once),
        IN_A_PLACE(patterns_and_our_own_names_are_left_out),
        IN_A_PLACE(dropped_bits_are_told),
        IN_A_PLACE(links_and_special_files),
        IN_A_PLACE(directories_that_change_are_seen),
        IN_A_PLACE(stopping),
        IN_A_PLACE(no_memory),
    };

    return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
