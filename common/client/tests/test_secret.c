/* SPDX-License-Identifier: MIT */
#include "common/client/secret.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/file.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

static void texts_are_checked(void **state)
{
    static const char *const refused[] = { "", "  \n", "a b", "a\tb", "t\xc3\xb6ken", "a\nb" };
    struct secret *secret = NULL;
    char longer[600];

    assert_int_equal(secret_from_text(" kka_x_y \n", &secret, NULL), 0);
    assert_string_equal(secret_text(secret), "kka_x_y");
    secret = secret_free(secret);
    assert_null(secret_text(NULL));
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_int_equal(secret_from_text(refused[i], &secret, NULL), -EINVAL);
    memset(longer, 'x', sizeof(longer));
    longer[513] = '\0';
    assert_int_equal(secret_from_text(longer, &secret, NULL), -EINVAL);
    longer[512] = '\0';
    assert_int_equal(secret_from_text(longer, &secret, NULL), 0);
    secret_free(secret);
}

static void files_give_their_first_line(void **state)
{
    char *folder = temporary_new();
    struct secret *secret = NULL;
    struct error err;
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/token", folder);
    assert_int_equal(secret_load(path, &secret, &err), -ENOENT);
    assert_int_equal(file_save(path, span_text("kka_a_b\r\nmore\n"), 0600, NULL), 0);
    assert_int_equal(secret_load(path, &secret, &err), 0);
    assert_string_equal(secret_text(secret), "kka_a_b");
    secret = secret_free(secret);
    assert_int_equal(file_save(path, span_text("hidden thing\n"), 0600, NULL), 0);
    assert_int_equal(secret_load(path, &secret, &err), -EINVAL);
    assert_null(strstr(err.text, "hidden"));
    temporary_remove(folder);
}

static int make(void)
{
    struct secret *secret = NULL;
    int r = secret_from_text("kka_x_y", &secret, NULL);

    secret_free(secret);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    assert_survives_no_memory(make());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_checked),
        cmocka_unit_test(files_give_their_first_line),
        cmocka_unit_test(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
