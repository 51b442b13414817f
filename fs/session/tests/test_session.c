/* SPDX-License-Identifier: MIT */
/*
 * A real mount of a tree of three entries. Whoever looks at it is another process, made
 * before the session's threads: the daemon never opens a path inside its own mount.
 */
#include "fs/session/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/platform.h"
#include "tests/support/private_mounts.h"
#include "tests/support/unit.h"

#define NODE_FILE 2
#define NODE_LINK 3
#define CONTENT "hello from the session\n"

struct served {
    atomic_int lookups, reads, directories;
    struct session *session;
};

static struct session_attributes attributes_of(uint64_t node)
{
    struct session_attributes attributes = { .node = node, .link_count = 1, .mtime_s = 1000 };

    if (node == SESSION_ROOT) {
        attributes.kind = SESSION_DIRECTORY;
        attributes.mode = 0755;
        attributes.link_count = 2;
    } else if (node == NODE_FILE) {
        attributes.kind = SESSION_FILE;
        attributes.mode = 0640;
        attributes.size = strlen(CONTENT);
    } else {
        attributes.kind = SESSION_LINK;
        attributes.mode = 0777;
        attributes.size = 4;
    }
    return attributes;
}

static struct session_entry entry_of(uint64_t node)
{
    return (struct session_entry){ attributes_of(node), SESSION_FOREVER, SESSION_FOREVER };
}

static void lookup(void *context, struct session_request *request, uint64_t parent,
                   const char *name)
{
    struct served *served = context;
    struct session_entry entry = { .entry_s = 1 };

    atomic_fetch_add(&served->lookups, 1);
    if (strcmp(name, "file") == 0)
        entry = entry_of(NODE_FILE);
    else if (strcmp(name, "link") == 0)
        entry = entry_of(NODE_LINK);
    session_reply_entry(request, &entry);
}

static void attributes(void *context, struct session_request *request, uint64_t node)
{
    struct session_attributes found = attributes_of(node);

    session_reply_attributes(request, &found, SESSION_FOREVER);
}

static void read_link(void *context, struct session_request *request, uint64_t node)
{
    session_reply_link(request, "file");
}

static void read_file(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size)
{
    struct served *served = context;

    atomic_fetch_add(&served->reads, 1);
    session_reply_bytes(request, span_slice(span_text(CONTENT), offset, size));
}

static void directory(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size)
{
    static const char *const names[] = { "file", "link" };
    struct served *served = context;
    struct session_listing *listing = NULL;

    atomic_fetch_add(&served->directories, 1);
    assert_int_equal(session_listing_begin(request, size, &listing), 0);
    for (uint64_t i = offset; i < 2; i++) {
        struct session_entry entry = entry_of(NODE_FILE + i);
        if (!session_listing_add(listing, names[i], i + 1, &entry))
            break;
    }
    session_listing_reply(listing);
}

static void show_statfs(void *context, struct session_request *request)
{
    struct session_statfs statfs = { .bytes = 1 << 20, .files = 2 };

    session_reply_statfs(request, &statfs);
}

static const struct session_ops ops = {
    .lookup = lookup,
    .attributes = attributes,
    .link = read_link,
    .read = read_file,
    .directory = directory,
    .statfs = show_statfs,
};

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno)); \
            return 1;                                                                    \
        }                                                                                \
    } while (0)

static int look_around(const char *root)
{
    char path[300], bytes[100];
    struct stat stat_file;
    DIR *listing;
    int fd, count = 0;

    snprintf(path, sizeof(path), "%s/file", root);
    CHECK(stat(path, &stat_file) == 0);
    CHECK(stat_file.st_mode == (S_IFREG | 0640) && stat_file.st_ino == NODE_FILE);
    CHECK(stat_file.st_mtime == 1000 && stat_file.st_size == (off_t)strlen(CONTENT));
    for (int i = 0; i < 100; i++) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK(read(fd, bytes, sizeof(bytes)) == (ssize_t)strlen(CONTENT));
        CHECK(memcmp(bytes, CONTENT, strlen(CONTENT)) == 0);
        close(fd);
    }
    CHECK(open(path, O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK(unlink(path) < 0 && errno == EROFS);
    snprintf(path, sizeof(path), "%s/link", root);
    CHECK(readlink(path, bytes, sizeof(bytes)) == 4 && memcmp(bytes, "file", 4) == 0);
    snprintf(path, sizeof(path), "%s/absent", root);
    CHECK(stat(path, &stat_file) < 0 && errno == ENOENT);
    for (int i = 0; i < 100; i++) {
        struct dirent *entry;
        listing = opendir(root);
        CHECK(listing != NULL);
        while ((entry = readdir(listing)) != NULL)
            count += entry->d_name[0] != '.';
        closedir(listing);
    }
    CHECK(count == 200);
    return 0;
}

static int visitor(const char *root, int go_fd)
{
    char byte;
    int result;

    if (read(go_fd, &byte, 1) != 1)
        return 2;
    result = look_around(root);
    if (umount2(root, 0) < 0)
        return 3;
    return result;
}

static void a_mount_is_read_and_unmounted(void **state)
{
    char root[] = "/tmp/test-session-XXXXXX";
    struct session_options options = { .source = "a,b",
                                       .subtype = "kkartifact",
                                       .allow_other = true };
    struct served served = { 0 };
    struct error err = { 0 };
    int go[2], status, r;
    pid_t pid;

    assert_non_null(mkdtemp(root));
    assert_int_equal(pipe(go), 0);
    pid = fork();
    if (pid == 0)
        _exit(visitor(root, go[0]));
    r = session_mount(&served.session, root, &options, &ops, &served, &err);
    if (r < 0)
        fail_msg("%s", err.text);
    assert_true(session_device(served.session) != 0);
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(session_run(served.session, &err), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    session_close(served.session);
    close(go[0]);
    close(go[1]);
    assert_int_equal(rmdir(root), 0);
    /* What is cached is not asked again: one read, one or two listings, whatever the visitor
     * repeats. */
    assert_int_equal(served.reads, 1);
    assert_true(served.directories <= 2);
    assert_true(served.lookups <= 3);
}

static void *stopper(void *context)
{
    session_stop(context);
    return NULL;
}

static void a_stop_ends_it_with_nobody_asking(void **state)
{
    char root[] = "/tmp/test-session-XXXXXX";
    struct session_options options = { .source = "x", .subtype = "kkartifact", .thread_count = 3 };
    struct served served = { 0 };
    pthread_t thread;

    assert_non_null(mkdtemp(root));
    assert_int_equal(session_mount(&served.session, root, &options, &ops, &served, NULL), 0);
    assert_int_equal(platform_thread_start(&thread, stopper, served.session), 0);
    pthread_join(thread, NULL);
    assert_int_equal(session_run(served.session, NULL), 0);
    session_close(served.session);
    assert_int_equal(rmdir(root), 0); /* it is not mounted any more */
}

static void no_directory_to_mount_on(void **state)
{
    struct session_options options = { .source = "x", .subtype = "kkartifact" };
    struct session *session = NULL;
    struct error err = { 0 };

    assert_int_equal(session_mount(&session, "/nonexistent/place", &options, &ops, NULL, &err),
                     -ENOENT);
    assert_null(session);
    assert_non_null(strstr(err.text, "/nonexistent/place"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mount_is_read_and_unmounted),
        cmocka_unit_test(a_stop_ends_it_with_nobody_asking),
        cmocka_unit_test(no_directory_to_mount_on),
    };

    private_mounts_begin();
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
