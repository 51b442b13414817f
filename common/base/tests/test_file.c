/* SPDX-License-Identifier: MIT */
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

struct place {
    char path[64];
};

static int make_place(void **state)
{
    struct place *place = memory_new(sizeof(*place));

    assert_non_null(place);
    *place = (struct place){ "/tmp/kk-file-XXXXXX" };
    assert_non_null(mkdtemp(place->path));
    *state = place;
    return 0;
}

static int remove_place(void **state)
{
    struct place *place = *state;
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", place->path);
    assert_int_equal(system(command), 0);
    memory_free(place);
    return 0;
}

static const char *in(void **state, const char *name, struct buf *out)
{
    buf_clear(out);
    buf_format(out, "%s/%s", ((struct place *)*state)->path, name);
    return buf_text(out);
}

static void a_saved_file_loads(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096), bytes = buf_init(100000);
    cleanup_memory uint8_t *many = memory_array(100001, 1);
    struct stat st;
    struct error err;

    in(state, "a", &path);
    memset(many, 'x', 100001);
    assert_int_equal(file_save(buf_text(&path), span_of(many, 100000), 0600, NULL), 0);
    assert_int_equal(stat(buf_text(&path), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_load(buf_text(&path), &bytes, NULL), 0);
    assert_int_equal(bytes.size, 100000);
    assert_memory_equal(bytes.bytes, many, 100000);
    assert_int_equal(file_save(buf_text(&path), span_of(many, 100001), 0644, NULL), 0);
    assert_int_equal(stat(buf_text(&path), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    buf_clear(&bytes);
    assert_int_equal(file_load(buf_text(&path), &bytes, &err), -EFBIG);
    assert_non_null(strstr(err.text, "/a: larger than 100000 bytes"));
    assert_int_equal(file_load("/nonexistent", &bytes, &err), -ENOENT);
    assert_int_equal(file_save("/nonexistent/x", span_text("x"), 0644, &err), -ENOENT);
    buf_clear(&bytes);
    assert_int_equal(file_load("/", &bytes, NULL), -EISDIR);
}

static void a_failed_save_leaves_nothing_beside(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    struct place *place = *state;

    in(state, "taken", &path);
    assert_int_equal(mkdir(buf_text(&path), 0755), 0);
    assert_int_equal(file_save(buf_text(&path), span_text("x"), 0644, NULL), -EISDIR);
    assert_int_equal(rmdir(buf_text(&path)), 0);
    assert_int_equal(rmdir(place->path), 0);
    assert_int_equal(mkdir(place->path, 0755), 0);
}

static void reads_and_writes_at_offsets(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int fd = -1, other = -1;
    struct file_info info, again;
    char bytes[16];
    size_t size = 99;

    fd = open(in(state, "rw", &path), O_RDWR | O_CREAT, 0640);
    assert_true(fd >= 0);
    assert_int_equal(file_info(fd, &info, NULL), 0);
    assert_int_equal(info.kind, FILE_REGULAR);
    assert_int_equal(info.mode, 0640);
    assert_int_equal(file_write_at(fd, 3, "defg", 4, NULL), 0);
    assert_int_equal(file_write(fd, "abc", 3, NULL), 0);
    assert_int_equal(file_read_at(fd, 1, bytes, 3, &size, NULL), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "bcd", 3);
    assert_int_equal(file_read(fd, bytes, sizeof(bytes), &size, NULL), 0);
    assert_int_equal(size, 4);
    assert_int_equal(file_read_at(fd, 100, bytes, 3, &size, NULL), 0);
    assert_int_equal(size, 0);
    assert_int_equal(file_read_at(fd, UINT64_MAX, bytes, 3, &size, NULL), -EINVAL);
    assert_int_equal(file_write_at(fd, UINT64_MAX - 1, bytes, 3, NULL), -EINVAL);
    assert_int_equal(file_info(fd, &again, NULL), 0);
    assert_false(file_info_unchanged(&info, &again));
    assert_true(file_info_unchanged(&again, &again));
    assert_int_equal(again.size, 7);
    assert_int_equal(file_truncate(fd, 2, NULL), 0);
    assert_int_equal(file_truncate(fd, UINT64_MAX, NULL), -EINVAL);
    assert_int_equal(file_sync(fd, NULL), 0);
    assert_int_equal(file_sync_data(fd, NULL), 0);
    assert_int_equal(file_info(fd, &again, NULL), 0);
    assert_int_equal(again.size, 2);
    other = open(buf_text(&path), O_RDONLY);
    assert_int_equal(file_write(other, "x", 1, NULL), -EBADF);
    assert_int_equal(file_info(-1, &again, NULL), -EBADF);
    assert_int_equal(file_read(-1, bytes, 1, &size, NULL), -EBADF);
    assert_int_equal(file_sync(-1, NULL), -EBADF);
}

static void a_full_device_is_told(void **state)
{
    cleanup_fd int fd = open("/dev/full", O_WRONLY);
    struct error err;

    assert_true(fd >= 0);
    assert_int_equal(file_write(fd, "x", 1, &err), -ENOSPC);
}

static void copies(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int from = -1, to = -1, pipe_read = -1, pipe_write = -1;
    cleanup_memory uint8_t *bytes = memory_array(600000, 1), *seen = memory_array(600000, 1);
    size_t size = 0;
    int ends[2];

    for (size_t i = 0; i < 600000; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 9));
    from = open(in(state, "from", &path), O_RDWR | O_CREAT, 0600);
    to = open(in(state, "to", &path), O_RDWR | O_CREAT, 0600);
    assert_int_equal(file_write(from, bytes, 600000, NULL), 0);
    assert_int_equal(file_copy(from, to, 600000, NULL), 0);
    assert_int_equal(file_read_at(to, 0, seen, 600000, &size, NULL), 0);
    assert_int_equal(size, 600000);
    assert_memory_equal(seen, bytes, 600000);
    assert_int_equal(file_copy(from, to, 600001, NULL), -EIO);
    /* An append-only descriptor is refused by copy_file_range: the loop has to do it. */
    assert_int_equal(close(take_fd(&to)), 0);
    to = open(in(state, "appended", &path), O_RDWR | O_CREAT | O_APPEND, 0600);
    assert_int_equal(file_copy(from, to, 600000, NULL), 0);
    assert_int_equal(file_read_at(to, 0, seen, 600000, &size, NULL), 0);
    assert_memory_equal(seen, bytes, 600000);
    assert_int_equal(pipe(ends), 0);
    pipe_read = ends[0];
    pipe_write = ends[1];
    assert_true(file_copy(pipe_read, to, 1, NULL) < 0);
}

static void times_are_given(void **state)
{
    static const int64_t times[] = { 0, 1, 1700000000, -1, 4102444800 };
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int fd = open(in(state, "timed", &path), O_RDWR | O_CREAT, 0600);
    struct file_info info;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(file_set_mtime(fd, times[i], NULL), 0);
        assert_int_equal(file_info(fd, &info, NULL), 0);
        assert_int_equal(info.mtime_s, times[i]);
        assert_int_equal(info.mtime_ns, 0);
    }
    assert_true(file_set_mtime(-1, 0, NULL) < 0);
}

static void one_holder_of_a_lock(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int one = -1, two = -1;

    one = open(in(state, "lock", &path), O_RDWR | O_CREAT, 0600);
    two = open(buf_text(&path), O_RDWR);
    assert_int_equal(file_lock(one, NULL), 0);
    assert_int_equal(file_lock(one, NULL), 0);
    assert_int_equal(file_lock(two, NULL), -EBUSY);
    close(take_fd(&one));
    assert_int_equal(file_lock(two, NULL), 0);
    assert_int_equal(file_lock(-1, NULL), -EBADF);
}

static void maps(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int fd = -1;
    struct span bytes;

    fd = open(in(state, "map", &path), O_RDWR | O_CREAT, 0600);
    assert_int_equal(file_write(fd, "hello", 5, NULL), 0);
    assert_int_equal(file_map(fd, 5, &bytes, NULL), 0);
    assert_true(span_equal_text(bytes, "hello"));
    file_unmap(bytes);
    assert_int_equal(file_map(fd, 0, &bytes, NULL), 0);
    assert_int_equal(bytes.size, 0);
    file_unmap(bytes);
    assert_int_equal(file_map(-1, 5, &bytes, NULL), -EBADF);
}

static void directories_with_parents(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    uint64_t free_bytes = 0;
    struct error err;

    assert_int_equal(file_make_directories(in(state, "a//b/c/", &path), 0755, NULL), 0);
    assert_int_equal(file_make_directories(buf_text(&path), 0755, NULL), 0);
    assert_int_equal(file_free_space(buf_text(&path), &free_bytes, NULL), 0);
    assert_true(free_bytes > 0);
    assert_int_equal(file_save(in(state, "f", &path), span_text(""), 0644, NULL), 0);
    assert_int_equal(file_make_directories(buf_text(&path), 0755, &err), -ENOTDIR);
    assert_int_equal(file_make_directories(in(state, "f/x", &path), 0755, &err), -ENOTDIR);
    assert_int_equal(file_make_directories("", 0755, &err), -ENOENT);
    assert_int_equal(file_free_space(in(state, "none", &path), &free_bytes, NULL), -ENOENT);
}

static int save_and_load(const char *path)
{
    cleanup(buf_release) struct buf bytes = buf_init(100);
    int r = file_save(path, span_text("x"), 0644, NULL);

    return r < 0 ? r : file_load(path, &bytes, NULL);
}

static void no_memory(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(4096);

    in(state, "m", &path);
    assert_survives_no_memory(save_and_load((const char *)path.bytes));
    assert_survives_no_memory(
        file_make_directories((const char *)path.bytes, 0755, NULL) == -ENOMEM ? -ENOMEM : 0);
}

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_saved_file_loads),
        IN_A_PLACE(a_failed_save_leaves_nothing_beside),
        IN_A_PLACE(reads_and_writes_at_offsets),
        IN_A_PLACE(a_full_device_is_told),
        IN_A_PLACE(copies),
        IN_A_PLACE(times_are_given),
        IN_A_PLACE(one_holder_of_a_lock),
        IN_A_PLACE(maps),
        IN_A_PLACE(directories_with_parents),
        IN_A_PLACE(no_memory),
    };

    return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
