/* SPDX-License-Identifier: MIT */
#include "fs/holder/attach_state.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/holder/json_bytes.h"

/* One line for each kind of member. */
static const struct {
    const char *name;
    size_t offset;
} heap_texts[] = {
    { "project", offsetof(struct attach_state, project) },
    { "app", offsetof(struct attach_state, app) },
    { "channel", offsetof(struct attach_state, channel) },
    { "exec", offsetof(struct attach_state, exec) },
};

static const struct {
    const char *name;
    size_t offset, size;
} texts[] = {
    { "previous", offsetof(struct attach_state, previous), VERSION_TEXT_SIZE },
    { "exec_version", offsetof(struct attach_state, exec_version), VERSION_TEXT_SIZE },
    { "exec_result", offsetof(struct attach_state, exec_result),
      sizeof(((struct attach_state *)NULL)->exec_result) },
};
#define HEAP_TEXT_COUNT (sizeof(heap_texts) / sizeof(*heap_texts))
#define TEXT_COUNT (sizeof(texts) / sizeof(*texts))

static char **heap_text_at(const struct attach_state *state, size_t index)
{
    return (char **)(uintptr_t)((const char *)state + heap_texts[index].offset);
}

static char *text_at(const struct attach_state *state, size_t index)
{
    return (char *)(uintptr_t)state + texts[index].offset;
}

void attach_state_release(struct attach_state *state)
{
    for (size_t i = 0; i < HEAP_TEXT_COUNT; i++)
        memory_free(*heap_text_at(state, i));
    *state = (struct attach_state){ .is_attached = false };
}

void attach_state_write(struct json_writer *writer, const struct attach_state *state)
{
    for (size_t i = 0; i < HEAP_TEXT_COUNT; i++)
        json_bytes_text(writer, heap_texts[i].name, *heap_text_at(state, i));
    for (size_t i = 0; i < TEXT_COUNT; i++)
        json_text(writer, texts[i].name, text_at(state, i));
    json_integer(writer, "switches", (int64_t)state->switches);
    json_integer(writer, "switched_at", state->switched_at_s);
    json_integer(writer, "exec_pid", state->exec_pid);
    json_integer(writer, "exec_at", state->exec_at_s);
}

static int read_texts(const struct json_value *object, struct attach_state *state,
                      struct error *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < HEAP_TEXT_COUNT; i++)
        r = json_member_bytes_text(object, heap_texts[i].name, heap_text_at(state, i), err);
    for (size_t i = 0; r == 0 && i < TEXT_COUNT; i++) {
        const char *text = "";
        r = json_member_text(object, texts[i].name, &text, err);
        if (r == 0)
            memcpy(text_at(state, i), text, strnlen(text, texts[i].size - 1));
    }
    return r;
}

int attach_state_read(const struct json_value *object, struct attach_state *state,
                      struct error *err)
{
    int64_t switches = 0, pid = 0;
    int r = read_texts(object, state, err);

    if (r == 0)
        r = json_member_integer(object, "switches", &switches, err);
    if (r == 0)
        r = json_member_integer(object, "switched_at", &state->switched_at_s, err);
    if (r == 0)
        r = json_member_integer(object, "exec_pid", &pid, err);
    if (r == 0)
        r = json_member_integer(object, "exec_at", &state->exec_at_s, err);
    if (r == 0 && (state->project == NULL || state->app == NULL))
        r = error_set(err, -EBADMSG, "what is attached is not named");
    if (r < 0)
        return r;
    state->is_attached = true;
    state->switches = switches > 0 ? (uint64_t)switches : 0;
    state->exec_pid = pid > 0 ? (pid_t)pid : 0;
    return 0;
}
