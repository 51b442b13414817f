/* SPDX-License-Identifier: MIT */
#include "common/base/directory.h"

#include <errno.h>
#include <string.h>
#include <windows.h>

#include <winioctl.h>

#include "common/base/cleanup.h"
#include "common/base/directory_path.h"
#include "common/base/directory_root.h"
#include "common/base/error.h"
#include "common/base/file_handle.h"
#include "common/base/memory.h"
#include "common/base/widepath.h"

#define REMOVE_DEPTH_MAX 300
#define LINK_TARGET_MAX 4095
#define SECONDS_TO_1970 11644473600LL
#define LINK_UNPRIVILEGED 0x2u /* of CreateSymbolicLinkW, where developers may */

struct directory {
    wchar_t *root; /* long and absolute */
};

/* What FSCTL_GET_REPARSE_POINT fills for a symbolic link; the user's headers lack it. */
struct link_data {
    uint32_t tag;
    uint16_t size, reserved;
    uint16_t target_offset, target_size; /* bytes, of the name as the system resolves it */
    uint16_t shown_offset, shown_size;   /* bytes, of the name as it was given */
    uint32_t flags;
    wchar_t names[(16 * 1024 - 20) / sizeof(wchar_t)];
};

/* Takes `root`. */
static int wrap_root(wchar_t **root, struct directory **out_directory, struct error *err)
{
    struct directory *directory = memory_new(sizeof(*directory));

    if (directory == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    directory->root = take_pointer(root);
    *out_directory = directory;
    return 0;
}

const wchar_t *directory_root(const struct directory *directory)
{
    return directory->root;
}

int directory_open_parent(const char *path, struct directory **out_parent, char **out_name,
                          struct error *err)
{
    return error_set(err, -ENOTSUP, "%s: its parent is not opened on Windows", path);
}

/* Links are left as they are. The prefix of widepath.h is for the system alone. */
int directory_real_path(const char *path, char **out, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    const wchar_t *from;
    char *text;
    int r = widepath_of(path, &wide, err);

    if (r < 0)
        return r;
    from = wcsncmp(wide + 4, L"UNC\\", 4) == 0 ? wide : wide + 4;
    text = widepath_text(from, wcslen(from));
    if (text == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out = text;
    return 0;
}

int directory_open(const char *path, struct directory **out_directory, struct error *err)
{
    cleanup_memory wchar_t *root = NULL;
    DWORD attributes;
    int r = widepath_of(path, &root, err);

    if (r < 0)
        return r;
    attributes = GetFileAttributesW(root);
    if (attributes == INVALID_FILE_ATTRIBUTES)
        return widepath_failed(GetLastError(), path, err);
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) == 0)
        return error_set(err, -ENOTDIR, "%s: is not a directory", path);
    return wrap_root(&root, out_directory, err);
}

struct directory *directory_close(struct directory *directory)
{
    if (directory == NULL)
        return NULL;
    memory_free(directory->root);
    return memory_free(directory);
}

int directory_fd(const struct directory *directory)
{
    return -1;
}

void directory_use_walk(struct directory *directory)
{
}

/* -ELOOP when a component before the last is a reparse point: a link, a junction, a mount. */
static int check_parents(const struct directory *at, wchar_t *wide, const char *path,
                         struct error *err)
{
    for (wchar_t *end = wide + wcslen(at->root) + 1; *end != L'\0'; end++) {
        DWORD attributes;
        if (*end != L'\\')
            continue;
        *end = L'\0';
        attributes = GetFileAttributesW(wide);
        *end = L'\\';
        if (attributes == INVALID_FILE_ATTRIBUTES)
            return widepath_failed(GetLastError(), path, err);
        if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
            return error_system(err, ELOOP, "%s", path);
        if ((attributes & FILE_ATTRIBUTE_DIRECTORY) == 0)
            return error_set(err, -ENOTDIR, "%s: a parent is not a directory", path);
    }
    return 0;
}

/* The long path of an entry, its parents checked. */
static int find(struct directory *at, const char *path, wchar_t **out_wide, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    int r = widepath_below(at->root, path, &wide, err);

    if (r == 0 && path[0] != '\0')
        r = check_parents(at, wide, path, err);
    if (r == 0)
        *out_wide = take_pointer(&wide);
    return r;
}

static int find_entry(struct directory *at, const char *path, wchar_t **out_wide, struct error *err)
{
    if (path[0] == '\0')
        return error_set(err, -EINVAL, "a directory cannot be its own entry");
    return find(at, path, out_wide, err);
}

static int told(BOOL done, const char *path, struct error *err)
{
    return done ? 0 : widepath_failed(GetLastError(), path[0] == '\0' ? "." : path, err);
}

int directory_open_below(struct directory *at, const char *path, struct directory **out_directory,
                         struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    struct file_info info;
    int r = find(at, path, &wide, err);

    if (r == 0)
        r = file_handle_path_info(wide, &info, path, err);
    if (r < 0)
        return r;
    if (info.kind == FILE_LINK && path[0] != '\0')
        return error_system(err, ELOOP, "%s", path);
    if (info.kind == FILE_REGULAR)
        return error_set(err, -ENOTDIR, "%s: is not a directory", path);
    return wrap_root(&wide, out_directory, err);
}

int directory_info(struct directory *at, const char *path, struct file_info *out, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    int r = find(at, path, &wide, err);

    return r < 0 ? r : file_handle_path_info(wide, out, path, err);
}

static int open_regular(struct directory *at, const char *path, uint32_t access, uint32_t creation,
                        int *out_fd, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    struct file_info info;
    void *handle;
    int r = find_entry(at, path, &wide, err);

    if (r == 0)
        r = file_handle_open(wide, access, creation, path, &handle, err);
    if (r < 0)
        return r;
    r = file_handle_info(handle, &info, path, err);
    if (r == 0 && info.kind == FILE_LINK)
        r = error_system(err, ELOOP, "%s", path);
    else if (r == 0 && info.kind != FILE_REGULAR)
        r = error_set(err, -EINVAL, "%s: is not a regular file", path);
    if (r < 0) {
        CloseHandle(handle);
        return r;
    }
    return file_handle_descriptor(handle, out_fd, err);
}

int directory_open_read(struct directory *at, const char *path, int *out_fd, struct error *err)
{
    return open_regular(at, path, GENERIC_READ, OPEN_EXISTING, out_fd, err);
}

int directory_open_write(struct directory *at, const char *path, int *out_fd, struct error *err)
{
    return open_regular(at, path, GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING, out_fd, err);
}

int directory_create(struct directory *at, const char *path, uint32_t mode, int *out_fd,
                     struct error *err)
{
    return open_regular(at, path, GENERIC_READ | GENERIC_WRITE, CREATE_NEW, out_fd, err);
}

int directory_make(struct directory *at, const char *path, uint32_t mode, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    int r = find_entry(at, path, &wide, err);

    return r < 0 ? r : told(CreateDirectoryW(wide, NULL), path, err);
}

/* Read-only files cannot be deleted before they are made writable. */
static BOOL delete_file(const wchar_t *wide)
{
    DWORD attributes = GetFileAttributesW(wide);

    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_READONLY) != 0)
        SetFileAttributesW(wide, attributes & ~(DWORD)FILE_ATTRIBUTE_READONLY);
    /* A link to a directory is a directory to Windows. */
    if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 &&
        (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        return RemoveDirectoryW(wide);
    return DeleteFileW(wide);
}

int directory_remove_file(struct directory *at, const char *path, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    int r = find_entry(at, path, &wide, err);

    return r < 0 ? r : told(delete_file(wide), path, err);
}

int directory_remove_empty(struct directory *at, const char *path, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    struct file_info info;
    int r = find_entry(at, path, &wide, err);

    if (r == 0)
        r = file_handle_path_info(wide, &info, path, err);
    if (r == 0 && info.kind != FILE_DIRECTORY)
        r = error_set(err, -ENOTDIR, "%s: is not a directory", path);
    return r < 0 ? r : told(RemoveDirectoryW(wide), path, err);
}

/* `wide` plus a backslash and `name`; NULL when memory is out. */
static wchar_t *joined(const wchar_t *wide, const wchar_t *name)
{
    size_t size = wcslen(wide), more = wcslen(name);
    wchar_t *path = memory_array(size + more + 2, sizeof(*path));

    if (path == NULL)
        return NULL;
    memcpy(path, wide, size * sizeof(*path));
    if (size > 0 && wide[size - 1] != L'\\')
        path[size++] = L'\\';
    memcpy(path + size, name, (more + 1) * sizeof(*path));
    return path;
}

static bool is_dots(const wchar_t *name)
{
    return name[0] == L'.' && (name[1] == L'\0' || (name[1] == L'.' && name[2] == L'\0'));
}

typedef int wide_each(void *context, const WIN32_FIND_DATAW *found, struct error *err);

static int list_wide(const wchar_t *wide, const char *shown, wide_each *each, void *context,
                     struct error *err)
{
    cleanup_memory wchar_t *pattern = joined(wide, L"*");
    WIN32_FIND_DATAW found;
    HANDLE search;
    int r = 0;

    if (pattern == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    search = FindFirstFileW(pattern, &found);
    if (search == INVALID_HANDLE_VALUE)
        return widepath_failed(GetLastError(), shown, err);
    do {
        if (!is_dots(found.cFileName))
            r = each(context, &found, err);
    } while (r == 0 && FindNextFileW(search, &found));
    if (r == 0 && GetLastError() != ERROR_NO_MORE_FILES)
        r = widepath_failed(GetLastError(), shown, err);
    FindClose(search);
    return r;
}

struct removal {
    const wchar_t *wide;
    const char *shown;
    int depth;
};

static int remove_wide(const wchar_t *wide, const char *shown, int depth, struct error *err);

static int remove_found(void *context, const WIN32_FIND_DATAW *found, struct error *err)
{
    const struct removal *removal = context;
    cleanup_memory wchar_t *path = joined(removal->wide, found->cFileName);

    if (path == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    return remove_wide(path, removal->shown, removal->depth + 1, err);
}

static int remove_wide(const wchar_t *wide, const char *shown, int depth, struct error *err)
{
    struct removal removal = { wide, shown, depth };
    DWORD attributes = GetFileAttributesW(wide);
    int r;

    if (attributes == INVALID_FILE_ATTRIBUTES) {
        r = widepath_failed(GetLastError(), shown, err);
        return r == -ENOENT ? 0 : r;
    }
    if ((attributes & FILE_ATTRIBUTE_DIRECTORY) == 0 ||
        (attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        return told(delete_file(wide), shown, err);
    if (depth >= REMOVE_DEPTH_MAX)
        return error_system(err, ELOOP, "%s", shown);
    r = list_wide(wide, shown, remove_found, &removal, err);
    return r < 0 ? r : told(RemoveDirectoryW(wide), shown, err);
}

int directory_remove_all(struct directory *at, const char *path, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    struct error ignored;
    int r = find_entry(at, path, &wide, &ignored);

    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    if (r < 0)
        return error_set(err, r, "%s", ignored.text);
    return remove_wide(wide, path, 0, err);
}

static int move(struct directory *at, const char *from, struct directory *to_at, const char *to,
                DWORD flags, struct error *err)
{
    cleanup_memory wchar_t *source = NULL;
    cleanup_memory wchar_t *target = NULL;
    int r = find_entry(at, from, &source, err);

    if (r == 0)
        r = find_entry(to_at, to, &target, err);
    return r < 0 ? r : told(MoveFileExW(source, target, flags), to, err);
}

int directory_rename(struct directory *at, const char *from, struct directory *to_at,
                     const char *to, struct error *err)
{
    return move(at, from, to_at, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH, err);
}

int directory_rename_new(struct directory *at, const char *from, struct directory *to_at,
                         const char *to, struct error *err)
{
    return move(at, from, to_at, to, MOVEFILE_WRITE_THROUGH, err);
}

int directory_exchange(struct directory *at, const char *path, struct directory *other_at,
                       const char *other, struct error *err)
{
    return error_set(err, -ENOTSUP, "%s: Windows cannot exchange two entries", path);
}

int directory_read_link(struct directory *at, const char *path, char **out_target,
                        struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    cleanup_memory struct link_data *data = memory_new(sizeof(*data));
    void *handle;
    DWORD size = 0;
    BOOL done;
    char *target;
    int r =
        data == NULL ? error_set(err, -ENOMEM, "out of memory") : find_entry(at, path, &wide, err);

    if (r == 0)
        r = file_handle_open(wide, FILE_READ_ATTRIBUTES, OPEN_EXISTING, path, &handle, err);
    if (r < 0)
        return r;
    done =
        DeviceIoControl(handle, FSCTL_GET_REPARSE_POINT, NULL, 0, data, sizeof(*data), &size, NULL);
    CloseHandle(handle);
    if (!done || data->tag != IO_REPARSE_TAG_SYMLINK ||
        (size_t)data->shown_offset + data->shown_size > sizeof(data->names))
        return error_set(err, -EINVAL, "%s: is not a symbolic link", path);
    target = widepath_text(data->names + data->shown_offset / sizeof(wchar_t),
                           data->shown_size / sizeof(wchar_t));
    if (target == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (strlen(target) > LINK_TARGET_MAX) {
        memory_free(target);
        return error_set(err, -EFBIG, "%s: the link's target is above %d bytes", path,
                         LINK_TARGET_MAX);
    }
    for (char *c = target; *c != '\0'; c++) {
        if (*c == '\\')
            *c = '/';
    }
    *out_target = target;
    return 0;
}

int directory_make_link(struct directory *at, const char *target, const char *path,
                        struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    cleanup_memory wchar_t *wide_target = NULL;
    int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, target, -1, NULL, 0);
    int r = find_entry(at, path, &wide, err);

    if (r < 0)
        return r;
    if (count <= 0)
        return error_set(err, -EINVAL, "%s: the link's target is not UTF-8", path);
    wide_target = memory_array((size_t)count, sizeof(*wide_target));
    if (wide_target == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, target, -1, wide_target, count);
    for (wchar_t *c = wide_target; *c != L'\0'; c++) {
        if (*c == L'/')
            *c = L'\\';
    }
    return told(CreateSymbolicLinkW(wide, wide_target, LINK_UNPRIVILEGED), path, err);
}

int directory_set_mode(struct directory *at, const char *path, uint32_t mode, struct error *err)
{
    return 0; /* there are no permission bits */
}

int directory_set_owner(struct directory *at, const char *path, uint32_t owner, uint32_t group,
                        struct error *err)
{
    return 0; /* what is made inherits */
}

int directory_set_mtime(struct directory *at, const char *path, int64_t mtime_s, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    int64_t steps = (mtime_s + SECONDS_TO_1970) * 10000000;
    FILETIME time = { (DWORD)steps, (DWORD)(steps >> 32) };
    void *handle;
    BOOL done;
    int r;

    if (mtime_s < -SECONDS_TO_1970 || mtime_s > INT64_MAX / 10000000 - SECONDS_TO_1970)
        return error_set(err, -EINVAL, "%s: a time that Windows cannot hold", path);
    r = find(at, path, &wide, err);
    if (r == 0)
        r = file_handle_open(wide, FILE_WRITE_ATTRIBUTES, OPEN_EXISTING, path, &handle, err);
    if (r < 0)
        return r;
    done = SetFileTime(handle, NULL, NULL, &time);
    r = told(done, path, err);
    CloseHandle(handle);
    return r;
}

bool directory_may_write(struct directory *directory)
{
    return true; /* told by the first one that fails */
}

int directory_sync(struct directory *directory, struct error *err)
{
    return 0; /* renames are written through */
}

struct listing_call {
    directory_each *each;
    void *context;
};

static int list_found(void *context, const WIN32_FIND_DATAW *found, struct error *err)
{
    const struct listing_call *call = context;
    cleanup_memory char *name = widepath_text(found->cFileName, wcslen(found->cFileName));
    enum file_kind kind = FILE_REGULAR;

    if (name == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if ((found->dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        kind = FILE_LINK;
    else if ((found->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0)
        kind = FILE_DIRECTORY;
    return call->each(call->context, name, kind, err);
}

int directory_list(struct directory *at, const char *path, directory_each *each, void *context,
                   struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    struct listing_call call = { each, context };
    struct file_info info;
    int r = find(at, path, &wide, err);

    if (r == 0)
        r = file_handle_path_info(wide, &info, path, err);
    if (r == 0 && info.kind == FILE_LINK && path[0] != '\0')
        r = error_system(err, ELOOP, "%s", path);
    else if (r == 0 && info.kind == FILE_REGULAR)
        r = error_system(err, ENOTDIR, "%s", path);
    return r < 0 ? r : list_wide(wide, path, list_found, &call, err);
}
