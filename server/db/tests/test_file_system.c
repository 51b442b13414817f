/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "server/db/file_system.h"
#include "tests/support/unit.h"

static void network_file_systems_are_known(void **state)
{
    assert_string_equal(file_system_network_name(0x6969), "NFS");
    assert_string_equal(file_system_network_name(0xff534d42), "CIFS");
    assert_string_equal(file_system_network_name((unsigned long)(int)0xff534d42),
                        "CIFS"); /* f_type is signed */
    assert_string_equal(file_system_network_name(0x01021997), "9p");
    assert_null(file_system_network_name(0xef53));     /* ext4 */
    assert_null(file_system_network_name(0x58465342)); /* xfs */
    assert_null(file_system_network_name(0x01021994)); /* tmpfs */
}

static void a_local_folder_is_accepted(void **state)
{
    assert_int_equal(file_system_require_local("/tmp/x.db", NULL), 0);
    assert_int_equal(file_system_require_local("x.db", NULL), 0);
    assert_int_equal(file_system_require_local("/x.db", NULL), 0);
    assert_int_equal(file_system_require_local("/no/such/folder/x.db", NULL), -ENOENT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(network_file_systems_are_known),
        cmocka_unit_test(a_local_folder_is_accepted),
    };

    return cmocka_run_group_tests_name("file_system", tests, NULL, NULL);
}
