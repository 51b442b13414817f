/* SPDX-License-Identifier: MIT */
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdint.h>
#include <string.h>
#include <windows.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file_handle.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/base/widepath.h"

#define IO_MAX ((size_t)1 << 30)
#define COPY_STEP (256 * 1024)
#define SHARE_ALL (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define SECONDS_TO_1970 11644473600LL

static HANDLE handle_of(int fd)
{
    return (HANDLE)_get_osfhandle(fd);
}

int file_handle_open(const wchar_t *path, uint32_t access, uint32_t creation, const char *shown,
                     void **out_handle, struct error *err)
{
    HANDLE handle = CreateFileW(path, access, SHARE_ALL, NULL, creation,
                                FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);

    if (handle == INVALID_HANDLE_VALUE)
        return widepath_failed(GetLastError(), shown, err);
    *out_handle = handle;
    return 0;
}

int file_handle_descriptor(void *handle, int *out_fd, struct error *err)
{
    int fd = _open_osfhandle((intptr_t)handle, _O_BINARY | _O_NOINHERIT);

    if (fd < 0) {
        CloseHandle(handle);
        return error_set(err, -EMFILE, "too many open files");
    }
    *out_fd = fd;
    return 0;
}

/* 100 ns steps since 1601 as seconds, rounded down, and the rest. */
static void split_time(int64_t steps, int64_t *out_s, uint32_t *out_ns)
{
    int64_t seconds = steps / 10000000;
    int64_t rest = steps % 10000000;

    *out_s = seconds - SECONDS_TO_1970;
    *out_ns = (uint32_t)rest * 100;
}

static enum file_kind kind_of(DWORD attributes)
{
    if ((attributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0)
        return FILE_LINK;
    return (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0 ? FILE_DIRECTORY : FILE_REGULAR;
}

int file_handle_info(void *handle, struct file_info *out, const char *shown, struct error *err)
{
    BY_HANDLE_FILE_INFORMATION by_handle;
    FILE_BASIC_INFO basic;

    if (!GetFileInformationByHandle(handle, &by_handle) ||
        !GetFileInformationByHandleEx(handle, FileBasicInfo, &basic, sizeof(basic)))
        return widepath_failed(GetLastError(), shown, err);
    *out = (struct file_info){
        .kind = kind_of(by_handle.dwFileAttributes),
        .size = (uint64_t)by_handle.nFileSizeHigh << 32 | by_handle.nFileSizeLow,
        .device = by_handle.dwVolumeSerialNumber,
        .inode = (uint64_t)by_handle.nFileIndexHigh << 32 | by_handle.nFileIndexLow,
        .links = by_handle.nNumberOfLinks,
    };
    out->mode = out->kind == FILE_DIRECTORY ? 0755 : 0644;
    split_time(basic.LastWriteTime.QuadPart, &out->mtime_s, &out->mtime_ns);
    split_time(basic.ChangeTime.QuadPart, &out->ctime_s, &out->ctime_ns);
    return 0;
}

int file_handle_path_info(const wchar_t *path, struct file_info *out, const char *shown,
                          struct error *err)
{
    void *handle;
    int r = file_handle_open(path, FILE_READ_ATTRIBUTES, OPEN_EXISTING, shown, &handle, err);

    if (r < 0)
        return r;
    r = file_handle_info(handle, out, shown, err);
    CloseHandle(handle);
    return r;
}

int file_open_read(const char *path, int *out_fd, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    HANDLE handle;
    int r = widepath_of(path, &wide, err);

    if (r < 0)
        return r;
    handle = CreateFileW(wide, GENERIC_READ, SHARE_ALL, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL,
                         NULL);
    if (handle == INVALID_HANDLE_VALUE)
        return widepath_failed(GetLastError(), path, err);
    return file_handle_descriptor(handle, out_fd, err);
}

int file_info(int fd, struct file_info *out, struct error *err)
{
    return file_handle_info(handle_of(fd), out, "cannot examine an open file", err);
}

static OVERLAPPED at_offset(uint64_t offset)
{
    OVERLAPPED at;

    memset(&at, 0, sizeof(at));
    at.Offset = (DWORD)offset;
    at.OffsetHigh = (DWORD)(offset >> 32);
    return at;
}

/* positioned: at `offset`, else where the descriptor stands. */
static int read_some(int fd, bool positioned, uint64_t offset, uint8_t *out, size_t size,
                     size_t *out_size, struct error *err)
{
    size_t done = 0;

    while (done < size) {
        OVERLAPPED at = at_offset(offset + done);
        DWORD step = (DWORD)(size - done < IO_MAX ? size - done : IO_MAX);
        DWORD n = 0;
        if (!ReadFile(handle_of(fd), out + done, step, &n, positioned ? &at : NULL)) {
            DWORD code = GetLastError();
            if (code == ERROR_HANDLE_EOF || code == ERROR_BROKEN_PIPE)
                break;
            return widepath_failed(code, "cannot read", err);
        }
        if (n == 0)
            break;
        done += n;
    }
    *out_size = done;
    return 0;
}

int file_read_at(int fd, uint64_t offset, void *out, size_t size, size_t *out_size,
                 struct error *err)
{
    if (offset > INT64_MAX - size)
        return error_set(err, -EINVAL, "cannot read: offset out of range");
    return read_some(fd, true, offset, out, size, out_size, err);
}

int file_read(int fd, void *out, size_t size, size_t *out_size, struct error *err)
{
    return read_some(fd, false, 0, out, size, out_size, err);
}

static int write_all(int fd, bool positioned, uint64_t offset, const uint8_t *bytes, size_t size,
                     struct error *err)
{
    size_t done = 0;

    while (done < size) {
        OVERLAPPED at = at_offset(offset + done);
        DWORD step = (DWORD)(size - done < IO_MAX ? size - done : IO_MAX);
        DWORD n = 0;
        if (!WriteFile(handle_of(fd), bytes + done, step, &n, positioned ? &at : NULL))
            return widepath_failed(GetLastError(), "cannot write", err);
        if (n == 0)
            return error_set(err, -EIO, "cannot write: the system took nothing");
        done += n;
    }
    return 0;
}

int file_write_at(int fd, uint64_t offset, const void *bytes, size_t size, struct error *err)
{
    if (offset > INT64_MAX - size)
        return error_set(err, -EINVAL, "cannot write: offset out of range");
    return write_all(fd, true, offset, bytes, size, err);
}

int file_write(int fd, const void *bytes, size_t size, struct error *err)
{
    return write_all(fd, false, 0, bytes, size, err);
}

int file_truncate(int fd, uint64_t size, struct error *err)
{
    FILE_END_OF_FILE_INFO end;

    if (size > INT64_MAX)
        return error_set(err, -EINVAL, "cannot set the size: out of range");
    end.EndOfFile.QuadPart = (LONGLONG)size;
    if (!SetFileInformationByHandle(handle_of(fd), FileEndOfFileInfo, &end, sizeof(end)))
        return widepath_failed(GetLastError(), "cannot set the size", err);
    return 0;
}

int file_sync(int fd, struct error *err)
{
    return _commit(fd) != 0 ? error_system(err, errno, "cannot sync") : 0;
}

bool file_info_is_mine(const struct file_info *info)
{
    return true;
}

int file_set_owner(int fd, uint32_t owner, uint32_t group, struct error *err)
{
    return 0; /* what is made inherits */
}

int file_set_mode(int fd, uint32_t mode, struct error *err)
{
    return 0; /* there are no permission bits */
}

int file_set_mtime(int fd, int64_t mtime_s, struct error *err)
{
    const int64_t steps = (mtime_s + SECONDS_TO_1970) * 10000000;
    const FILETIME time = { (DWORD)steps, (DWORD)(steps >> 32) };

    if (mtime_s < -SECONDS_TO_1970 || mtime_s > INT64_MAX / 10000000 - SECONDS_TO_1970)
        return error_set(err, -EINVAL, "a time that Windows cannot hold");
    if (!SetFileTime(handle_of(fd), NULL, NULL, &time))
        return widepath_failed(GetLastError(), "cannot set the time", err);
    return 0;
}

void file_sync_begin(int fd, uint64_t offset, uint64_t size)
{
    /* The system writes out by itself. */
}

int file_read_directly(int fd, bool on)
{
    return -ENOTSUP;
}

int file_sync_data(int fd, struct error *err)
{
    return file_sync(fd, err);
}

int file_copy(int from, int to, uint64_t size, struct error *err)
{
    cleanup_memory uint8_t *bytes = memory_new(COPY_STEP);

    if (bytes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (uint64_t done = 0; done < size;) {
        size_t step = size - done < COPY_STEP ? (size_t)(size - done) : COPY_STEP;
        size_t n = 0;
        int r = file_read_at(from, done, bytes, step, &n, err);
        if (r == 0 && n < step)
            r = error_set(err, -EIO, "cannot copy: the file is shorter than it was");
        if (r == 0)
            r = file_write_at(to, done, bytes, n, err);
        if (r < 0)
            return r;
        done += n;
    }
    return 0;
}

int file_lock(int fd, struct error *err)
{
    OVERLAPPED at = at_offset(0);

    if (LockFileEx(handle_of(fd), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0,
                   &at))
        return 0;
    if (GetLastError() == ERROR_LOCK_VIOLATION)
        return error_set(err, -EBUSY, "locked by another process");
    return widepath_failed(GetLastError(), "cannot lock", err);
}

int file_map(int fd, size_t size, struct span *out_bytes, struct error *err)
{
    void *at = NULL;

    if (size > 0) {
        HANDLE mapping = CreateFileMappingW(handle_of(fd), NULL, PAGE_READONLY, 0, 0, NULL);
        if (mapping == NULL)
            return widepath_failed(GetLastError(), "cannot map", err);
        at = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, size);
        CloseHandle(mapping);
        if (at == NULL)
            return widepath_failed(GetLastError(), "cannot map", err);
    }
    *out_bytes = span_of(at, size);
    return 0;
}

void file_unmap(struct span bytes)
{
    if (bytes.size > 0)
        UnmapViewOfFile(bytes.bytes);
}

static int write_new(const wchar_t *path, struct span bytes, const char *shown, struct error *err)
{
    cleanup_fd int fd = -1;
    void *handle;
    int r = file_handle_open(path, GENERIC_WRITE, CREATE_NEW, shown, &handle, err);

    if (r == 0)
        r = file_handle_descriptor(handle, &fd, err);
    if (r == 0)
        r = file_write(fd, bytes.bytes, bytes.size, err);
    return r < 0 ? r : file_sync(fd, err);
}

int file_save(const char *path, struct span bytes, uint32_t mode, struct error *err)
{
    cleanup(buf_release) struct buf beside = buf_init(BUF_UNLIMITED);
    cleanup_memory wchar_t *wide = NULL;
    cleanup_memory wchar_t *wide_beside = NULL;
    uint64_t number;
    int r = random_bytes(&number, sizeof(number), err);

    buf_format(&beside, "%s.%016llx", path, (unsigned long long)number);
    if (r == 0)
        r = buf_check(&beside, err);
    if (r == 0)
        r = widepath_of(path, &wide, err);
    if (r == 0)
        r = widepath_of(buf_text(&beside), &wide_beside, err);
    if (r < 0)
        return r;
    r = write_new(wide_beside, bytes, path, err);
    if (r == 0 &&
        !MoveFileExW(wide_beside, wide, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
        r = widepath_failed(GetLastError(), path, err);
    if (r < 0 && r != -EEXIST)
        DeleteFileW(wide_beside);
    return r;
}

int file_make_directories(const char *path, uint32_t mode, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    struct file_info info;
    int r = widepath_of(path, &wide, err);

    if (r < 0)
        return r;
    /* Behind the prefix and the drive: "\\?\C:\" */
    for (wchar_t *at = wide + wcslen(wide) < wide + 7 ? wide : wide + 7;; at++) {
        wchar_t saved = *at;
        if (saved != L'\\' && saved != L'\0')
            continue;
        *at = L'\0';
        CreateDirectoryW(wide, NULL); /* what is missing in the end is told below */
        *at = saved;
        if (saved == L'\0')
            break;
    }
    r = file_handle_path_info(wide, &info, path, err);
    if (r == 0 && info.kind == FILE_REGULAR)
        r = error_set(err, -ENOTDIR, "%s: is not a directory", path);
    return r;
}

int file_free_space(const char *path, uint64_t *out_bytes, struct error *err)
{
    cleanup_memory wchar_t *wide = NULL;
    ULARGE_INTEGER available;
    int r = widepath_of(path, &wide, err);

    if (r < 0)
        return r;
    if (!GetDiskFreeSpaceExW(wide, &available, NULL, NULL))
        return widepath_failed(GetLastError(), path, err);
    *out_bytes = available.QuadPart;
    return 0;
}
