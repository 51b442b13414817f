/* SPDX-License-Identifier: MIT */
#include "fs/doctor/cache_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/number.h"
#include "common/codec/json.h"
#include "fs/care/scrub_place.h"
#include "fs/doctor/examination.h"
#include "fs/holder/worker_user.h"

#define FREE_PERCENT 5 /* what a mount leaves free when it is told nothing */
#define LEFTOVER_S 3600
#define SCRUB_LATE_S (30 * 24 * 3600)

/* Of <linux/magic.h>, newer than some headers. */
#define TYPE_CEPH 0x00c36400
#define TYPE_CIFS 0xff534d42L
#define TYPE_FUSE 0x65735546
#define TYPE_OVERLAY 0x794c7630

static const struct {
    long type;
    bool is_fault;
    const char *text;
} types[] = {
    { TYPE_OVERLAY, true,
      "it lies on overlayfs: no passthrough, no fs-verity, and it ends with the container" },
    { NFS_SUPER_MAGIC, true, "it lies on NFS: slow, and locks may not hold" },
    { SMB_SUPER_MAGIC, true, "it lies on a network file system (SMB)" },
    { TYPE_CIFS, true, "it lies on a network file system (CIFS)" },
    { SMB2_SUPER_MAGIC, true, "it lies on a network file system (SMB)" },
    { V9FS_MAGIC, true, "it lies on a network file system (9p)" },
    { TYPE_CEPH, true, "it lies on a network file system (Ceph)" },
    { AFS_SUPER_MAGIC, true, "it lies on a network file system (AFS)" },
    { TYPE_FUSE, true, "it lies on a FUSE file system" },
    { TMPFS_MAGIC, false, "it lies in memory (tmpfs), and is gone after a boot" },
};

const char *cache_check_type(long type, bool *out_is_fault)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        if ((types[i].type & 0xffffffffL) == (type & 0xffffffffL)) {
            *out_is_fault = types[i].is_fault;
            return types[i].text;
        }
    }
    return NULL;
}

struct looking {
    const struct cache_facts *facts;
    struct findings *findings;
    int directory;
};

#define ADD(looking, level, name, advice, format, ...)                                            \
    findings_add((looking)->findings, level, name, advice, "%s: " format, (looking)->facts->path, \
                 __VA_ARGS__)

/* Owner and mode ------------------------------------------------------------------------ */

static void look_at_owner(const struct looking *looking)
{
    struct worker_user user = { 0, 0, false };
    bool is_root = geteuid() == 0;
    struct stat info;
    uint32_t wanted = geteuid();

    if (fstat(looking->directory, &info) < 0)
        return;
    if (is_root && worker_user_find(looking->facts->path, &user, NULL) == 0)
        wanted = user.uid;
    if ((info.st_mode & 022) != 0)
        ADD(looking, FINDING_PROBLEM, "cache-owner", "chmod 0700, and have it verified",
            "others may write in it (mode %04o)", (unsigned)info.st_mode & 07777);
    else if ((info.st_mode & 077) != 0)
        ADD(looking, FINDING_WARNING, "cache-owner", "chmod 0700",
            "others may look into it (mode %04o)", (unsigned)info.st_mode & 07777);
    else if (is_root && info.st_uid == 0)
        ADD(looking, FINDING_NOTE, "cache-owner", NULL,
            "it belongs to root; the next mount gives it to user %u", wanted);
    else if (info.st_uid != wanted && !(is_root && worker_user_takes(info.st_uid)))
        ADD(looking, FINDING_PROBLEM, "cache-owner", "use another directory (cache=DIR), or chown",
            "it belongs to user %u, who may not be a worker here", (unsigned)info.st_uid);
    else
        ADD(looking, FINDING_OK, "cache-owner", NULL, "it belongs to user %u alone",
            (unsigned)info.st_uid);
}

/* The file system ------------------------------------------------------------------------ */

static void look_at_type(const struct looking *looking)
{
    struct statfs system;
    bool is_fault = false;
    const char *text;

    if (fstatfs(looking->directory, &system) < 0)
        return;
    text = cache_check_type((long)system.f_type, &is_fault);
    if (text == NULL)
        ADD(looking, FINDING_OK, "cache-disk", NULL, "it lies on a local %s", "file system");
    else
        ADD(looking, is_fault ? FINDING_WARNING : FINDING_NOTE, "cache-disk",
            is_fault ? "put the cache on a local disk (cache=DIR)" : NULL, "%s", text);
}

/* A file without a name, which is gone when it is closed. */
static void look_at_writing(const struct looking *looking)
{
    cleanup_fd int fd = openat(looking->directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct fsverity_digest digest = { .digest_size = 0 };
    int failure = errno;

    if (fd < 0 && failure == EROFS) {
        ADD(looking, FINDING_PROBLEM, "cache-writing", "mount its disk writable",
            "its disk is read-only: mounts stream, and keep nothing (%s)", strerror(failure));
    } else if (fd < 0 && failure != EOPNOTSUPP && failure != EISDIR && failure != EACCES) {
        ADD(looking, FINDING_PROBLEM, "cache-writing", "look at its disk: df, dmesg",
            "nothing can be written: %s", strerror(failure));
    } else if (fd >= 0) {
        ADD(looking, FINDING_OK, "cache-writing", NULL, "it can be %s", "written");
        if (ioctl(fd, FS_IOC_MEASURE_VERITY, &digest) < 0 && errno == ENODATA)
            ADD(looking, FINDING_OK, "fs-verity", NULL, "its disk has fs-verity%s", "");
        else
            ADD(looking, FINDING_NOTE, "fs-verity", NULL,
                "its disk has no fs-verity (%s): what it loses by itself is found by the scrubber",
                strerror(errno));
    }
}

static void look_at_room(const struct looking *looking)
{
    const struct cache_facts *facts = looking->facts;
    char free_text[NUMBER_SIZE_TEXT], limit_text[NUMBER_SIZE_TEXT], quota_text[NUMBER_SIZE_TEXT];
    uint64_t free_bytes, limit = facts->free_limit, quota_left;
    struct statvfs system;

    if (fstatvfs(looking->directory, &system) < 0)
        return;
    free_bytes = (uint64_t)system.f_bavail * system.f_frsize;
    if (!facts->is_used)
        limit = (uint64_t)system.f_blocks * system.f_frsize / 100 * FREE_PERCENT;
    quota_left = facts->quota > facts->bytes ? facts->quota - facts->bytes : 0;
    number_format_size(free_bytes, free_text);
    number_format_size(limit, limit_text);
    number_format_size(facts->quota, quota_text);
    if (system.f_files > 0 && system.f_favail == 0)
        ADD(looking, FINDING_WARNING, "cache-room", "remove files from its disk",
            "its disk has no inode left (%s free)", free_text);
    else if (free_bytes <= limit)
        ADD(looking, FINDING_WARNING, "cache-room", "make room on its disk, or lower cache_free",
            "its disk has %s free, and %s are to stay so: what is new replaces what is old",
            free_text, limit_text);
    else if (facts->is_used && facts->quota > 0 && quota_left > free_bytes - limit)
        ADD(looking, FINDING_NOTE, "cache-room", NULL,
            "its disk has %s free: it is full before the cache has the %s of cache_size", free_text,
            quota_text);
    else
        ADD(looking, FINDING_OK, "cache-room", NULL, "its disk has %s free", free_text);
}

/* What is in it ------------------------------------------------------------------------ */

typedef void each_entry(void *context, int directory, const char *name, const struct stat *info);

static void walk(const struct looking *looking, const char *name, each_entry *each, void *context)
{
    int fd = openat(looking->directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    struct stat info;

    if (list == NULL && fd >= 0)
        close(fd);
    while (list != NULL && (entry = readdir(list)) != NULL)
        if (entry->d_name[0] != '.' &&
            fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode))
            each(context, fd, entry->d_name, &info);
    if (list != NULL)
        closedir(list);
}

struct counts {
    uint64_t files, bytes;
};

static void count_one(void *context, int directory, const char *name, const struct stat *info)
{
    struct counts *counts = context;

    counts->files++;
    counts->bytes += (uint64_t)info->st_size;
}

static void look_at_bad(const struct looking *looking)
{
    struct counts counts = { 0, 0 };
    char size[NUMBER_SIZE_TEXT];

    walk(looking, "bad", count_one, &counts);
    number_format_size(counts.bytes, size);
    if (counts.files > 0)
        ADD(looking, FINDING_WARNING, "cache-damage",
            "look at its disk (dmesg, smartctl), then empty bad/ in it",
            "%llu objects were found damaged and set aside in bad/ (%s)",
            (unsigned long long)counts.files, size);
    else
        ADD(looking, FINDING_OK, "cache-damage", NULL, "nothing was found %s", "damaged");
}

/* Of writers that died: a file that was not renamed, a map without its part. */
static void count_leftover(void *context, int directory, const char *name, const struct stat *info)
{
    size_t size = strlen(name);
    char part[256];
    struct stat other;

    if (clock_now_s() - (int64_t)info->st_mtime < LEFTOVER_S)
        return;
    if (strncmp(name, "new.", 4) == 0) {
        count_one(context, directory, name, info);
    } else if (size > 2 && size < sizeof(part) && strcmp(name + size - 2, ".m") == 0) {
        memcpy(part, name, size - 2);
        part[size - 2] = '\0';
        if (fstatat(directory, part, &other, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            count_one(context, directory, name, info);
    }
}

static void look_at_parts(const struct looking *looking)
{
    struct counts counts = { 0, 0 };
    char size[NUMBER_SIZE_TEXT];

    walk(looking, "part", count_leftover, &counts);
    number_format_size(counts.bytes, size);
    if (counts.files > 0)
        ADD(looking, FINDING_NOTE, "cache-parts",
            "the next mount removes new.*; the rest may be deleted while nothing is mounted",
            "%llu files in part/ belong to nothing any more (%s)", (unsigned long long)counts.files,
            size);
    else
        ADD(looking, FINDING_OK, "cache-parts", NULL, "no parts were left %s", "behind");
}

static bool load_place(const struct looking *looking, struct scrub_place *out)
{
    cleanup_fd int fd =
        openat(looking->directory, "scrub", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[1024];
    size_t size = 0;

    return fd >= 0 && file_read(fd, text, sizeof(text), &size, NULL) == 0 &&
           scrub_place_read(span_of(text, size), out) == 0;
}

static void look_at_scrub(const struct looking *looking)
{
    struct scrub_place place = { .folder = 0 };
    char ended[CLOCK_TEXT_SIZE];

    if (!load_place(looking, &place) || place.ended_at_s == 0 ||
        clock_format(place.ended_at_s, ended, NULL) < 0)
        ADD(looking, FINDING_NOTE, "scrub", NULL, "the scrubber has not gone over it %s",
            place.in_pass ? "wholly yet" : "yet");
    else if (place.wrong > 0)
        ADD(looking, FINDING_WARNING, "scrub", "look at its disk: dmesg, smartctl",
            "the scrubber found %llu of %llu objects wrong (last round ended %s)",
            (unsigned long long)place.wrong, (unsigned long long)place.objects, ended);
    else if (clock_now_s() - place.ended_at_s > SCRUB_LATE_S)
        ADD(looking, FINDING_NOTE, "scrub", "a higher scrub_rate, or leave it mounted",
            "the scrubber's last round ended %s", ended);
    else
        ADD(looking, FINDING_OK, "scrub", NULL, "the scrubber's last round ended %s, %llu objects",
            ended, (unsigned long long)place.objects);
}

void cache_check(const struct cache_facts *facts, struct findings *findings)
{
    cleanup_fd int directory = open(facts->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct looking looking = { facts, findings, directory };
    int failure = errno;

    if (directory < 0 && failure == ENOENT)
        ADD(&looking, facts->is_used ? FINDING_PROBLEM : FINDING_NOTE, "cache-owner",
            facts->is_used ? "mount anew: its directory was removed" : NULL, "it is not there%s",
            facts->is_used ? "" : " yet; the first mount makes it");
    else if (directory < 0)
        ADD(&looking, FINDING_PROBLEM, "cache-owner", "look at the directory, or ask as root",
            "it cannot be opened: %s", strerror(failure));
    if (directory < 0)
        return;
    look_at_owner(&looking);
    look_at_type(&looking);
    look_at_writing(&looking);
    look_at_room(&looking);
    look_at_bad(&looking);
    look_at_parts(&looking);
    look_at_scrub(&looking);
}

/* Each one once --------------------------------------------------------------------------- */

static void take_facts(const struct mount_look *mount, struct cache_facts *out)
{
    const struct json_value *cache = json_member(json_root(mount->status), "cache");
    int64_t bytes = 0, quota = 0, free_limit = 0;

    json_member_integer(cache, "bytes", &bytes, NULL);
    json_member_integer(cache, "limit", &quota, NULL);
    json_member_integer(cache, "free_limit", &free_limit, NULL);
    *out = (struct cache_facts){ mount->cache, true, (uint64_t)bytes, (uint64_t)quota,
                                 (uint64_t)free_limit };
}

void check_caches(struct examination *examination)
{
    struct cache_facts facts = { .path = examination->default_cache };
    bool default_is_used = false;

    for (size_t i = 0; i < examination->mount_count; i++) {
        const struct mount_look *mount = &examination->mounts[i];
        bool is_new = mount->cache[0] == '/';
        for (size_t j = 0; j < i; j++)
            if (strcmp(examination->mounts[j].cache, mount->cache) == 0)
                is_new = false;
        if (!is_new)
            continue;
        if (facts.path != NULL && strcmp(facts.path, mount->cache) == 0)
            default_is_used = true;
        if (mount->status != NULL) {
            struct cache_facts own;
            take_facts(mount, &own);
            cache_check(&own, examination->findings);
        } else {
            cache_check(&(struct cache_facts){ .path = mount->cache }, examination->findings);
        }
    }
    if (facts.path != NULL && !default_is_used)
        cache_check(&facts, examination->findings);
}
