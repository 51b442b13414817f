/* SPDX-License-Identifier: MIT */
#include "agent/transfer/local_names.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"
#include "tests/support/unit.h"

#define BOTH (1u << LOCAL_MACOS | 1u << LOCAL_WINDOWS)
#define WINDOWS (1u << LOCAL_WINDOWS)

static void names_alone(void **state)
{
    static const struct {
        const char *name;
        unsigned faulty; /* bits of systems that cannot hold it */
    } cases[] = {
        { "a", 0 },
        { "a b", 0 },
        { ".hidden", 0 },
        { "caf\xc3\xa9", 0 },
        { "\xf0\x9f\x98\x80", 0 },
        { "console", 0 },
        { "com", 0 },
        { "comx", 0 },
        { "com10", 0 },
        { "com1x", 0 },
        { "a.con", 0 },
        { "auxiliary.c", 0 },
        { "\xff", BOTH },
        { "a\xc3", BOTH },
        { "\xed\xa0\x80", BOTH },
        { "a\\b", WINDOWS },
        { "a:b", WINDOWS },
        { "<", WINDOWS },
        { ">", WINDOWS },
        { "|", WINDOWS },
        { "a?", WINDOWS },
        { "*", WINDOWS },
        { "\"", WINDOWS },
        { "a\nb", WINDOWS },
        { "\x01", WINDOWS },
        { "\x1f", WINDOWS },
        { "\x7f", 0 },
        { "a.", WINDOWS },
        { "a ", WINDOWS },
        { "...", WINDOWS },
        { "CON", WINDOWS },
        { "con", WINDOWS },
        { "Prn.txt", WINDOWS },
        { "aux.a.b", WINDOWS },
        { "NUL", WINDOWS },
        { "nul .txt", WINDOWS },
        { "COM1", WINDOWS },
        { "com9.log", WINDOWS },
        { "LPT1", WINDOWS },
        { "lpt\xc2\xb9", WINDOWS },
        { "CONIN$", WINDOWS },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned system = LOCAL_LINUX; system <= LOCAL_WINDOWS; system++) {
            const char *why = local_name_fault((enum local_system)system, span_text(cases[i].name));
            if ((why != NULL) != ((cases[i].faulty & 1u << system) != 0))
                fail_msg("\"%s\" on %u: %s", cases[i].name, system, why != NULL ? why : "fine");
        }
    }
}

static void long_names(void **state)
{
    char name[256];

    memset(name, 'x', 255);
    name[255] = '\0';
    assert_null(local_name_fault(LOCAL_WINDOWS, span_text(name)));
    for (size_t i = 0; i < 255; i += 3)
        memcpy(name + i, "\xe6\x97\xa5", 3);
    assert_null(local_name_fault(LOCAL_WINDOWS, span_text(name)));
    assert_null(local_name_fault(LOCAL_MACOS, span_text(name)));
}

struct told {
    struct buf text;
};

static void tell(void *context, struct span path, const char *why, struct span other)
{
    struct told *told = context;

    buf_add_span(&told->text, path);
    if (other.size > 0) {
        buf_add_byte(&told->text, '=');
        buf_add_span(&told->text, other);
    }
    buf_add_byte(&told->text, ' ');
}

static int no_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                     struct error *err)
{
    return -EINVAL;
}

/* The image of a tree of directories alone; paths in the order of listings, NULL at the end. */
static void make_tree(const char *const *paths, struct buf *out)
{
    static const char listing_head[] = "kkartifact-listing-1", times_head[] = "kkartifact-times-1";
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf times = buf_init(BUF_UNLIMITED);
    struct digest verity;
    uint64_t size;

    buf_add(&listing, listing_head, sizeof(listing_head));
    buf_add(&times, times_head, sizeof(times_head));
    for (; *paths != NULL; paths++) {
        buf_format(&listing, "d 0755 %s", *paths);
        buf_add_byte(&listing, 0);
        buf_add_u64(&times, 0);
    }
    assert_int_equal(tree_build(buf_span(&listing), buf_span(&times), no_verity, NULL,
                                sink_to_buf(out), &verity, &size, NULL),
                     0);
}

static void assert_told(const char *const *paths, enum local_system system, bool folds_case,
                        const char *expected)
{
    cleanup(buf_release) struct buf image = buf_init(BUF_UNLIMITED);
    struct told told = { buf_init(4096) };
    struct local_names_options options = {
        .system = system, .folds_case = folds_case, .report = tell, .context = &told
    };
    struct tree tree;
    uint64_t count = 0, words = 0;

    assert_non_null(buf_reserve(&told.text, 4000)); /* so that only what is tested allocates */
    make_tree(paths, &image);
    assert_int_equal(tree_open(buf_span(&image), &tree, NULL), 0);
    assert_survives_no_memory(
        (buf_clear(&told.text), local_names_check(&tree, &options, &count, NULL)));
    assert_string_equal(buf_text(&told.text), expected);
    for (const char *c = expected; *c != '\0'; c++)
        words += *c == ' ';
    assert_int_equal(count, words);
    buf_release(&told.text);
}

static void names_together(void **state)
{
    static const char *const cased[] = { "A", "a", "b", "b/A", "b/B", "b/a", "c", NULL };
    static const char *const composed[] = { "cafe\xcc\x81", "caf\xc3\xa9", NULL };
    static const char *const apart[] = { "A", "A/x", "B", "B/X", NULL };

    assert_told(cased, LOCAL_LINUX, false, "");
    assert_told(cased, LOCAL_LINUX, true, "a=A b/a=b/A ");
    assert_told(cased, LOCAL_MACOS, false, "");
    assert_told(cased, LOCAL_MACOS, true, "a=A b/a=b/A ");
    assert_told(cased, LOCAL_WINDOWS, true, "a=A b/a=b/A ");
    assert_told(composed, LOCAL_LINUX, true, "");
    assert_told(composed, LOCAL_MACOS, false, "caf\xc3\xa9=cafe\xcc\x81 ");
    assert_told(composed, LOCAL_WINDOWS, true, "caf\xc3\xa9=cafe\xcc\x81 ");
    assert_told(apart, LOCAL_WINDOWS, true, "");
}

static void names_of_ours(void **state)
{
    static const char *const paths[] = { ".KKARTIFACT", ".kkArtifact.yml", "KKARTI~1",
                                         "a",           "a/.Kkartifact",   NULL };

    assert_told(paths, LOCAL_LINUX, false, "");
    assert_told(paths, LOCAL_MACOS, false, "");
    assert_told(paths, LOCAL_MACOS, true, ".KKARTIFACT .kkArtifact.yml ");
    assert_told(paths, LOCAL_WINDOWS, true, ".KKARTIFACT .kkArtifact.yml KKARTI~1 ");
}

static void other_spellings(void **state)
{
    static const char *const paths[] = { "Sub", "Sub/caf\xc3\xa9", "other", NULL };
    cleanup(buf_release) struct buf image = buf_init(BUF_UNLIMITED);
    struct tree tree;

    make_tree(paths, &image);
    assert_int_equal(tree_open(buf_span(&image), &tree, NULL), 0);
    assert_true(local_names_has(&tree, LOCAL_LINUX, false, span_text("Sub/caf\xc3\xa9")));
    assert_false(local_names_has(&tree, LOCAL_LINUX, false, span_text("sub")));
    assert_true(local_names_has(&tree, LOCAL_LINUX, true, span_text("sub/CAF\xc3\x89")));
    assert_false(local_names_has(&tree, LOCAL_LINUX, true, span_text("sub/cafe\xcc\x81")));
    assert_true(local_names_has(&tree, LOCAL_MACOS, false, span_text("Sub/cafe\xcc\x81")));
    assert_false(local_names_has(&tree, LOCAL_MACOS, false, span_text("sub")));
    assert_true(local_names_has(&tree, LOCAL_WINDOWS, true, span_text("SUB/CAFE\xcc\x81")));
    assert_false(local_names_has(&tree, LOCAL_WINDOWS, true, span_text("sub/caf")));
    assert_false(local_names_has(&tree, LOCAL_WINDOWS, true, span_text("sub/caf\xc3\xa9/x")));
}

static void faults_in_a_tree(void **state)
{
    static const char *const paths[] = { "a:b", "a:b/c", "nul", "ok", "ok/a*", NULL };

    assert_told(paths, LOCAL_MACOS, true, "");
    assert_told(paths, LOCAL_WINDOWS, true, "a:b nul ok/a* ");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_alone),      cmocka_unit_test(long_names),
        cmocka_unit_test(names_together),   cmocka_unit_test(names_of_ours),
        cmocka_unit_test(faults_in_a_tree), cmocka_unit_test(other_spellings),
    };

    return cmocka_run_group_tests_name("local_names", tests, NULL, NULL);
}
