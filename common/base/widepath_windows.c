/* SPDX-License-Identifier: MIT */
#include "common/base/widepath.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <windows.h>

#include "common/base/cleanup.h"
#include "common/base/directory_path.h"
#include "common/base/error.h"
#include "common/base/memory.h"

static const wchar_t long_prefix[] = L"\\\\?\\";
static const wchar_t share_prefix[] = L"\\\\?\\UNC\\";

static const struct {
    DWORD code;
    int number;
} failures[] = {
    { ERROR_FILE_NOT_FOUND, ENOENT },
    { ERROR_PATH_NOT_FOUND, ENOENT },
    { ERROR_INVALID_NAME, EINVAL },
    { ERROR_ACCESS_DENIED, EACCES },
    { ERROR_SHARING_VIOLATION, EBUSY },
    { ERROR_LOCK_VIOLATION, EBUSY },
    { ERROR_FILE_EXISTS, EEXIST },
    { ERROR_ALREADY_EXISTS, EEXIST },
    { ERROR_DIR_NOT_EMPTY, ENOTEMPTY },
    { ERROR_DIRECTORY, ENOTDIR },
    { ERROR_DISK_FULL, ENOSPC },
    { ERROR_HANDLE_DISK_FULL, ENOSPC },
    { ERROR_WRITE_PROTECT, EROFS },
    { ERROR_NOT_ENOUGH_MEMORY, ENOMEM },
    { ERROR_OUTOFMEMORY, ENOMEM },
    { ERROR_INVALID_HANDLE, EBADF },
    { ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG },
    { ERROR_NOT_SUPPORTED, ENOTSUP },
    { ERROR_PRIVILEGE_NOT_HELD, EPERM },
    { ERROR_TOO_MANY_OPEN_FILES, EMFILE },
};

int widepath_failed(unsigned long code, const char *what, struct error *err)
{
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        if (failures[i].code == code)
            return error_system(err, failures[i].number, "%s", what);
    }
    return error_set(err, -EIO, "%s: Windows error %lu", what, code);
}

static int to_wide(const char *text, wchar_t **out_wide, struct error *err)
{
    int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *wide;

    if (count <= 0)
        return error_set(err, -EINVAL, "\"%s\" is not UTF-8", text);
    wide = memory_array((size_t)count, sizeof(*wide));
    if (wide == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, count);
    *out_wide = wide;
    return 0;
}

int widepath_of(const char *path, wchar_t **out_wide, struct error *err)
{
    cleanup_memory wchar_t *given = NULL;
    cleanup_memory wchar_t *full = NULL;
    size_t prefix = sizeof(share_prefix) / sizeof(share_prefix[0]);
    DWORD count;
    int r = to_wide(path, &given, err);

    if (r < 0)
        return r;
    count = GetFullPathNameW(given, 0, NULL, NULL);
    if (count == 0)
        return widepath_failed(GetLastError(), path, err);
    full = memory_array(prefix + count + 1, sizeof(*full));
    if (full == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    count = GetFullPathNameW(given, count + 1, full + prefix, NULL);
    if (count == 0)
        return widepath_failed(GetLastError(), path, err);
    if (wcsncmp(full + prefix, long_prefix, 4) == 0) {
        memmove(full, full + prefix, (count + 1) * sizeof(*full));
    } else if (full[prefix] == L'\\' && full[prefix + 1] == L'\\') {
        memmove(full + 8, full + prefix + 2, (count - 1) * sizeof(*full));
        memcpy(full, share_prefix, 8 * sizeof(*full));
    } else {
        memmove(full + 4, full + prefix, (count + 1) * sizeof(*full));
        memcpy(full, long_prefix, 4 * sizeof(*full));
    }
    *out_wide = take_pointer(&full);
    return 0;
}

/* CON, NUL, COM1 ... with or without an extension stand for devices wherever they are. */
static bool is_device(const char *name, size_t size)
{
    static const char *const devices[] = { "CON", "PRN", "AUX", "NUL", "COM", "LPT" };
    char stem[5] = { 0 };
    size_t length = 0;

    while (length < size && name[length] != '.' && length < 4) {
        stem[length] = (char)toupper((unsigned char)name[length]);
        length++;
    }
    if (length < size && name[length] != '.')
        return false;
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        bool numbered = i >= 4;
        if (length == (numbered ? 4u : 3u) && memcmp(stem, devices[i], 3) == 0 &&
            (!numbered || isdigit((unsigned char)stem[3])))
            return true;
    }
    return false;
}

static bool component_is_good(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)name[i] < 0x20 || strchr("\\:*?\"<>|", name[i]) != NULL)
            return false;
    }
    return name[size - 1] != '.' && name[size - 1] != ' ' && !is_device(name, size);
}

int widepath_below(const wchar_t *root, const char *path, wchar_t **out_wide, struct error *err)
{
    cleanup_memory wchar_t *below = NULL;
    size_t root_size = wcslen(root), size;
    wchar_t *wide;
    int r = directory_path_check(path, err);

    for (const char *at = path; r == 0 && *at != '\0';) {
        size_t length = strcspn(at, "/");
        if (!component_is_good(at, length))
            return error_set(err, -EINVAL, "%s: is no name that Windows can hold", path);
        at += length + (at[length] == '/');
    }
    if (r == 0)
        r = to_wide(path, &below, err);
    if (r < 0)
        return r;
    size = wcslen(below);
    wide = memory_array(root_size + size + 2, sizeof(*wide));
    if (wide == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(wide, root, root_size * sizeof(*wide));
    if (size > 0 && root_size > 0 && root[root_size - 1] != L'\\')
        wide[root_size++] = L'\\';
    for (size_t i = 0; i < size; i++)
        wide[root_size + i] = below[i] == L'/' ? L'\\' : below[i];
    *out_wide = wide;
    return 0;
}

char *widepath_text(const wchar_t *wide, size_t count)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, (int)count, NULL, 0, NULL, NULL);
    char *text = memory_array((size_t)size + 1, 1);

    if (text != NULL && size > 0)
        WideCharToMultiByte(CP_UTF8, 0, wide, (int)count, text, size, NULL, NULL);
    return text;
}
