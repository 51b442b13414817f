/* SPDX-License-Identifier: MIT */
#include "server/storage/blob_store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/storage/tests/conformance.h"
#include "tests/support/private_mounts.h"

#define KEY "abcd1111"
#define OTHER_ID "87654321-1234-4123-8123-123456789abc"

struct folder {
    char path[64];
};

static struct folder folder_make(void)
{
    struct folder folder = { "/tmp/kkstore-XXXXXX" };

    assert_non_null(mkdtemp(folder.path));
    return folder;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    return remove(path);
}

static void folder_remove(const struct folder *folder)
{
    assert_int_equal(nftw(folder->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static struct folder shared;

struct blob_store *conformance_open(void **state)
{
    struct blob_store *store;

    shared = folder_make();
    assert_int_equal(blob_store_file_open(shared.path, CONFORMANCE_ID, true, &store, NULL), 0);
    return store;
}

void conformance_close(void **state, struct blob_store *store)
{
    assert_null(blob_store_free(store));
    folder_remove(&shared);
}

static void below(const struct folder *folder, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", folder->path, name);
}

static void objects_lie_where_the_header_says(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct stat info;
    char path[128];

    assert_int_equal(conformance_put(store, KEY, 1, 77), 0);
    below(&shared, "blobs/ab/" KEY, path);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 77);
    assert_int_equal(info.st_mode & 07777, 0444);
    below(&shared, "tmp/" KEY, path);
    assert_int_equal(stat(path, &info), -1);
    conformance_close(state, store);
}

static void without_the_sentinel_it_is_refused(void **state)
{
    struct folder folder = folder_make();
    struct blob_store *store;
    char path[128];

    /* an unmounted disk: an empty directory */
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, false, &store, NULL),
                     -ENOENT);
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL), 0);
    assert_int_equal(conformance_put(store, KEY, 1, 5), 0);
    blob_store_free(store);
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, false, &store, NULL), 0);
    conformance_expect(store, KEY, 1, 5);
    below(&folder, ".kkartifact-store", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(blob_store_check(store, NULL), -ENOENT);
    blob_store_free(store);
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, false, &store, NULL),
                     -ENOENT);
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL),
                     -EBADMSG);
    folder_remove(&folder);
}

static void another_store_s_directory_is_refused(void **state)
{
    struct folder folder = folder_make();
    struct blob_store *store;
    char path[128];
    int fd;

    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL), 0);
    blob_store_free(store);
    assert_int_equal(blob_store_file_open(folder.path, OTHER_ID, false, &store, NULL), -EBADMSG);
    assert_int_equal(blob_store_file_open(folder.path, OTHER_ID, true, &store, NULL), -EBADMSG);
    assert_int_equal(blob_store_file_open(folder.path, "x", true, &store, NULL), -EINVAL);
    below(&folder, ".kkartifact-store", path);
    assert_int_equal(unlink(path), 0);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL),
                     -EBADMSG);
    folder_remove(&folder);
}

static void links_are_not_followed(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_reader reader;
    char path[128];

    assert_int_equal(conformance_put(store, KEY, 1, 5), 0);
    below(&shared, "blobs/ab/abcd2222", path);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_true(blob_store_open(store, "abcd2222", 0, 1, &reader, NULL) < 0);
    below(&shared, "blobs/zz", path);
    assert_int_equal(symlink("/tmp", path), 0);
    assert_true(blob_store_open(store, "zz123456", 0, 1, &reader, NULL) < 0);
    conformance_close(state, store);
}

static void a_truncated_object_is_no_object(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_reader reader;
    char path[128];

    assert_int_equal(conformance_put(store, KEY, 1, 5000), 0);
    below(&shared, "blobs/ab/" KEY, path);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(blob_store_open(store, KEY, 0, 5000, &reader, NULL), -EBADMSG);
    conformance_close(state, store);
}

static void killed_between_write_and_commit_it_is_unfinished(void **state)
{
    struct folder folder = folder_make();
    struct blob_store *store;
    struct blob_writer *writer;
    struct blob_reader reader;
    uint64_t offset = UINT64_MAX;
    pid_t child;

    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL), 0);
    child = fork();
    if (child == 0) {
        if (blob_store_create(store, KEY, 10, &writer, NULL) == 0 &&
            blob_writer_write(writer, "hello", 5, NULL) == 0)
            kill(getpid(), SIGKILL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    assert_int_equal(blob_store_open(store, KEY, 0, 0, &reader, NULL), -ENOENT);
    assert_int_equal(blob_store_resume(store, KEY, 10, &offset, &writer, NULL), 0);
    assert_int_equal(offset, 5);
    assert_int_equal(blob_writer_write(writer, "world", 5, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
    assert_int_equal(blob_store_open(store, KEY, 0, 10, &reader, NULL), 0);
    blob_reader_release(&reader);
    blob_store_free(store);
    folder_remove(&folder);
}

static void a_full_disk_says_so_and_goes_on(void **state)
{
    struct folder folder = folder_make();
    struct blob_store *store;
    uint64_t before;
    uint64_t after;

    if (mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") != 0) {
        folder_remove(&folder);
        skip();
    }
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL), 0);
    assert_int_equal(conformance_put(store, KEY, 1, 100000), 0);
    assert_int_equal(blob_store_free_space(store, &before, NULL), 0);
    assert_int_equal(conformance_put(store, "abcd2222", 1, 2000000), -ENOSPC);
    assert_int_equal(blob_store_free_space(store, &after, NULL), 0);
    assert_int_equal(before, after);
    conformance_expect(store, KEY, 1, 100000);
    assert_int_equal(conformance_put(store, "abcd3333", 1, 100000), 0);
    blob_store_free(store);
    assert_int_equal(umount(folder.path), 0);
    folder_remove(&folder);
}

static void a_full_disk_keeps_what_was_suspended(void **state)
{
    struct folder folder = folder_make();
    struct blob_store *store;
    struct blob_writer *writer;
    uint64_t offset = UINT64_MAX;
    static uint8_t bytes[300000];
    int r;

    if (mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") != 0) {
        folder_remove(&folder);
        skip();
    }
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL), 0);
    assert_int_equal(blob_store_create(store, KEY, 3000000, &writer, NULL), 0);
    do
        r = blob_writer_write(writer, bytes, sizeof(bytes), NULL);
    while (r == 0);
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(blob_writer_write(writer, bytes, 1, NULL), -ENOSPC); /* it sticks */
    assert_int_equal(blob_writer_suspend(writer, NULL), 0);
    assert_int_equal(blob_store_resume(store, KEY, 3000000, &offset, &writer, NULL), 0);
    assert_int_equal(offset % sizeof(bytes), 0); /* whole writes only */
    assert_true(offset > 0);
    blob_writer_abort(writer);
    blob_store_free(store);
    assert_int_equal(umount(folder.path), 0);
    folder_remove(&folder);
}

static void a_read_only_disk_says_so(void **state)
{
    struct folder folder = folder_make();
    struct blob_store *store;
    struct blob_writer *writer;

    if (mount("tmpfs", folder.path, "tmpfs", 0, "size=1m") != 0) {
        folder_remove(&folder);
        skip();
    }
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, true, &store, NULL), 0);
    assert_int_equal(conformance_put(store, KEY, 1, 1000), 0);
    blob_store_free(store);
    assert_int_equal(mount(NULL, folder.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_int_equal(blob_store_file_open(folder.path, CONFORMANCE_ID, false, &store, NULL), 0);
    assert_int_equal(blob_store_create(store, "abcd2222", 5, &writer, NULL), -EROFS);
    conformance_expect(store, KEY, 1, 1000);
    blob_store_free(store);
    assert_int_equal(umount(folder.path), 0);
    folder_remove(&folder);
}

static int open_and_close(const char *path)
{
    struct blob_store *store = NULL;
    int r = blob_store_file_open(path, CONFORMANCE_ID, true, &store, NULL);

    blob_store_free(store);
    return r;
}

static void opening_survives_no_memory(void **state)
{
    struct folder folder = folder_make();

    assert_survives_no_memory(open_and_close(folder.path));
    folder_remove(&folder);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_lie_where_the_header_says),
        cmocka_unit_test(without_the_sentinel_it_is_refused),
        cmocka_unit_test(another_store_s_directory_is_refused),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(a_truncated_object_is_no_object),
        cmocka_unit_test(killed_between_write_and_commit_it_is_unfinished),
        cmocka_unit_test(a_full_disk_says_so_and_goes_on),
        cmocka_unit_test(a_full_disk_keeps_what_was_suspended),
        cmocka_unit_test(a_read_only_disk_says_so),
        cmocka_unit_test(opening_survives_no_memory),
    };

    private_mounts_begin();
    return conformance_run("blob_store_file", tests, sizeof(tests) / sizeof(tests[0]));
}
