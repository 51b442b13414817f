/* SPDX-License-Identifier: MIT */
#include "fs/doctor/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/number.h"

#define TEXT_MAX 65536
#define SERVICE ".service"

static bool load(int64_t pid, const char *name, struct buf *out)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%lld/%s", (long long)pid, name);
    return pid > 0 && file_load(path, out, NULL) == 0;
}

/* "12 (a name) with) T ...": the name may hold anything. */
char process_state_parse(struct span stat)
{
    size_t at = stat.size;

    while (at > 0 && stat.bytes[at - 1] != ')')
        at--;
    return at > 0 && at + 1 < stat.size && stat.bytes[at] == ' ' ? (char)stat.bytes[at + 1] : '\0';
}

char process_state(int64_t pid)
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);

    return load(pid, "stat", &text) ? process_state_parse(buf_span(&text)) : '\0';
}

const char *process_state_text(char state)
{
    switch (state) {
    case '\0':
        return "gone";
    case 'T':
    case 't':
        return "stopped";
    case 'Z':
    case 'X':
        return "dead";
    case 'D':
        return "waiting in the kernel (state D)";
    default:
        return "running";
    }
}

int64_t process_first_child(int64_t pid)
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);
    struct span rest, first;
    uint64_t child = 0;
    char name[48];

    (void)snprintf(name, sizeof(name), "task/%lld/children", (long long)pid);
    if (!load(pid, name, &text))
        return 0;
    rest = buf_span(&text);
    if (span_cut(&rest, ' ', &first))
        number_parse(first, INT32_MAX, &child, NULL);
    return (int64_t)child;
}

bool process_directory(int64_t pid, char *out, size_t size)
{
    char path[64];
    ssize_t length;

    (void)snprintf(path, sizeof(path), "/proc/%lld/cwd", (long long)pid);
    length = pid > 0 ? readlink(path, out, size - 1) : -1;
    if (length <= 0)
        return false;
    out[length] = '\0';
    return (size_t)length < size - 1;
}

bool process_service_parse(struct span cgroup, char *out, size_t size)
{
    struct span line, part;

    while (span_cut(&cgroup, '\n', &line))
        while (span_cut(&line, '/', &part))
            if (part.size > strlen(SERVICE) && part.size < size &&
                memcmp(part.bytes + part.size - strlen(SERVICE), SERVICE, strlen(SERVICE)) == 0) {
                memcpy(out, part.bytes, part.size);
                out[part.size] = '\0';
                return true;
            }
    return false;
}

bool process_service(int64_t pid, char *out, size_t size)
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);

    return load(pid, "cgroup", &text) && process_service_parse(buf_span(&text), out, size);
}
