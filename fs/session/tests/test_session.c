/* SPDX-License-Identifier: MIT */
/*
 * A real mount of a tree of three entries. Whoever looks at it is another process, made
 * before the session's threads: the daemon never opens a path inside its own mount.
 */
#include "fs/session/session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/platform.h"
#include "fs/ring/ring.h"
#include "fs/session/kernel_backing.h"
#include "fs/session/kernel_mount.h"
#include "fs/session/mount_table.h"
#include "tests/support/private_mounts.h"
#include "tests/support/unit.h"

#define NODE_FILE 2
#define NODE_LINK 3
#define CONTENT "hello from the session\n"

struct served {
    atomic_int lookups, reads, directories;
    struct session *session;
    int told;            /* where a read that was taken is told of */
    uint64_t started_ms; /* what was asked before then */
    atomic_int owed;
    int fuse, backing;     /* opens: the connection, and a file that is read in the place of ours */
    uint64_t first_number; /* that a process before was given */
    atomic_int opens, releases, wrong;
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

/* Connections that outlive who answers them -------------------------------- */

struct kept {
    char root[32];
    uint8_t init[200];
    size_t init_size;
    int fd, ring_fd;
    uint64_t device;
};

static void begin_kept(struct kept *kept)
{
    memcpy(kept->root, "/tmp/test-session-XXXXXX", sizeof("/tmp/test-session-XXXXXX"));
    assert_non_null(mkdtemp(kept->root));
}

static void end_kept(struct kept *kept)
{
    close(kept->fd);
    close(kept->ring_fd);
    assert_int_equal(rmdir(kept->root), 0);
}

/* As a holder does it. */
static void keep(struct kept *kept)
{
    const struct kernel_mount_options options = { .source = "kept", .subtype = "kkartifact" };
    uint8_t first[65536];
    struct error err = { 0 };
    ssize_t size;

    kept->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    assert_true(kept->fd >= 0);
    if (kernel_mount(kept->fd, kept->root, &options, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(mount_table_device(kept->root, &kept->device, NULL), 0);
    size = read(kept->fd, first, sizeof(first));
    assert_true(size > 40 && (size_t)size <= sizeof(kept->init));
    memcpy(kept->init, first, (size_t)size);
    kept->init_size = (size_t)size;
    assert_int_equal(ring_create(&kept->ring_fd, NULL), 0);
}

static int adopt(const struct kept *kept, const struct session_ops *answers, bool without_resend,
                 struct served *served)
{
    struct session_options options = { .source = "kept",
                                       .subtype = "kkartifact",
                                       .opens = answers->open != NULL };
    struct session_connection connection = { .fd = kept->fd,
                                             .init = span_of(kept->init, kept->init_size),
                                             .device = kept->device,
                                             .without_resend = without_resend };
    int r = ring_open(kept->ring_fd, &connection.ring, NULL);

    if (r == 0)
        r = session_adopt(&served->session, kept->root, &connection, &options, answers, served,
                          NULL);
    if (r == 0)
        r = session_run(served->session, NULL);
    if (r == 0)
        session_close(served->session);
    ring_close(connection.ring);
    return r;
}

/* Takes a read, tells so, and never answers. */
static void take_read(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size)
{
    struct served *served = context;

    if (write(served->told, "t", 1) != 1)
        abort();
}

/* Asked of the process before, and so long ago. */
static void read_late(void *context, struct session_request *request, uint64_t node,
                      uint64_t offset, uint32_t size)
{
    struct served *served = context;

    if (session_request_asked_ms(request) < served->started_ms)
        atomic_fetch_add(&served->owed, 1);
    read_file(context, request, node, offset, size);
}

static const struct session_ops taking_ops = {
    .lookup = lookup, .attributes = attributes, .read = take_read, .statfs = show_statfs
};
static const struct session_ops late_ops = {
    .lookup = lookup, .attributes = attributes, .read = read_late, .statfs = show_statfs
};

static pid_t start_taker(const struct kept *kept, bool without_resend, int told)
{
    struct served served = { .told = told };
    pid_t pid = fork();

    if (pid == 0)
        _exit(adopt(kept, &taking_ops, without_resend, &served) == 0 ? 0 : 1);
    return pid;
}

static pid_t start_asker(const char *root, int go)
{
    char path[64], bytes[100], byte;
    pid_t pid = fork();
    int fd;

    if (pid != 0)
        return pid;
    snprintf(path, sizeof(path), "%s/file", root);
    if (read(go, &byte, 1) != 1)
        _exit(2);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, bytes, sizeof(bytes)) != (ssize_t)strlen(CONTENT) ||
        memcmp(bytes, CONTENT, strlen(CONTENT)) != 0)
        _exit(3);
    close(fd);
    _exit(umount2(root, 0) == 0 ? 0 : 4);
}

/* Two that die with the same request in hand, and one that answers it. */
static void what_is_owed_is_answered(bool without_resend)
{
    struct kept kept;
    struct served served = { 0 };
    int go[2], told[2], status;
    pid_t asker, taker;
    char byte;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(told), 0);
    begin_kept(&kept);
    asker = start_asker(kept.root, go[0]);
    keep(&kept);
    assert_int_equal(write(go[1], "x", 1), 1);
    for (int death = 0; death < 2; death++) {
        taker = start_taker(&kept, without_resend, told[1]);
        assert_int_equal(read(told[0], &byte, 1), 1);
        kill(taker, SIGKILL);
        assert_int_equal(waitpid(taker, &status, 0), taker);
    }
    served.started_ms = clock_monotonic_ms() + 1;
    while (clock_monotonic_ms() < served.started_ms)
        continue;
    assert_int_equal(adopt(&kept, &late_ops, without_resend, &served), 0);
    assert_int_equal(waitpid(asker, &status, 0), asker);
    assert_int_equal(status, 0);
    assert_true(served.owed >= 1);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(told[i]);
    }
    end_kept(&kept);
}

static void the_kernel_sends_again_what_is_owed(void **state)
{
    what_is_owed_is_answered(false);
}

static void the_ring_has_what_is_owed(void **state)
{
    what_is_owed_is_answered(true);
}

/* Opens, where the kernel asks --------------------------------------------- */

#define BACKED "out of the backing file"
_Static_assert(sizeof(BACKED) == sizeof(CONTENT), "the kernel has told of one size");
#define HANDLE(open) (((uint64_t)7 << 40) + (uint64_t)(open))

/* Only who is root of the whole system may register a backing file. */
static bool was_root;

/* The first one by the page cache, the others by a backing file. */
static void open_file(void *context, struct session_request *request, uint64_t node)
{
    struct served *served = context;
    int before = atomic_fetch_add(&served->opens, 1);
    uint32_t id = 0;

    if (session_request_number(request) == 0 || session_request_is_repeated(request) ||
        node != NODE_FILE ||
        (before == 1 && was_root && kernel_backing_open(served->fuse, served->backing, &id) < 0))
        atomic_fetch_add(&served->wrong, 1);
    if (!session_reply_open(request, HANDLE(before), id))
        atomic_fetch_add(&served->wrong, 1);
}

static void release_file(void *context, uint64_t node, uint64_t handle)
{
    struct served *served = context;
    int before = atomic_fetch_add(&served->releases, 1);

    if (node != NODE_FILE || handle != HANDLE(before))
        atomic_fetch_add(&served->wrong, 1);
}

static const struct session_ops opening_ops = { .lookup = lookup,
                                                .attributes = attributes,
                                                .read = read_file,
                                                .directory = directory,
                                                .statfs = show_statfs,
                                                .open = open_file,
                                                .release = release_file };

static int open_and_read(const char *path, const char *wanted)
{
    char bytes[100];
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(read(fd, bytes, sizeof(bytes)) == (ssize_t)strlen(wanted));
    CHECK(memcmp(bytes, wanted, strlen(wanted)) == 0);
    CHECK(close(fd) == 0);
    return 0;
}

static _Noreturn void visit_opened(const char *root, int go)
{
    char path[64], byte;
    DIR *listing;
    int result;

    snprintf(path, sizeof(path), "%s/file", root);
    if (read(go, &byte, 1) != 1)
        _exit(2);
    result = open_and_read(path, CONTENT);
    if (result == 0)
        result = open_and_read(path, was_root ? BACKED : CONTENT);
    listing = opendir(root); /* is not asked */
    if (listing == NULL || readdir(listing) == NULL)
        result = 3;
    if (listing != NULL)
        closedir(listing);
    /* With whatever is still open there: the other side would wait for ever. */
    _exit(umount2(root, MNT_DETACH) < 0 ? 4 : result);
}

static void opens_and_releases_are_told(void **state)
{
    char name[] = "/tmp/test-session-XXXXXX";
    struct served served = { 0 };
    struct kept kept;
    int go[2], status, writable = mkstemp(name);
    pid_t pid;

    assert_int_equal(write(writable, BACKED, strlen(BACKED)), strlen(BACKED));
    close(writable);
    served.backing = open(name, O_RDONLY | O_CLOEXEC);
    unlink(name);
    assert_int_equal(pipe(go), 0);
    begin_kept(&kept);
    pid = fork();
    if (pid == 0)
        visit_opened(kept.root, go[0]);
    keep(&kept);
    assert_true(kernel_backing_is_offered(span_of(kept.init, kept.init_size)));
    served.fuse = kept.fd;
    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(adopt(&kept, &opening_ops, false, &served), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(served.wrong, 0);
    assert_int_equal(served.opens, 2);
    assert_int_equal(served.releases, 2);
    assert_int_equal(served.reads, 1); /* the backing file was read by the kernel alone */
    close(served.backing);
    close(go[0]);
    close(go[1]);
    end_kept(&kept);
}

/* Takes an open, tells its number, and never answers. */
static void take_open(void *context, struct session_request *request, uint64_t node)
{
    struct served *served = context;
    uint64_t number = session_request_number(request);

    if (write(served->told, &number, sizeof(number)) != (ssize_t)sizeof(number))
        abort();
}

static void open_again(void *context, struct session_request *request, uint64_t node)
{
    struct served *served = context;

    if (!session_request_is_repeated(request) ||
        session_request_number(request) != served->first_number)
        atomic_fetch_add(&served->wrong, 1);
    atomic_fetch_add(&served->opens, 1);
    session_reply_open(request, HANDLE(0), 0);
}

static const struct session_ops open_taking_ops = { .lookup = lookup,
                                                    .attributes = attributes,
                                                    .statfs = show_statfs,
                                                    .open = take_open,
                                                    .release = release_file };
static const struct session_ops open_again_ops = { .lookup = lookup,
                                                   .attributes = attributes,
                                                   .read = read_file,
                                                   .statfs = show_statfs,
                                                   .open = open_again,
                                                   .release = release_file };

static void an_open_is_known_again(bool without_resend)
{
    struct served served = { 0 }, taking = { 0 };
    struct kept kept;
    int go[2], told[2], status;
    pid_t asker, taker;

    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(told), 0);
    begin_kept(&kept);
    asker = start_asker(kept.root, go[0]);
    keep(&kept);
    assert_int_equal(write(go[1], "x", 1), 1);
    taking.told = told[1];
    taker = fork();
    if (taker == 0)
        _exit(adopt(&kept, &open_taking_ops, without_resend, &taking) == 0 ? 0 : 1);
    assert_int_equal(read(told[0], &served.first_number, sizeof(served.first_number)),
                     sizeof(served.first_number));
    assert_true(served.first_number != 0);
    kill(taker, SIGKILL);
    assert_int_equal(waitpid(taker, &status, 0), taker);
    assert_int_equal(adopt(&kept, &open_again_ops, without_resend, &served), 0);
    assert_int_equal(waitpid(asker, &status, 0), asker);
    assert_int_equal(status, 0);
    assert_int_equal(served.opens, 1);
    assert_int_equal(served.wrong, 0);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(told[i]);
    }
    end_kept(&kept);
}

static void an_open_that_is_sent_again_is_known(void **state)
{
    an_open_is_known_again(false);
}

static void an_open_out_of_the_ring_is_known(void **state)
{
    an_open_is_known_again(true);
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
        cmocka_unit_test(the_kernel_sends_again_what_is_owed),
        cmocka_unit_test(the_ring_has_what_is_owed),
        cmocka_unit_test(opens_and_releases_are_told),
        cmocka_unit_test(an_open_that_is_sent_again_is_known),
        cmocka_unit_test(an_open_out_of_the_ring_is_known),
        cmocka_unit_test(no_directory_to_mount_on),
    };

    was_root = geteuid() == 0;
    private_mounts_begin();
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
