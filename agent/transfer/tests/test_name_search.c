/* SPDX-License-Identifier: MIT */
#include "agent/transfer/name_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/codec/digest.h"
#include "tests/support/unit.h"

#define COUNT 20000u
#define NAME_SIZE 80

struct names {
    char text[COUNT][NAME_SIZE];
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Sorted names of a kind. */
static struct names *make(const char *kind)
{
    struct names *names = calloc(1, sizeof(*names));

    assert_non_null(names);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct digest digest = digest_of(&i, sizeof(i));
        char hex[DIGEST_HEX_SIZE];

        digest_hex(&digest, hex);
        if (strcmp(kind, "numbers") == 0)
            snprintf(names->text[i], NAME_SIZE, "file-%06u.txt", i * 3);
        else if (strcmp(kind, "digests") == 0)
            snprintf(names->text[i], NAME_SIZE, "%s", hex);
        else if (strcmp(kind, "crowded") == 0 && i < 5) /* the others are between two of these */
            snprintf(names->text[i], NAME_SIZE, "%u", i + 3);
        else if (strcmp(kind, "crowded") == 0)
            snprintf(names->text[i], NAME_SIZE, "5%.12s", hex);
        else
            snprintf(names->text[i], NAME_SIZE, "%.*s~%u", (int)(1 + i % 40), hex, i);
    }
    qsort(names->text, COUNT, NAME_SIZE, compare);
    return names;
}

/* Whether it is found, where it is; *out_looks: how many names were read. */
static bool find(const struct names *names, const char *name, unsigned *out_looks)
{
    struct name_search search = name_search_init(span_text(name), 0, COUNT);
    uint64_t place;

    *out_looks = 0;
    while (name_search_next(&search, &place)) {
        assert_true(place < COUNT);
        ++*out_looks;
        assert_true(*out_looks <= 3 * 16 + 2);
        if (name_search_tell(&search, span_text(names->text[place]))) {
            assert_string_equal(names->text[place], name);
            return true;
        }
    }
    return false;
}

static void what_is_there_is_found_and_what_is_not_is_not(void **state)
{
    static const char *const kinds[] = { "numbers", "digests", "crowded", "anything" };

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct names *names = make(kinds[k]);
        unsigned looks, all = 0;

        for (size_t i = 0; i < COUNT; i += 7) {
            char near[NAME_SIZE + 4];

            assert_true(find(names, names->text[i], &looks));
            all += looks;
            snprintf(near, sizeof(near), "%s!", names->text[i]);
            assert_false(find(names, near, &looks));
        }
        assert_true(find(names, names->text[COUNT - 1], &looks));
        assert_false(find(names, "", &looks));
        assert_false(find(names, "\xff\xff", &looks));
        /* Halving alone takes 13 to 15. */
        if (k < 2)
            assert_true(all / (COUNT / 7) < 13);
        free(names);
    }
}

static void among_none_nothing_is_found(void **state)
{
    struct name_search search = name_search_init(span_text("a"), 5, 5);
    uint64_t place;

    assert_false(name_search_next(&search, &place));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_found_and_what_is_not_is_not),
        cmocka_unit_test(among_none_nothing_is_found),
    };

    return cmocka_run_group_tests_name("name_search", tests, NULL, NULL);
}
