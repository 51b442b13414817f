/* SPDX-License-Identifier: MIT */
#include "fs/care/scrub_place.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/number.h"

#define FORM "scrub1"
#define CHECK_SIZE 16
#define NUMBER_MAX 9007199254740991u
#define FIELDS 9

void scrub_place_write(const struct scrub_place *place, struct buf *out)
{
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;

    digest_hex(&place->name, hex);
    buf_clear(out);
    buf_format(out, FORM " %d %u %s %lld %lld %llu %llu %llu %llu ", place->in_pass, place->folder,
               hex, (long long)place->started_at_s, (long long)place->ended_at_s,
               (unsigned long long)place->passes, (unsigned long long)place->objects,
               (unsigned long long)place->bytes, (unsigned long long)place->wrong);
    digest = digest_of_span(buf_span(out));
    digest_hex(&digest, hex);
    buf_add(out, hex, CHECK_SIZE);
    buf_add_byte(out, '\n');
}

static int read_fields(struct span text, struct scrub_place *out)
{
    uint64_t numbers[FIELDS];
    struct span field;

    if (!span_cut(&text, ' ', &field) || !span_equal_text(field, FORM))
        return -EBADMSG;
    for (int i = 0; i < FIELDS; i++) {
        if (!span_cut(&text, ' ', &field))
            return -EBADMSG;
        if (i == 2 ? digest_parse(field, &out->name, NULL) < 0
                   : number_parse(field, NUMBER_MAX, &numbers[i], NULL) < 0)
            return -EBADMSG;
    }
    if (numbers[0] > 1 || numbers[1] >= SCRUB_FOLDERS)
        return -EBADMSG;
    out->in_pass = numbers[0] == 1;
    out->folder = (uint32_t)numbers[1];
    out->started_at_s = (int64_t)numbers[3];
    out->ended_at_s = (int64_t)numbers[4];
    out->passes = numbers[5];
    out->objects = numbers[6];
    out->bytes = numbers[7];
    out->wrong = numbers[8];
    return 0;
}

int scrub_place_read(struct span text, struct scrub_place *out)
{
    struct scrub_place place = { .folder = 0 };
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;
    struct span line;

    if (text.size == 0 || memchr(text.bytes, '\n', text.size) == NULL ||
        !span_cut(&text, '\n', &line) || line.size <= CHECK_SIZE)
        return -EBADMSG;
    digest = digest_of_span(span_slice(line, 0, line.size - CHECK_SIZE));
    digest_hex(&digest, hex);
    if (memcmp(hex, line.bytes + line.size - CHECK_SIZE, CHECK_SIZE) != 0 ||
        read_fields(line, &place) < 0)
        return -EBADMSG;
    *out = place;
    return 0;
}
