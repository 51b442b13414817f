/* SPDX-License-Identifier: MIT */
#include "fs/holder/seat_state.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/holder/json_bytes.h"

#define INIT_MAX ((size_t)4096)

static const struct {
    const char *name;
    size_t offset;
} descriptor_table[] = {
    { "fuse", offsetof(struct seat_descriptors, fuse) },
    { "ring", offsetof(struct seat_descriptors, ring) },
    { "opens", offsetof(struct seat_descriptors, opens) },
    { "control", offsetof(struct seat_descriptors, control) },
    { "own", offsetof(struct seat_descriptors, own) },
    { "worker", offsetof(struct seat_descriptors, worker) },
};
#define DESCRIPTOR_COUNT (sizeof(descriptor_table) / sizeof(*descriptor_table))

static int *descriptor_at(struct seat_descriptors *descriptors, size_t index)
{
    return (int *)(void *)((char *)descriptors + descriptor_table[index].offset);
}

struct seat_state *seat_state_new(void)
{
    struct seat_state *state = memory_new(sizeof(*state));

    if (state == NULL)
        return NULL;
    state->init = buf_init(INIT_MAX);
    for (size_t i = 0; i < DESCRIPTOR_COUNT; i++)
        *descriptor_at(&state->descriptors, i) = -1;
    return state;
}

struct seat_state *seat_state_free(struct seat_state *state)
{
    if (state != NULL)
        buf_release(&state->init);
    return memory_free(state);
}

void seat_state_write(struct json_writer *writer, const struct seat_state *state)
{
    struct seat_descriptors copy = state->descriptors;

    json_integer(writer, "device", (int64_t)state->device);
    json_bytes(writer, "init", buf_span(&state->init));
    json_integer(writer, "restarts", (int64_t)state->restarts);
    json_text(writer, "reason", state->reason);
    json_integer(writer, "worker", state->worker);
    if (state->version[0] != '\0')
        json_text(writer, "version", state->version);
    if (state->tree[0] != '\0')
        json_text(writer, "tree", state->tree);
    json_begin_object(writer, "descriptors");
    for (size_t i = 0; i < DESCRIPTOR_COUNT; i++)
        if (*descriptor_at(&copy, i) >= 0)
            json_integer(writer, descriptor_table[i].name, *descriptor_at(&copy, i));
    json_end(writer);
}

int seat_state_read(const struct json_value *object, struct seat_state *state, struct error *err)
{
    const struct json_value *descriptors = json_member(object, "descriptors");
    const char *reason = "", *version = "", *tree = "";
    int64_t device = 0, restarts = 0, worker = 0;
    int r = json_member_integer(object, "device", &device, err);

    if (r == 0)
        r = json_member_integer(object, "restarts", &restarts, err);
    if (r == 0)
        r = json_member_integer(object, "worker", &worker, err);
    if (r == 0)
        r = json_member_text(object, "reason", &reason, err);
    if (r == 0)
        r = json_member_text(object, "version", &version, err);
    if (r == 0)
        r = json_member_text(object, "tree", &tree, err);
    if (r == 0)
        r = json_member_bytes(object, "init", &state->init, err);
    for (size_t i = 0; r == 0 && i < DESCRIPTOR_COUNT; i++) {
        int64_t value = -1;
        r = json_member_integer(descriptors, descriptor_table[i].name, &value, err);
        *descriptor_at(&state->descriptors, i) = (int)value;
    }
    if (r < 0)
        return r;
    state->device = device > 0 ? (uint64_t)device : 0;
    state->restarts = restarts > 0 ? (uint64_t)restarts : 0;
    state->worker = worker > 0 ? (pid_t)worker : 0;
    memcpy(state->reason, reason, strnlen(reason, sizeof(state->reason) - 1));
    memcpy(state->version, version, strnlen(version, sizeof(state->version) - 1));
    memcpy(state->tree, tree, strnlen(tree, sizeof(state->tree) - 1));
    return 0;
}
