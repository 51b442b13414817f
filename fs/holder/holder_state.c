/* SPDX-License-Identifier: MIT */
#include "fs/holder/holder_state.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/holder/json_bytes.h"

/* number (8 bytes; odd: the second half counts) | half | half; a half: size (8 bytes), text */
#define HALF_SIZE ((uint64_t)128 * 1024)
#define TEXT_MAX (HALF_SIZE - 8)

CLEANUP_DEFINE(json, json_free);

void holder_state_init(struct holder_state *state)
{
    *state = (struct holder_state){ .config = buf_init(TEXT_MAX) };
}

void holder_state_release(struct holder_state *state)
{
    memory_free(state->program);
    memory_free(state->mountpoint);
    memory_free(state->source);
    memory_free(state->store);
    memory_free(state->token_file);
    memory_free(state->ca_file);
    memory_free(state->metrics);
    memory_free(state->cache);
    buf_release(&state->config);
    attach_state_release(&state->attach);
    for (size_t i = 0; i < state->seat_count; i++)
        seat_state_free(state->seats[i]);
    holder_state_init(state);
}

int holder_state_create(int *out_fd, struct error *err)
{
    cleanup_fd int fd = memfd_create("kkartifact-state", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, (off_t)(8 + 2 * HALF_SIZE)) < 0)
        return error_system(err, errno, "the holder's state");
    *out_fd = take_fd(&fd);
    return 0;
}

struct seat_state *holder_state_add_seat(struct holder_state *state)
{
    struct seat_state *seat = state->seat_count < HOLDER_SEATS_MAX ? seat_state_new() : NULL;

    if (seat != NULL)
        state->seats[state->seat_count++] = seat;
    return seat;
}

void holder_state_remove_seat(struct holder_state *state, size_t index)
{
    seat_state_free(state->seats[index]);
    state->seat_count--;
    memmove(&state->seats[index], &state->seats[index + 1],
            (state->seat_count - index) * sizeof(struct seat_state *));
}

static void write_seats(struct json_writer *writer, const struct holder_state *state)
{
    if (state->seat_count > 0)
        seat_state_write(writer, state->seats[0]);
    json_begin_array(writer, "seats");
    for (size_t i = 1; i < state->seat_count; i++) {
        json_begin_object(writer, NULL);
        seat_state_write(writer, state->seats[i]);
        json_end(writer);
    }
    json_end(writer);
}

static void write_text(struct buf *text, const struct holder_state *state)
{
    struct json_writer writer = json_writer_init(text);

    json_begin_object(&writer, NULL);
    json_integer(&writer, "format",
                 state->attach.is_attached ? HOLDER_STATE_FORMAT_ATTACH : HOLDER_STATE_FORMAT);
    json_bytes_text(&writer, "program", state->program);
    json_bytes_text(&writer, "mountpoint", state->mountpoint);
    json_bytes_text(&writer, "source", state->source);
    json_bytes_text(&writer, "store", state->store);
    json_bytes(&writer, "config", buf_span(&state->config));
    json_bytes_text(&writer, "token_file", state->token_file);
    json_bytes_text(&writer, "ca_file", state->ca_file);
    json_bytes_text(&writer, "metrics", state->metrics);
    json_bytes_text(&writer, "cache", state->cache);
    json_integer(&writer, "deadline_ms", (int64_t)state->deadline_ms);
    json_bool(&writer, "noexec", state->noexec);
    json_bool(&writer, "passthrough", state->passthrough);
    json_bool(&writer, "in_foreground", state->in_foreground);
    json_integer(&writer, "upgrades", (int64_t)state->upgrades);
    if (state->attach.is_attached) {
        json_begin_object(&writer, "attach");
        attach_state_write(&writer, &state->attach);
        json_end(&writer);
    }
    write_seats(&writer, state);
    json_end(&writer);
}

static int read_number(int fd, uint64_t offset, uint64_t *out, struct error *err)
{
    size_t size = 0;
    int r = file_read_at(fd, offset, out, sizeof(*out), &size, err);

    if (r == 0 && size != sizeof(*out))
        r = error_set(err, -EBADMSG, "the holder's state is cut off");
    return r;
}

static uint64_t half_of(uint64_t number)
{
    return 8 + (number & 1) * HALF_SIZE;
}

int holder_state_save(int fd, const struct holder_state *state, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);
    uint64_t number, size;
    int r;

    write_text(&text, state);
    r = buf_check(&text, err);
    size = text.size;
    if (r == 0)
        r = read_number(fd, 0, &number, err);
    if (r < 0)
        return r;
    number++;
    r = file_write_at(fd, half_of(number) + 8, text.bytes, text.size, err);
    if (r == 0)
        r = file_write_at(fd, half_of(number), &size, sizeof(size), err);
    if (r == 0)
        r = file_write_at(fd, 0, &number, sizeof(number), err);
    return r;
}

static int read_whole(int fd, struct buf *text, struct error *err)
{
    uint64_t number = 0, size = 0;
    size_t got = 0;
    int r = read_number(fd, 0, &number, err);

    if (r == 0)
        r = read_number(fd, half_of(number), &size, err);
    if (r == 0 && (number == 0 || size > TEXT_MAX))
        r = error_set(err, -EBADMSG, "the holder's state was never written");
    if (r < 0)
        return r;
    if (buf_reserve(text, size) == NULL)
        return buf_check(text, err);
    r = file_read_at(fd, half_of(number) + 8, text->bytes, size, &got, err);
    if (r == 0)
        buf_added(text, got);
    return r;
}

static int read_integer(const struct json_value *object, const char *name, uint64_t *out,
                        struct error *err)
{
    int64_t value = (int64_t)*out;
    int r = json_member_integer(object, name, &value, err);

    if (r == 0 && value >= 0)
        *out = (uint64_t)value;
    return r;
}

static int read_texts(const struct json_value *root, struct holder_state *state, struct error *err)
{
    const struct {
        const char *name;
        char **at;
    } texts[] = {
        { "program", &state->program }, { "mountpoint", &state->mountpoint },
        { "source", &state->source },   { "store", &state->store },
        { "cache", &state->cache },     { "token_file", &state->token_file },
        { "ca_file", &state->ca_file }, { "metrics", &state->metrics },
    };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(*texts); i++)
        r = json_member_bytes_text(root, texts[i].name, texts[i].at, err);
    if (r == 0)
        r = json_member_bytes(root, "config", &state->config, err);
    return r;
}

static int read_seat(const struct json_value *object, struct holder_state *state, struct error *err)
{
    struct seat_state *seat = holder_state_add_seat(state);

    return seat != NULL ? seat_state_read(object, seat, err)
                        : error_set(err, -ENOMEM, "there is no room for a connection");
}

static int read_seats(const struct json_value *root, struct holder_state *state, struct error *err)
{
    const struct json_value *others = json_member(root, "seats"), *at = NULL;
    int r = read_seat(root, state, err);

    while (r == 0 && (at = json_next(others, at)) != NULL)
        r = read_seat(at, state, err);
    return r;
}

static int read_members(const struct json_value *root, struct holder_state *state,
                        struct error *err)
{
    int r = read_texts(root, state, err);

    if (r == 0)
        r = read_integer(root, "deadline_ms", &state->deadline_ms, err);
    if (r == 0)
        r = read_integer(root, "upgrades", &state->upgrades, err);
    if (r == 0)
        r = json_member_bool(root, "noexec", &state->noexec, err);
    if (r == 0)
        r = json_member_bool(root, "passthrough", &state->passthrough, err);
    if (r == 0)
        r = json_member_bool(root, "in_foreground", &state->in_foreground, err);
    if (r == 0 && !json_is_null(json_member(root, "attach")))
        r = attach_state_read(json_member(root, "attach"), &state->attach, err);
    if (r == 0)
        r = read_seats(root, state, err);
    if (r < 0)
        return error_prefix(err, -EBADMSG, "the holder's state");
    if (state->program == NULL || state->mountpoint == NULL || state->source == NULL ||
        state->cache == NULL || state->config.size == 0)
        return error_set(err, -EBADMSG, "the holder's state is not whole");
    return 0;
}

int holder_state_load(int fd, struct holder_state *state, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);
    cleanup(cleanup_json) struct json *json = NULL;
    int64_t format = 0;
    int r = read_whole(fd, &text, err);

    if (r == 0)
        r = json_parse(buf_span(&text), &json, err);
    if (r == 0)
        r = json_member_integer(json_root(json), "format", &format, err);
    if (r < 0)
        return r;
    if (format < HOLDER_STATE_FORMAT || format > HOLDER_STATE_FORMAT_ATTACH)
        return error_set(err, -ENOTSUP, "the holder's state has format %lld", (long long)format);
    return read_members(json_root(json), state, err);
}
