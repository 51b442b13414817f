/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_patch.h"

#include <errno.h>
#include <string.h>

#include "tests/support/place.h"
#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_fetch.h"
#include "agent/transfer/stat_cache.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/delta.h"

#define BASE "the bytes that were there"
#define TARGET "were there, the bytes that"

/* A base in the place, and a blob that is to be made of it. */
struct case_of {
    struct transfer transfer;
    struct pull_base base;
    struct pull_blob blob;
    struct pull_patch patch;
    bool disk_failed;
};

static void set_up(struct place *place, struct case_of *out)
{
    struct file_info info;

    place_put(place, "base", BASE);
    assert_int_equal(directory_info(place->at, "base", &info, NULL), 0);
    *out = (struct case_of){ 0 };
    out->base = (struct pull_base){ .path = (char *)"base",
                                    .is_known = true,
                                    .sha256 = digest_of(BASE, strlen(BASE)),
                                    .size = strlen(BASE),
                                    .stamp = stat_stamp(&info) };
    out->blob = (struct pull_blob){ .sha256 = digest_of(TARGET, strlen(TARGET)),
                                    .size = strlen(TARGET),
                                    .base = &out->base };
    out->patch = (struct pull_patch){ .transfer = &out->transfer,
                                      .dest = place->at,
                                      .stage = place->at,
                                      .blob = &out->blob,
                                      .delta = "delta",
                                      .made = "made" };
}

/* "were there" out of the base from `offset`, the rest as data; all but `cut` bytes of it. */
static void put_delta(struct place *place, const struct case_of *at, uint64_t offset, size_t cut)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    cleanup_fd int fd = -1;
    const struct delta_header header = { .base = at->base.sha256,
                                         .target = at->blob.sha256,
                                         .base_size = at->base.size,
                                         .target_size = at->blob.size };
    struct delta_writer *writer;

    assert_int_equal(delta_writer_new(&writer, &header, 1, sink_to_buf(&out), NULL), 0);
    assert_int_equal(delta_writer_copy(writer, offset, 10, NULL), 0);
    assert_int_equal(delta_writer_data(writer, &TARGET[10], strlen(TARGET) - 10, NULL), 0);
    assert_int_equal(delta_writer_end(writer, NULL), 0);
    delta_writer_free(writer);
    directory_remove_file(place->at, "delta", NULL);
    assert_int_equal(directory_create(place->at, "delta", 0600, &fd, NULL), 0);
    assert_int_equal(file_write(fd, out.bytes, out.size - cut, NULL), 0);
}

static bool is_there(struct place *place, const char *name)
{
    struct file_info info;

    return directory_info(place->at, name, &info, NULL) == 0;
}

static void a_delta_makes_the_blob(void **state)
{
    struct place *place = *state;
    struct case_of at;
    char made[64] = "";
    size_t size = 0;
    cleanup_fd int fd = -1;

    set_up(place, &at);
    put_delta(place, &at, 15, 0);
    place_put(place, "made", "of an earlier try");
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, NULL), 0);
    assert_int_equal(directory_open_read(place->at, "made", &fd, NULL), 0);
    assert_int_equal(file_read(fd, made, sizeof(made) - 1, &size, NULL), 0);
    assert_string_equal(made, TARGET);
}

static void what_is_wrong_leaves_nothing(void **state)
{
    struct place *place = *state;
    struct case_of at;
    struct error err;

    set_up(place, &at);
    put_delta(place, &at, 14, 0); /* another place of the base: well-formed, and a lie */
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "digest"));
    put_delta(place, &at, 15, 1); /* no end */
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -EBADMSG);
    put_delta(place, &at, 15, 0);
    at.blob.size++; /* another target */
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -EBADMSG);
    assert_false(is_there(place, "made"));
    assert_false(at.disk_failed);
}

static void another_base_is_seen(void **state)
{
    struct place *place = *state;
    struct case_of at;
    struct error err;

    set_up(place, &at);
    put_delta(place, &at, 15, 0);
    at.base.stamp++;
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -ESTALE);
    assert_false(is_there(place, "made"));
    directory_remove_file(place->at, "base", NULL);
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -ENOENT);
    assert_false(at.disk_failed);
}

/* What it makes stays, with zeros for what is not there; the delta tells how large the base was. */
static void a_changed_base_leaves_what_it_makes(void **state)
{
    struct place *place = *state;
    struct case_of at;
    char made[64] = "";
    size_t size = 0;
    cleanup_fd int fd = -1;
    struct file_info info;

    set_up(place, &at);
    put_delta(place, &at, 15, 0);
    at.base.is_changed = true;
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, NULL), 0);
    directory_remove_file(place->at, "base", NULL);
    place_put(place, "base", "the bytes that WERE");
    assert_int_equal(directory_info(place->at, "base", &info, NULL), 0);
    at.base.size = info.size;
    at.base.stamp = stat_stamp(&info);
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, NULL), PULL_PATCH_CHANGED);
    assert_int_equal(directory_open_read(place->at, "made", &fd, NULL), 0);
    assert_int_equal(file_read(fd, made, sizeof(made) - 1, &size, NULL), 0);
    assert_int_equal(size, strlen(TARGET));
    assert_memory_equal(made, "WERE\0\0\0\0\0\0, the bytes that", size);
    assert_false(at.disk_failed);
}

static void a_changed_base_is_no_licence(void **state)
{
    struct place *place = *state;
    struct case_of at;
    struct error err;

    set_up(place, &at);
    at.base.is_changed = true;
    put_delta(place, &at, 15, 1); /* no end */
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -EBADMSG);
    put_delta(place, &at, 15, 0);
    at.base.size = strlen(BASE) / 2 - 1;
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -ESTALE);
    at.base.size = strlen(BASE);
    at.blob.size++; /* another target */
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -EBADMSG);
    at.blob.size--;
    at.base.stamp++; /* changed again */
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -ESTALE);
    directory_remove_file(place->at, "delta", NULL);
    place_put(place, "delta", "KKADELT1");
    at.base.stamp--;
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -EBADMSG);
    assert_false(is_there(place, "made"));
    assert_false(at.disk_failed);
}

static void stopping_and_the_disk_are_told_apart(void **state)
{
    struct place *place = *state;
    struct case_of at;
    atomic_bool stop = true;
    struct error err;

    set_up(place, &at);
    put_delta(place, &at, 15, 0);
    at.transfer.stop = &stop;
    assert_int_equal(pull_patch_apply(&at.patch, &at.disk_failed, &err), -ECANCELED);
    assert_false(at.disk_failed);
    stop = false;
    at.patch.made = "no/such/place";
    assert_true(pull_patch_apply(&at.patch, &at.disk_failed, &err) < 0);
    assert_true(at.disk_failed);
}

static void lack_of_memory_is_told(void **state)
{
    struct place *place = *state;
    struct case_of at;

    set_up(place, &at);
    put_delta(place, &at, 15, 0);
    assert_survives_no_memory(pull_patch_apply(&at.patch, &at.disk_failed, NULL));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_delta_makes_the_blob),       IN_A_PLACE(what_is_wrong_leaves_nothing),
        IN_A_PLACE(another_base_is_seen),         IN_A_PLACE(a_changed_base_leaves_what_it_makes),
        IN_A_PLACE(a_changed_base_is_no_licence), IN_A_PLACE(stopping_and_the_disk_are_told_apart),
        IN_A_PLACE(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests_name("pull_patch", tests, NULL, NULL);
}
