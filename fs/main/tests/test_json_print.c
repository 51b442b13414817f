/* SPDX-License-Identifier: MIT */
#include "fs/main/json_print.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/codec/json.h"
#include "tests/support/unit.h"

static void what_is_read_is_written_again(void **state)
{
    static const char text[] = "{\"a\":[1,\"two\",true,null,{\"b\":{}}],\"c\":-5,\"d\":[]}";
    struct buf out = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&out);
    struct json *json = NULL;

    assert_int_equal(json_parse(span_text(text), &json, NULL), 0);
    json_print(&writer, NULL, json_root(json));
    assert_string_equal(buf_text(&out), text);
    json_free(json);
    buf_release(&out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_read_is_written_again) };

    return cmocka_run_group_tests_name("json_print", tests, NULL, NULL);
}
