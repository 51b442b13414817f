/* SPDX-License-Identifier: MIT */
#include "fs/doctor/doctor.h"

#include <unistd.h>

#include "fs/doctor/examination.h"

/* One line a check, in the order of the report. */
static void (*const checks[])(struct examination *) = {
    check_kernel, check_device, check_features, check_library,     check_helper, check_user,
    check_limits, check_caches, check_mounts,   check_connections, check_units,
};

int doctor_examine(const struct doctor_options *options, struct findings *findings,
                   struct error *err)
{
    struct examination examination = {
        .is_root = geteuid() == 0,
        .default_cache = options->mountpoint == NULL ? options->default_cache : NULL,
        .findings = findings,
    };
    int r = mount_look_all(options->mountpoint, &examination.mounts, &examination.mount_count, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++)
        checks[i](&examination);
    mount_look_free(examination.mounts, examination.mount_count);
    return findings_check(findings, err);
}
