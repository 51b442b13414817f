/* SPDX-License-Identifier: MIT */
#include "common/client/known_versions.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

static struct known_version fact_of(const char *content, const char *tree)
{
    return (struct known_version){ .content = digest_of(content, strlen(content)),
                                   .tree = digest_of(tree, strlen(tree)),
                                   .tree_size = 8192,
                                   .file_count = 3,
                                   .bytes = 99,
                                   .seen_at_s = 5 };
}

static struct known_versions *open_at(const char *folder, const char *store, const char *scope)
{
    struct known_versions *known = NULL;

    assert_int_equal(known_versions_open(folder, store, scope, &known, NULL), 0);
    return known;
}

static void other_content_is_never_taken(void **state)
{
    char *folder = temporary_new();
    struct known_versions *known = open_at(folder, "store-a", "scope");
    struct known_version first = fact_of("c1", "t1"), other = fact_of("c2", "t1"), got;
    struct known_version moved = fact_of("c1", "t2");

    for (int round = 0; round < 2; round++) {
        assert_int_equal(known_versions_check(known, "p", "a", "v", &first, NULL), 0);
        assert_int_equal(known_versions_check(known, "p", "a", "v", &other, NULL), -EBADMSG);
        assert_int_equal(known_versions_replace_tree(known, "p", "a", "v", &other, NULL), -EBADMSG);
        assert_int_equal(known_versions_check(known, "p", "a", "v", &moved, NULL),
                         KNOWN_OTHER_TREE);
        assert_int_equal(known_versions_get(known, "p", "a", "v", &got, NULL), 0);
        assert_true(digest_equal(&got.tree, &first.tree));
        assert_int_equal(known_versions_get(known, "p", "a", "w", &got, NULL), -ENOENT);
        assert_true(known_versions_is_durable(known));
        known_versions_close(known);
        known = open_at(folder, "store-a", "scope");
    }
    /* checked: the new tree stays, also over a restart */
    assert_int_equal(known_versions_replace_tree(known, "p", "a", "v", &moved, NULL), 0);
    known_versions_close(known);
    known = open_at(folder, "store-a", "scope");
    assert_int_equal(known_versions_get(known, "p", "a", "v", &got, NULL), 0);
    assert_true(digest_equal(&got.tree, &moved.tree));
    assert_int_equal(got.bytes, 99);
    assert_int_equal(got.seen_at_s, 5);
    known_versions_close(known);
    temporary_remove(folder);
}

static void stores_and_scopes_are_apart(void **state)
{
    char *folder = temporary_new();
    struct known_versions *a = open_at(folder, "store-a", "scope"),
                          *b = open_at(folder, "store-b", "scope"),
                          *c = open_at(folder, "store-a", "other");
    struct known_version fact = fact_of("c1", "t1"), other = fact_of("c2", "t2"), got;

    assert_int_equal(known_versions_check(a, "p", "a", "v", &fact, NULL), 0);
    assert_int_equal(known_versions_get(b, "p", "a", "v", &got, NULL), -ENOENT);
    assert_int_equal(known_versions_get(c, "p", "a", "v", &got, NULL), -ENOENT);
    assert_int_equal(known_versions_check(b, "p", "a", "v", &other, NULL), 0);
    known_versions_close(a);
    known_versions_close(b);
    known_versions_close(c);
    temporary_remove(folder);
}

static char *only_file(const char *folder)
{
    static char path[512];
    char command[256];
    FILE *list;

    (void)snprintf(command, sizeof(command), "ls -d %s/versions-*", folder);
    list = popen(command, "r");
    assert_non_null(fgets(path, sizeof(path), list));
    pclose(list);
    path[strlen(path) - 1] = '\0';
    return path;
}

static void damage_costs_only_its_line(void **state)
{
    char *folder = temporary_new();
    struct known_versions *known = open_at(folder, "s", "t");
    struct known_version fact = fact_of("c1", "t1"), got;
    char name[16];
    struct buf content = buf_init(1 << 20);
    const char *path;

    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "v%d", i);
        assert_int_equal(known_versions_check(known, "p", "a", name, &fact, NULL), 0);
    }
    known_versions_close(known);
    path = only_file(folder);
    assert_int_equal(file_load(path, &content, NULL), 0);
    content.bytes[content.size / 2] ^= 1; /* a bit of one line */
    content.size -= 10;                   /* the last one torn */
    assert_int_equal(file_save(path, buf_span(&content), 0600, NULL), 0);
    known = open_at(folder, "s", "t");
    int found = 0;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "v%d", i);
        found += known_versions_get(known, "p", "a", name, &got, NULL) == 0;
    }
    assert_int_equal(found, 18);
    /* what is added behind the torn line is whole */
    assert_int_equal(known_versions_check(known, "p", "a", "v19", &fact, NULL), 0);
    known_versions_close(known);
    known = open_at(folder, "s", "t");
    assert_int_equal(known_versions_get(known, "p", "a", "v19", &got, NULL), 0);
    known_versions_close(known);
    buf_release(&content);
    temporary_remove(folder);
}

static void processes_share_the_file(void **state)
{
    char *folder = temporary_new();
    struct known_version fact = fact_of("c1", "t1"), got;
    struct known_versions *known = open_at(folder, "s", "t");
    pid_t pids[4];
    char name[32];

    for (int p = 0; p < 4; p++) {
        pids[p] = fork();
        if (pids[p] == 0) {
            struct known_versions *own = NULL;
            int r = known_versions_open(folder, "s", "t", &own, NULL);

            for (int i = 0; i < 200 && r == 0; i++) {
                (void)snprintf(name, sizeof(name), "v%d-%d", p, i);
                r = known_versions_check(own, "p", "a", name, &fact, NULL);
            }
            _exit(r == 0 ? 0 : 1);
        }
    }
    for (int p = 0; p < 4; p++) {
        int status;
        assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(known_versions_get(known, "p", "a", "v0-0", &got, NULL), -ENOENT);
    assert_int_equal(known_versions_reload(known, NULL), 0);
    for (int p = 0; p < 4; p++) {
        for (int i = 0; i < 200; i++) {
            (void)snprintf(name, sizeof(name), "v%d-%d", p, i);
            assert_int_equal(known_versions_get(known, "p", "a", name, &got, NULL), 0);
        }
    }
    known_versions_close(known);
    temporary_remove(folder);
}

static void servers_lead_to_stores(void **state)
{
    char *folder = temporary_new();
    char store[64];

    assert_int_equal(known_store_get(folder, "https://a", "t", store, NULL), -ENOENT);
    assert_int_equal(known_store_set(folder, "https://a", "t", "one", NULL), 0);
    assert_int_equal(known_store_set(folder, "https://a", "t", "one", NULL), 0);
    assert_int_equal(known_store_get(folder, "https://a", "t", store, NULL), 0);
    assert_string_equal(store, "one");
    assert_int_equal(known_store_get(folder, "https://a", "u", store, NULL), -ENOENT);
    assert_int_equal(known_store_set(folder, "https://a", "t", "two", NULL), 0);
    assert_int_equal(known_store_get(folder, "https://a", "t", store, NULL), 0);
    assert_string_equal(store, "two");
    assert_int_equal(known_store_set(folder, "https://a", "t", "a b", NULL), -EINVAL);
    temporary_remove(folder);
}

static int count_one(void *context, const char *project, const char *app, const char *version,
                     const struct known_version *fact, struct error *err)
{
    assert_string_equal(project, "p");
    assert_string_equal(app, "a.b");
    assert_int_equal(version[0], 'v');
    ++*(int *)context;
    return 0;
}

static void all_facts_are_listed(void **state)
{
    char *folder = temporary_new();
    struct known_versions *known = open_at(folder, "s", "t");
    struct known_version fact = fact_of("c1", "t1");
    int count = 0;

    assert_int_equal(known_versions_check(known, "p", "a.b", "v1", &fact, NULL), 0);
    assert_int_equal(known_versions_check(known, "p", "a.b", "v2", &fact, NULL), 0);
    assert_int_equal(known_versions_list(known, count_one, &count, NULL), 0);
    assert_int_equal(count, 2);
    known_versions_close(known);
    temporary_remove(folder);
}

static void a_place_that_cannot_be_written_is_no_failure(void **state)
{
    struct known_versions *known = NULL;
    struct known_version fact = fact_of("c1", "t1"), other = fact_of("c2", "t1");

    assert_int_equal(known_versions_open("/proc/kkartifact-no-such-place", "s", "t", &known, NULL),
                     0);
    assert_int_equal(known_versions_check(known, "p", "a", "v", &fact, NULL), 0);
    assert_false(known_versions_is_durable(known));
    assert_int_equal(known_versions_check(known, "p", "a", "v", &other, NULL), -EBADMSG);
    known_versions_close(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_content_is_never_taken),
        cmocka_unit_test(stores_and_scopes_are_apart),
        cmocka_unit_test(damage_costs_only_its_line),
        cmocka_unit_test(processes_share_the_file),
        cmocka_unit_test(servers_lead_to_stores),
        cmocka_unit_test(all_facts_are_listed),
        cmocka_unit_test(a_place_that_cannot_be_written_is_no_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
