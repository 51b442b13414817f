/* SPDX-License-Identifier: MIT */
#include "common/base/platform.h"

#include <io.h>
#include <string.h>
#include <windows.h>

#include <bcrypt.h>

int platform_entropy(void *out, size_t size)
{
    NTSTATUS status = BCryptGenRandom(NULL, out, (ULONG)size, BCRYPT_USE_SYSTEM_PREFERRED_RNG);

    return status >= 0 ? 0 : -1;
}

int platform_thread_start(pthread_t *out_thread, void *(*main)(void *), void *context)
{
    return pthread_create(out_thread, NULL, main, context);
}

/* The C runtime keeps the three numbers for itself. */
int platform_guard_standard(void)
{
    return 0;
}

size_t platform_cpu_count(void)
{
    SYSTEM_INFO info;

    GetSystemInfo(&info);
    return info.dwNumberOfProcessors < 1 ? 1 : info.dwNumberOfProcessors;
}

bool platform_is_terminal(int fd)
{
    return _isatty(fd) != 0;
}

int platform_terminal_columns(int fd)
{
    CONSOLE_SCREEN_BUFFER_INFO info;

    if (GetConsoleScreenBufferInfo((HANDLE)_get_osfhandle(fd), &info))
        return info.srWindow.Right - info.srWindow.Left + 1;
    return 80;
}

void platform_host_name(char *out, size_t size)
{
    DWORD length = (DWORD)size;

    if (!GetComputerNameA(out, &length)) {
        static const char unknown[] = "unknown";
        memcpy(out, unknown, size < sizeof(unknown) ? size : sizeof(unknown));
    }
    out[size - 1] = '\0';
}
