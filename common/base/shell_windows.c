/* SPDX-License-Identifier: MIT */
#include "common/base/shell.h"

#include <errno.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/widepath.h"

#define LOOK_MS 50

/* Appends UTF-8 as UTF-16, without an end. */
static int add_wide(struct buf *out, const char *text, struct error *err)
{
    int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *at;

    if (size <= 0)
        return error_set(err, -EINVAL, "the text of a command has to be UTF-8");
    at = (wchar_t *)(void *)buf_reserve(out, (size_t)size * sizeof(wchar_t));
    if (at == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, at, size);
    buf_added(out, (size_t)(size - 1) * sizeof(wchar_t));
    return 0;
}

static void add_end(struct buf *out)
{
    buf_add_zeros(out, sizeof(wchar_t));
}

static bool is_named(const wchar_t *entry, const char *name)
{
    size_t i = 0;

    for (; name[i] != '\0'; i++) {
        if (towupper(entry[i]) != (wint_t)(unsigned char)name[i])
            return false;
    }
    return entry[i] == L'=';
}

static bool is_replaced(const struct shell_variable *variables, const wchar_t *entry)
{
    for (const struct shell_variable *at = variables; at->name != NULL; at++) {
        if (is_named(entry, at->name))
            return true;
    }
    return false;
}

/* Ours, but for what is said otherwise; names are in capitals. */
static int make_environment(const struct shell_variable *variables, struct buf *out,
                            struct error *err)
{
    wchar_t *ours = GetEnvironmentStringsW();
    int r = 0;

    for (wchar_t *at = ours; at != NULL && *at != L'\0'; at += wcslen(at) + 1) {
        if (!is_replaced(variables, at))
            buf_add(out, at, (wcslen(at) + 1) * sizeof(wchar_t));
    }
    if (ours != NULL)
        FreeEnvironmentStringsW(ours);
    for (const struct shell_variable *one = variables; r == 0 && one->name != NULL; one++) {
        if (one->value == NULL)
            continue;
        r = add_wide(out, one->name, err);
        if (r == 0)
            r = add_wide(out, "=", err);
        if (r == 0)
            r = add_wide(out, one->value, err);
        add_end(out);
    }
    add_end(out);
    return r < 0 ? r : buf_check(out, err);
}

/* What is quoted as a whole, cmd takes as it stands between the first and the last quote. */
static int make_line(const char *command, struct buf *out, struct error *err)
{
    int r = add_wide(out, "cmd.exe /d /s /c \"", err);

    if (r == 0)
        r = add_wide(out, command, err);
    if (r == 0)
        r = add_wide(out, "\"", err);
    add_end(out);
    return r < 0 ? r : buf_check(out, err);
}

/* In a job, so that all it starts ends with it. */
static int start(wchar_t *line, void *environment, HANDLE job, HANDLE *out, struct error *err)
{
    SECURITY_ATTRIBUTES inherited = { .nLength = sizeof(inherited), .bInheritHandle = TRUE };
    HANDLE nothing = CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE,
                                 &inherited, OPEN_EXISTING, 0, NULL);
    STARTUPINFOW startup = { .cb = sizeof(startup), .dwFlags = STARTF_USESTDHANDLES };
    PROCESS_INFORMATION process = { 0 };
    DWORD failure = 0;

    startup.hStdInput = nothing;
    startup.hStdOutput = GetStdHandle(STD_ERROR_HANDLE);
    startup.hStdError = startup.hStdOutput;
    SetHandleInformation(startup.hStdError, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT);
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE,
                        CREATE_UNICODE_ENVIRONMENT | CREATE_NEW_PROCESS_GROUP | CREATE_SUSPENDED,
                        environment, NULL, &startup, &process))
        failure = GetLastError();
    if (nothing != INVALID_HANDLE_VALUE)
        CloseHandle(nothing);
    if (failure != 0)
        return widepath_failed(failure, "cmd.exe", err);
    AssignProcessToJobObject(job, process.hProcess);
    ResumeThread(process.hThread);
    CloseHandle(process.hThread);
    *out = process.hProcess;
    return 0;
}

static int run(wchar_t *line, void *environment, const atomic_bool *stop, int *out_status,
               struct error *err)
{
    HANDLE job = CreateJobObjectW(NULL, NULL);
    HANDLE process;
    DWORD status = 1;
    int r;

    if (job == NULL)
        return widepath_failed(GetLastError(), "cmd.exe", err);
    r = start(line, environment, job, &process, err);
    if (r == 0) {
        while (WaitForSingleObject(process, LOOK_MS) == WAIT_TIMEOUT) {
            if (stop != NULL && atomic_load(stop))
                TerminateJobObject(job, 1);
        }
        GetExitCodeProcess(process, &status);
        CloseHandle(process);
        *out_status = (int)status;
    }
    CloseHandle(job);
    return r;
}

int shell_run(const char *command, const struct shell_variable *variables, const atomic_bool *stop,
              int *out_status, struct error *err)
{
    cleanup(buf_release) struct buf environment = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf line = buf_init(BUF_UNLIMITED);
    int r = make_environment(variables, &environment, err);

    if (r == 0)
        r = make_line(command, &line, err);
    if (r < 0)
        return r;
    return run((wchar_t *)(void *)line.bytes, environment.bytes, stop, out_status, err);
}
