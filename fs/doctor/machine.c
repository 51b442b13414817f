/* SPDX-License-Identifier: MIT */
/* What the machine has for mounts: kernel, device, helper, user, limits. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/number.h"
#include "fs/doctor/examination.h"
#include "fs/doctor/kernel_features.h"
#include "fs/holder/worker_user.h"
#include "fs/session/session.h"

#define DEVICE "/dev/fuse"
#define HELPER "fusermount3"
#define URING "/sys/module/fuse/parameters/enable_uring"
#define PAGES_LIMIT "/proc/sys/fs/fuse/max_pages_limit"
#define PAGES_WANTED 256 /* 1 MiB */
#define PAGE_SIZE_KIB 4
/* What a worker uses besides the cache's files, and twice as many of these as it would have open:
 * rooms.c takes fewer where there are less. */
#define DESCRIPTORS_WANTED 176

static bool read_text(const char *path, struct buf *out)
{
    return file_load(path, out, NULL) == 0;
}

static int open_device(void)
{
    return open(DEVICE, O_RDWR | O_CLOEXEC);
}

void check_kernel(struct examination *examination)
{
    struct kernel_features features;

    kernel_features_find(-1, &features);
    if (features.major == 0)
        findings_add(examination->findings, FINDING_NOTE, "kernel", NULL,
                     "its version \"%s\" is not understood", features.release);
    else if (features.major < 5 || (features.major == 5 && features.minor < 10))
        findings_add(examination->findings, FINDING_PROBLEM, "kernel",
                     "mounts are made for Linux 5.10 and later", "Linux %s is too old",
                     features.release);
    else
        findings_add(examination->findings, FINDING_OK, "kernel", NULL, "Linux %s",
                     features.release);
}

void check_device(struct examination *examination)
{
    cleanup_fd int fd = open_device();
    int failure = errno;
    struct stat info;

    if (fd < 0 && (failure == ENOENT || failure == ENODEV || failure == ENXIO))
        findings_add(examination->findings, FINDING_PROBLEM, "device",
                     "modprobe fuse; in a container, give it " DEVICE, DEVICE " is not there: %s",
                     strerror(failure));
    else if (fd < 0)
        findings_add(examination->findings, FINDING_PROBLEM, "device",
                     "let this user read and write " DEVICE " (mode 0666 is usual), or mount as "
                     "root",
                     DEVICE " cannot be opened: %s", strerror(failure));
    else if (examination->is_root && fstat(fd, &info) == 0 && (info.st_mode & 06) != 06)
        findings_add(examination->findings, FINDING_NOTE, "device", NULL,
                     DEVICE " can be opened; by root alone, so other users cannot mount");
    else
        findings_add(examination->findings, FINDING_OK, "device", NULL, DEVICE " can be opened");
}

static void tell_feature(struct examination *examination, bool has, const char *name,
                         const char *with, const char *without)
{
    findings_add(examination->findings, has ? FINDING_OK : FINDING_NOTE, name, NULL, "%s",
                 has ? with : without);
}

static void check_uring(struct examination *examination)
{
    cleanup(buf_release) struct buf text = buf_init(64);
    bool is_on = read_text(URING, &text) && span_starts_with(buf_span(&text), span_text("Y"));

    tell_feature(examination, !is_on, "io_uring", "FUSE over io_uring is off, as it should be",
                 "FUSE over io_uring is on (" URING "); mounts of kkartifact do not use it");
}

static void check_request_size(struct examination *examination)
{
    cleanup(buf_release) struct buf text = buf_init(64);
    uint64_t pages = 0;

    if (!read_text(PAGES_LIMIT, &text) ||
        number_parse(span_trim(buf_span(&text)), UINT32_MAX, &pages, NULL) < 0 ||
        pages >= PAGES_WANTED)
        findings_add(examination->findings, FINDING_OK, "request-size", NULL,
                     "reads of a mount may have 1 MiB");
    else
        findings_add(examination->findings, FINDING_NOTE, "request-size", "echo 256 > " PAGES_LIMIT,
                     "reads of a mount have %llu KiB at most",
                     (unsigned long long)pages * PAGE_SIZE_KIB);
}

void check_features(struct examination *examination)
{
    cleanup_fd int fuse = open_device();
    struct kernel_features features;

    kernel_features_find(fuse, &features);
    tell_feature(examination, features.passthrough, "passthrough",
                 "this kernel can read files of the cache past the daemon",
                 "no passthrough before Linux 6.9: the daemon answers every first read");
    tell_feature(examination, features.resend, "resend",
                 "this kernel sends again what a worker that died has not answered",
                 "no resend before Linux 6.9: the next worker answers from the ring of requests, "
                 "and no call fails either");
    tell_feature(examination, features.mount_beneath, "mount-beneath",
                 "this kernel can put a mount under another: a switch has no gap",
                 "no mount under another before Linux 6.5: between two versions of an attached "
                 "target there is a gap");
    check_uring(examination);
    check_request_size(examination);
}

void check_library(struct examination *examination)
{
    findings_add(examination->findings, FINDING_OK, "libfuse", NULL, "libfuse %s",
                 session_library());
}

/* As execvp finds it; the file is looked at, not run. */
static bool find_helper(char *out, size_t size, struct stat *out_info)
{
    const char *path = getenv("PATH");
    struct span rest = span_text(path != NULL ? path : "/usr/bin:/bin"), directory;

    while (span_cut(&rest, ':', &directory)) {
        (void)snprintf(out, size, "%.*s/%s", (int)directory.size, (const char *)directory.bytes,
                       HELPER);
        if (stat(out, out_info) == 0 && S_ISREG(out_info->st_mode))
            return true;
    }
    return false;
}

void check_helper(struct examination *examination)
{
    enum finding_level missing = examination->is_root ? FINDING_NOTE : FINDING_PROBLEM;
    char path[4096];
    struct stat info;

    if (!find_helper(path, sizeof(path), &info))
        findings_add(examination->findings, missing, "helper",
                     "install fuse3, for mounts of users other than root",
                     HELPER " is not there: only root can mount");
    else if (info.st_uid != 0 || (info.st_mode & S_ISUID) == 0)
        findings_add(examination->findings, missing, "helper",
                     "install fuse3 anew: it has to be set-uid root",
                     "%.200s is not set-uid root: only root can mount", path);
    else
        findings_add(examination->findings, FINDING_OK, "helper", NULL, "users mount by %.200s",
                     path);
}

void check_user(struct examination *examination)
{
    const struct passwd *user = getpwnam(WORKER_USER);

    if (user == NULL)
        findings_add(examination->findings, FINDING_NOTE, "user",
                     "useradd --system --no-create-home " WORKER_USER,
                     "there is no user " WORKER_USER
                     ": workers of root's mounts run under numbers that nobody has");
    else if (user->pw_uid == 0)
        findings_add(examination->findings, FINDING_WARNING, "user", "give it a number of its own",
                     "the user " WORKER_USER
                     " is root, so workers run under numbers that nobody has");
    else
        findings_add(examination->findings, FINDING_OK, "user", NULL,
                     "workers of root's mounts run as " WORKER_USER " (%u)",
                     (unsigned)user->pw_uid);
}

void check_limits(struct examination *examination)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    if (limit.rlim_max < DESCRIPTORS_WANTED)
        findings_add(examination->findings, FINDING_WARNING, "descriptors",
                     "raise it: ulimit -Hn, or LimitNOFILE= of the unit",
                     "a process may have %llu open files, less than the %d that a mount wants: it "
                     "is slower",
                     (unsigned long long)limit.rlim_max, DESCRIPTORS_WANTED);
    else
        findings_add(examination->findings, FINDING_OK, "descriptors", NULL,
                     "a process may have %llu open files", (unsigned long long)limit.rlim_max);
}
