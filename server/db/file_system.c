/* SPDX-License-Identifier: MIT */
#include "server/db/file_system.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/vfs.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"

static const struct {
    unsigned long magic;
    const char *name;
} network_file_systems[] = {
    { 0x6969, "NFS" },      { 0xff534d42, "CIFS" },   { 0xfe534d42, "SMB2" },
    { 0x517b, "SMB" },      { 0x01021997, "9p" },     { 0x5346414f, "AFS" },
    { 0x6b414653, "AFS" },  { 0x00c36400, "Ceph" },   { 0x73757245, "Coda" },
    { 0x564c, "NCP" },      { 0x0bd00bd0, "Lustre" }, { 0x7461636f, "OCFS2" },
    { 0x01161970, "GFS2" }, { 0x19830326, "FhGFS" },  { 0x47504653, "GPFS" },
};

const char *file_system_network_name(unsigned long magic)
{
    for (size_t i = 0; i < sizeof(network_file_systems) / sizeof(network_file_systems[0]); i++) {
        if (network_file_systems[i].magic == (magic & 0xffffffffUL))
            return network_file_systems[i].name;
    }
    return NULL;
}

int file_system_require_local(const char *path, struct error *err)
{
    cleanup(buf_release) struct buf folder = buf_init(PATH_MAX);
    const char *slash = strrchr(path, '/');
    const char *name;
    struct statfs info;
    int r;

    if (slash == NULL)
        buf_add_text(&folder, ".");
    else
        buf_add(&folder, path, slash == path ? 1 : (size_t)(slash - path));
    r = buf_check(&folder, err);
    if (r < 0)
        return r;
    if (statfs(buf_text(&folder), &info) != 0)
        return error_system(err, errno, "%s", buf_text(&folder));
    name = file_system_network_name((unsigned long)info.f_type);
    if (name != NULL)
        return error_set(err, -ENOTSUP, "%s is on %s: SQLite needs a local file system", path,
                         name);
    return 0;
}
