/* SPDX-License-Identifier: MIT */
/* With a real connection, whose kernel has the last word; nobody looks at its mount. */
#include "fs/holder/holder_backing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "fs/holder/message.h"
#include "fs/ring/ring.h"
#include "fs/session/kernel_backing.h"
#include "fs/session/kernel_mount.h"
#include "fs/session/mount_table.h"
#include "fs/session/session.h"
#include "tests/support/private_mounts.h"
#include "tests/support/unit.h"

struct rig {
    char root[32], cache[32], path[64];
    int ring_fd, worker; /* its end of the socket */
    struct ring *ring;
    struct session *session;
    uint8_t init[4096];
    size_t init_size;
    struct holder_backing_place place;
    struct holder_backing backing;
};

/* Named, never called: nobody asks. */
static const struct session_ops no_ops = { .lookup = NULL };

static void negotiate(struct rig *rig)
{
    const struct session_options options = { .source = "x",
                                             .subtype = "kkartifact",
                                             .opens = true };
    struct session_connection connection = { .fd = rig->place.fuse,
                                             .init = span_of(rig->init, rig->init_size) };
    struct error err = { 0 };

    assert_int_equal(mount_table_device(rig->root, &connection.device, NULL), 0);
    assert_int_equal(ring_create(&rig->ring_fd, NULL), 0);
    assert_int_equal(ring_open(rig->ring_fd, &rig->ring, NULL), 0);
    connection.ring = rig->ring;
    if (session_adopt(&rig->session, rig->root, &connection, &options, &no_ops, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    const struct kernel_mount_options options = { .source = "x", .subtype = "kkartifact" };
    struct rig *rig = memory_new(sizeof(*rig));
    static uint8_t first[65536];
    ssize_t size;
    int ends[2];

    if (rig == NULL)
        return -1;
    memcpy(rig->root, "/tmp/test-backing-XXXXXX", sizeof("/tmp/test-backing-XXXXXX"));
    memcpy(rig->cache, "/tmp/test-cached-XXXXXX", sizeof("/tmp/test-cached-XXXXXX"));
    assert_non_null(mkdtemp(rig->root));
    assert_non_null(mkdtemp(rig->cache));
    (void)snprintf(rig->path, sizeof(rig->path), "%s/file", rig->cache);
    rig->place.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    rig->place.cache = open(rig->cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rig->place.uid = getuid();
    assert_int_equal(message_pair(ends, NULL), 0);
    rig->place.socket = ends[0];
    rig->worker = ends[1];
    assert_int_equal(kernel_mount(rig->place.fuse, rig->root, &options, NULL), 0);
    size = read(rig->place.fuse, first, sizeof(first));
    assert_true(size > 40 && (size_t)size <= sizeof(rig->init));
    memcpy(rig->init, first, (size_t)size);
    rig->init_size = (size_t)size;
    negotiate(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;

    session_close(rig->session);
    umount2(rig->root, MNT_DETACH);
    ring_close(rig->ring);
    close(rig->ring_fd);
    close(rig->place.fuse);
    close(rig->place.cache);
    close(rig->place.socket);
    close(rig->worker);
    unlink(rig->path);
    rmdir(rig->root);
    rmdir(rig->cache);
    memory_free(rig);
    return 0;
}

static int cached_file(const struct rig *rig, int flags)
{
    int fd = open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_int_equal(write(fd, "bytes", 5), 5);
    close(fd);
    fd = open(rig->path, flags | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* As the holder's loop does it. */
static bool hear(struct rig *rig, const char *text, int file)
{
    const int descriptors[MESSAGE_DESCRIPTORS_MAX] = { file, -1, -1, -1, -1, -1, -1, -1 };
    struct json *json = NULL;
    bool heard;

    assert_int_equal(json_parse(span_text(text), &json, NULL), 0);
    heard = holder_backing_hear(&rig->backing, &rig->place, json_root(json), descriptors);
    json_free(json);
    return heard;
}

/* The id, or the error, that the worker is told. */
static int64_t told(struct rig *rig, int64_t number)
{
    struct buf text = buf_init(2 * MESSAGE_MAX);
    int descriptors[MESSAGE_DESCRIPTORS_MAX];
    struct json *json = NULL;
    int64_t got = -1, id = 0, error = 0;

    assert_int_equal(message_receive(rig->worker, &text, descriptors, NULL), 0);
    assert_int_equal(json_parse(buf_span(&text), &json, NULL), 0);
    json_member_integer(json_root(json), "backing", &got, NULL);
    json_member_integer(json_root(json), "id", &id, NULL);
    json_member_integer(json_root(json), "error", &error, NULL);
    assert_int_equal(got, number);
    json_free(json);
    buf_release(&text);
    return error < 0 ? error : id;
}

static int64_t ask(struct rig *rig, int file)
{
    assert_true(hear(rig, "{\"backing_open\":7}", file));
    return told(rig, 7);
}

static void the_kernel_says_that_it_can(void **state)
{
    struct rig *rig = *state;
    struct span init = span_of(rig->init, rig->init_size);

    assert_true(holder_backing_is_possible(init));
    setenv(HOLDER_WITHOUT_PASSTHROUGH, "1", 1);
    assert_false(holder_backing_is_possible(init));
    unsetenv(HOLDER_WITHOUT_PASSTHROUGH);
    init.size = 56; /* as of a kernel that knows no upper half of flags */
    assert_false(holder_backing_is_possible(init));
    init.size = rig->init_size;
    rig->init[56] = 0;
    assert_false(holder_backing_is_possible(init));
}

static void a_file_of_the_cache_is_registered(void **state)
{
    struct rig *rig = *state;
    int file = cached_file(rig, O_RDONLY);
    char text[64];
    int64_t id = ask(rig, file);

    assert_true(id > 0);
    assert_int_equal(rig->backing.count, 1);
    (void)snprintf(text, sizeof(text), "{\"backing_close\":[%d,%d]}", (int)id + 1, (int)id);
    assert_true(hear(rig, text, -1));
    assert_int_equal(rig->backing.count, 0);
    assert_int_equal(kernel_backing_close(rig->place.fuse, (uint32_t)id), -ENOENT);
    close(file);
}

static void refused(struct rig *rig, int file, int64_t error)
{
    assert_int_equal(ask(rig, file), error);
    assert_int_equal(rig->backing.count, 0);
    if (file >= 0)
        close(file);
}

static void nothing_else_is_registered(void **state)
{
    struct rig *rig = *state;
    int ends[2];

    refused(rig, -1, -EBADF);
    refused(rig, cached_file(rig, O_RDWR), -EACCES);
    refused(rig, cached_file(rig, O_WRONLY), -EACCES);
    refused(rig, cached_file(rig, O_PATH), -EACCES);
    refused(rig, dup(rig->place.cache), -EACCES);
    refused(rig, memfd_create("elsewhere", MFD_CLOEXEC), -EACCES);
    refused(rig, open("/dev/null", O_RDONLY | O_CLOEXEC), -EACCES);
    assert_int_equal(pipe(ends), 0);
    close(ends[1]);
    refused(rig, ends[0], -EACCES);
    /* Another user's, which only the holder could have opened. */
    rig->place.uid = getuid() + 1;
    refused(rig, cached_file(rig, O_RDONLY), -EACCES);
}

static void a_file_of_a_file_system_above_others_is_refused_by_the_kernel(void **state)
{
    struct rig *rig = *state;
    char options[256], lower[64], upper[64], work[64], merged[64], path[96];
    int file, cache = rig->place.cache;

    (void)snprintf(lower, sizeof(lower), "%s/lower", rig->cache);
    (void)snprintf(upper, sizeof(upper), "%s/upper", rig->cache);
    (void)snprintf(work, sizeof(work), "%s/work", rig->cache);
    (void)snprintf(merged, sizeof(merged), "%s/merged", rig->cache);
    assert_int_equal(mount("x", rig->cache, "tmpfs", 0, NULL), 0);
    assert_int_equal(mkdir(lower, 0755) | mkdir(upper, 0755) | mkdir(work, 0755), 0);
    assert_int_equal(mkdir(merged, 0755), 0);
    (void)snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper,
                   work);
    assert_int_equal(mount("x", merged, "overlay", 0, options), 0);
    (void)snprintf(path, sizeof(path), "%s/file", merged);
    file = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(file >= 0);
    rig->place.cache = open(merged, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    refused(rig, file, -ELOOP);
    close(rig->place.cache);
    rig->place.cache = cache;
    assert_int_equal(umount2(merged, MNT_DETACH) | umount2(rig->cache, MNT_DETACH), 0);
}

static void there_are_not_more_than_so_many(void **state)
{
    struct rig *rig = *state;
    int file = cached_file(rig, O_RDONLY);

    rig->backing.count = OPEN_TABLE_BACKINGS - 1;
    assert_true(ask(rig, file) > 0);
    assert_int_equal(ask(rig, file), -ENOSPC);
    assert_int_equal(rig->backing.count, OPEN_TABLE_BACKINGS);
    close(file);
}

/* Whoever asks and never comes for the answers. */
static void an_answer_is_not_waited_with(void **state)
{
    struct rig *rig = *state;
    int file = cached_file(rig, O_RDONLY), answered = 0;
    static const char more[] = "{\"end\":true}";
    size_t count;

    for (int i = 0; i < 3000; i++)
        assert_true(hear(rig, "{\"backing_open\":7}", file));
    count = rig->backing.count;
    assert_true(count > 0 && count < 3000);
    /* There is room for what it must be told. */
    assert_int_equal(message_try(rig->place.socket, span_of(more, sizeof(more) - 1), NULL, 0, NULL),
                     0);
    for (size_t i = 0; i < count; i++)
        answered += told(rig, 7) > 0;
    assert_int_equal(answered, count);
    /* Gone altogether. */
    close(rig->worker);
    rig->worker = -1;
    assert_true(hear(rig, "{\"backing_open\":7}", file));
    assert_int_equal(rig->backing.count, count);
    close(file);
}

static void nonsense_does_nothing(void **state)
{
    struct rig *rig = *state;
    int file = cached_file(rig, O_RDONLY);

    assert_false(hear(rig, "{\"serving\":true}", file));
    assert_false(hear(rig, "[1]", file));
    assert_false(hear(rig, "{\"backing_open\":-1}", file));
    assert_false(hear(rig, "{\"backing_open\":\"x\"}", file));
    assert_false(hear(rig, "{\"backing_close\":5}", file));
    assert_true(ask(rig, file) > 0);
    assert_true(hear(rig, "{\"backing_close\":[-1,0,\"x\",null,9007199254740991,[1]]}", -1));
    assert_int_equal(rig->backing.count, 1);
    close(file);
}

static void what_no_open_uses_goes_with_the_worker(void **state)
{
    struct rig *rig = *state;
    int file = cached_file(rig, O_RDONLY), opens;
    int64_t ids[3];
    struct open_table *table = NULL;
    struct open_grant grant;
    struct holder_backing other = { .count = 0 };

    assert_int_equal(open_table_create(&opens, NULL), 0);
    for (int i = 0; i < 3; i++)
        ids[i] = ask(rig, file);
    holder_backing_settle(&rig->backing, rig->place.fuse, -1);
    assert_int_equal(rig->backing.count, 3);
    assert_int_equal(open_table_attach(opens, &table, NULL), 0);
    assert_int_equal(open_table_passed(table, 5, 2, (uint32_t)ids[1], &grant), 0);
    open_table_detach(table);
    holder_backing_settle(&rig->backing, rig->place.fuse, opens);
    assert_int_equal(rig->backing.count, 1);
    assert_int_equal(rig->backing.ids[0], ids[1]);
    assert_int_equal(kernel_backing_close(rig->place.fuse, (uint32_t)ids[0]), -ENOENT);
    assert_int_equal(kernel_backing_close(rig->place.fuse, (uint32_t)ids[2]), -ENOENT);
    /* Another program goes on with it. */
    holder_backing_settle(&other, rig->place.fuse, opens);
    assert_int_equal(other.count, 1);
    assert_int_equal(other.ids[0], ids[1]);
    assert_int_equal(kernel_backing_close(rig->place.fuse, (uint32_t)ids[1]), 0);
    close(opens);
    close(file);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        EACH(the_kernel_says_that_it_can),
        EACH(a_file_of_the_cache_is_registered),
        EACH(nothing_else_is_registered),
        EACH(a_file_of_a_file_system_above_others_is_refused_by_the_kernel),
        EACH(there_are_not_more_than_so_many),
        EACH(an_answer_is_not_waited_with),
        EACH(nonsense_does_nothing),
        EACH(what_no_open_uses_goes_with_the_worker),
    };

    private_mounts_begin();
    return cmocka_run_group_tests_name("holder_backing", tests, NULL, NULL);
}
