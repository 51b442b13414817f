/* SPDX-License-Identifier: MIT */
/* What status shows of the leases. */
#include "common/codec/json.h"
#include "fs/usage/lease_book_private.h"

static void tell_reasons(unsigned reasons, struct json_writer *writer)
{
    json_begin_array(writer, "in_use");
    for (unsigned i = 0; in_use_words[i] != NULL; i++)
        if ((reasons & (1u << i)) != 0)
            json_text(writer, NULL, in_use_words[i]);
    json_end(writer);
}

static const char *state_of(const struct lease_book *book, const struct lease_line *line)
{
    if (line->kind == LEASE_HELD)
        return "held";
    if (line->kind == LEASE_REFUSED)
        return "refused";
    if (book->knows_no_leases)
        return "unsupported";
    return book->failure.code < 0 ? "failed" : "waiting";
}

static void tell_lease(const struct lease_book *book, const struct lease_line *line,
                       struct json_writer *writer)
{
    const struct error *why = line->kind == LEASE_REFUSED ? &line->refusal : &book->failure;

    json_begin_object(writer, "lease");
    json_text(writer, "state", state_of(book, line));
    json_text(writer, "place", line->place);
    if (line->renewed_at_s != 0)
        json_time(writer, "renewed_at", line->renewed_at_s);
    else
        json_null(writer, "renewed_at");
    json_text(writer, "error", why->code < 0 ? why->text : "");
    json_end(writer);
}

void lease_book_tell(const struct lease_book *book, const char *project, const char *app,
                     const char *version, struct json_writer *writer)
{
    const struct lease_line *line = NULL;
    struct version_names names;

    if (version_names_set(&names, project, app, version))
        line = lease_book_line(book, &names);
    tell_reasons(line != NULL ? line->reasons : 0, writer);
    if (line == NULL || book->is_silent)
        json_null(writer, "lease");
    else
        tell_lease(book, line, writer);
}

void lease_book_tell_all(const struct lease_book *book, struct json_writer *writer)
{
    int64_t held = 0;

    for (size_t i = 0; i < book->count; i++)
        held += book->lines[i]->kind == LEASE_HELD;
    json_begin_object(writer, "leases");
    json_text(writer, "host", book->host);
    json_text(writer, "place", book->base);
    json_integer(writer, "held", held);
    if (book->renewed_at_s != 0)
        json_time(writer, "renewed_at", book->renewed_at_s);
    else
        json_null(writer, "renewed_at");
    json_text(writer, "error", book->failure.code < 0 ? book->failure.text : "");
    json_end(writer);
}

int lease_book_each(const struct lease_book *book, lease_book_each_function *each, void *context)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < book->count; i++)
        if (book->lines[i]->reasons != 0)
            r = each(context, &book->lines[i]->names);
    return r;
}
