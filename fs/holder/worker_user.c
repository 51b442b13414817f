/* SPDX-License-Identifier: MIT */
#include "fs/holder/worker_user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"

/* Between the users of people and 65534; systemd gives the numbers 61184 to 65519 to services that
 * have no user, and asks before whether somebody has one. */
#define FIRST_NUMBER 62000
#define NUMBER_COUNT 3000
#define DEPTH_MAX 8 /* of directories in a cache */

uint32_t worker_user_number(const char *cache, uint32_t attempt)
{
    uint32_t hash = 2166136261u; /* FNV-1a: it only has to scatter */

    for (const char *at = cache; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619u;
    return FIRST_NUMBER + (hash % NUMBER_COUNT + attempt) % NUMBER_COUNT;
}

static bool is_in_range(uint32_t uid)
{
    return uid >= FIRST_NUMBER && uid < FIRST_NUMBER + NUMBER_COUNT;
}

static bool take_number(uint32_t number, struct worker_user *out)
{
    if (!is_in_range(number) || getpwuid(number) != NULL || getgrgid(number) != NULL)
        return false;
    *out = (struct worker_user){ number, number, false };
    return true;
}

int worker_user_find(const char *cache, struct worker_user *out, struct error *err)
{
    const struct passwd *user = getpwnam(WORKER_USER);
    struct stat info;

    if (user != NULL && user->pw_uid != 0) {
        *out = (struct worker_user){ user->pw_uid, user->pw_gid, true };
        return 0;
    }
    if (stat(cache, &info) == 0 && take_number(info.st_uid, out))
        return 0;
    for (uint32_t attempt = 0; attempt < NUMBER_COUNT; attempt++)
        if (take_number(worker_user_number(cache, attempt), out))
            return 0;
    return error_set(err, -ENOENT, "no user number from %d to %d is free", FIRST_NUMBER,
                     FIRST_NUMBER + NUMBER_COUNT - 1);
}

struct giving {
    const struct worker_user *user;
    uid_t former;
};

static int give_entry(const struct giving *giving, int directory, const char *name, int depth);

/* Never through a link, and only what was the former owner's. */
static int give_below(const struct giving *giving, int directory, int depth)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
    const struct dirent *entry;
    int r = 0;

    if (list == NULL) {
        r = -errno;
        if (copy >= 0)
            close(copy);
        return r;
    }
    while (r == 0 && (entry = readdir(list)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = give_entry(giving, directory, entry->d_name, depth);
    closedir(list);
    return r;
}

static int give_entry(const struct giving *giving, int directory, const char *name, int depth)
{
    cleanup_fd int below = -1;
    struct stat info;

    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (info.st_uid != giving->former)
        return 0;
    if (fchownat(directory, name, giving->user->uid, giving->user->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISDIR(info.st_mode) || depth >= DEPTH_MAX)
        return 0;
    below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return below < 0 ? 0 : give_below(giving, below, depth + 1);
}

bool worker_user_takes(uint32_t owner)
{
    const struct passwd *named = getpwnam(WORKER_USER);

    return owner == 0 || is_in_range(owner) || (named != NULL && owner == named->pw_uid);
}

static int judge_owner(const char *cache, const struct worker_user *user, uid_t owner,
                       struct error *err)
{
    if (owner == user->uid || worker_user_takes(owner))
        return 0;
    return error_set(err, -EACCES, "cache %s belongs to user %u, who may not be a worker", cache,
                     (unsigned)owner);
}

int worker_user_open_cache(const char *cache, const struct worker_user *user, int *out_directory,
                           struct error *err)
{
    cleanup_fd int directory = -1;
    struct giving giving = { .user = user };
    struct stat info;
    int r = file_make_directories(cache, 0700, err);

    if (r < 0)
        return error_prefix(err, r, "cache");
    directory = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || fstat(directory, &info) < 0)
        return error_system(err, errno, "cache %s", cache);
    r = judge_owner(cache, user, info.st_uid, err);
    if (r < 0)
        return r;
    giving.former = info.st_uid;
    if (info.st_uid != user->uid) {
        /* The top last: when this is cut off it is done again. */
        r = give_below(&giving, directory, 0);
        if (r == 0 && fchown(directory, user->uid, user->gid) < 0)
            r = -errno;
        if (r < 0 && r != -EROFS)
            return error_system(err, -r, "cache %s", cache);
    }
    *out_directory = take_fd(&directory);
    return 0;
}

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

    return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int worker_user_become(const struct worker_user *user)
{
    /* The bounding set while that is still allowed; the number of capabilities is the kernel's. */
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            return -errno;
    if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
        setresuid(user->uid, user->uid, user->uid) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return drop_capabilities();
}

int worker_user_enter_cache(const char *cache, struct error *err)
{
    cleanup_fd int directory = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct worker_user owner = { .has_name = false };
    struct stat info;
    int r;

    if (directory < 0 || fstat(directory, &info) < 0 || fchdir(directory) < 0)
        return error_system(err, errno, "cache %s", cache);
    owner.uid = info.st_uid;
    owner.gid = info.st_gid;
    if (geteuid() != 0 || owner.uid == 0)
        return 0;
    r = worker_user_become(&owner);
    return r < 0 ? error_system(err, -r, "the owner of cache %s", cache) : 0;
}

bool worker_user_is_possible(const char *cache)
{
    struct worker_user user;
    int status = -1;
    pid_t pid;

    if (geteuid() != 0 || worker_user_find(cache, &user, NULL) < 0)
        return false;
    pid = fork();
    if (pid == 0)
        _exit(worker_user_become(&user) == 0 ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}
