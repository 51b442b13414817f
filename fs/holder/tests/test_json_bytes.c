/* SPDX-License-Identifier: MIT */
#include "fs/holder/json_bytes.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/codec/json.h"
#include "tests/support/unit.h"

/* Bytes that are no text come back as they were; what is absent changes nothing. */
static void bytes_come_back(void **state)
{
    static const char path[] = "/a\xff\n\"b";
    struct buf out = buf_init(BUF_UNLIMITED), got = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&out);
    struct json *json = NULL;
    char *text = NULL, *kept = memory_text("kept");

    json_begin_object(&writer, NULL);
    json_bytes_text(&writer, "path", path);
    json_bytes_text(&writer, "none", NULL);
    json_bytes(&writer, "zeros", span_of("\0\0", 2));
    json_text(&writer, "wrong", "no base64!");
    json_end(&writer);
    assert_int_equal(json_parse(buf_span(&out), &json, NULL), 0);
    assert_int_equal(json_member_bytes_text(json_root(json), "path", &text, NULL), 0);
    assert_string_equal(text, path);
    assert_int_equal(json_member_bytes_text(json_root(json), "none", &kept, NULL), 0);
    assert_string_equal(kept, "kept");
    assert_int_equal(json_member_bytes(json_root(json), "zeros", &got, NULL), 0);
    assert_int_equal(got.size, 2);
    assert_int_equal(json_member_bytes(json_root(json), "wrong", &got, NULL), -EINVAL);
    memory_free(text);
    memory_free(kept);
    json_free(json);
    buf_release(&out);
    buf_release(&got);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(bytes_come_back) };

    return cmocka_run_group_tests_name("json_bytes", tests, NULL, NULL);
}
