/* SPDX-License-Identifier: MIT */
#include "agent/transfer/name_fold.h"

#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/name_fold_table.h"
#include "common/base/buf.h"
#include "common/base/utf8.h"

#define DEPTH_MAX 8 /* of decompositions of decompositions; Unicode has 4 */

/* Hangul syllables are arithmetic (Unicode 3.12). */
#define HANGUL_FIRST 0xac00u
#define HANGUL_COUNT 11172u
#define HANGUL_LEADS 0x1100u
#define HANGUL_VOWELS 0x1161u
#define HANGUL_TAILS 0x11a7u
#define HANGUL_VOWEL_COUNT 21u
#define HANGUL_TAIL_COUNT 28u

static uint32_t fold_case(uint32_t code)
{
    size_t low = 0, high = name_fold_run_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct name_fold_run *run = &name_fold_runs[middle];
        if (code > run->last)
            low = middle + 1;
        else if (code < run->first)
            high = middle;
        else
            return (code - run->first) % run->step == 0
                       ? (uint32_t)((int32_t)code + run->difference)
                       : code;
    }
    return code;
}

static const struct name_fold_part *find_part(uint32_t code)
{
    size_t low = 0, high = name_fold_part_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct name_fold_part *part = &name_fold_parts[middle];
        if (part->code == code)
            return part;
        if (part->code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void put(uint32_t code, unsigned what, struct buf *out)
{
    uint8_t bytes[4];
    uint32_t put_code = (what & NAME_FOLD_CASE) != 0 ? fold_case(code) : code;

    buf_add(out, bytes, utf8_put(put_code, bytes));
}

static void put_hangul(uint32_t syllable, struct buf *out)
{
    uint32_t tail = syllable % HANGUL_TAIL_COUNT;
    uint32_t rest = syllable / HANGUL_TAIL_COUNT;

    put(HANGUL_LEADS + rest / HANGUL_VOWEL_COUNT, 0, out);
    put(HANGUL_VOWELS + rest % HANGUL_VOWEL_COUNT, 0, out);
    if (tail > 0)
        put(HANGUL_TAILS + tail, 0, out);
}

/* Folded before it is taken apart, too: a capital may have parts where the small letter has
 * none, and the other way. */
static void put_parts(uint32_t code, unsigned what, int depth, struct buf *out)
{
    const struct name_fold_part *part;

    if ((what & NAME_FOLD_CASE) != 0)
        code = fold_case(code);
    if ((what & NAME_FOLD_NORMAL) == 0 || depth == DEPTH_MAX) {
        put(code, what, out);
        return;
    }
    if (code >= HANGUL_FIRST && code < HANGUL_FIRST + HANGUL_COUNT) {
        put_hangul(code - HANGUL_FIRST, out);
        return;
    }
    part = find_part(code);
    if (part == NULL) {
        put(code, what, out);
        return;
    }
    put_parts(part->first, what, depth + 1, out);
    if (part->second != 0)
        put_parts(part->second, what, depth + 1, out);
}

void name_fold(struct span name, unsigned what, struct buf *out)
{
    while (name.size > 0) {
        uint32_t code = name.bytes[0];
        size_t size = code < 0x80 ? 1 : utf8_next(name, &code);
        if (size == 0) {
            buf_add_byte(out, name.bytes[0]);
            size = 1;
        } else if (code < 0x80) {
            bool is_capital = code >= 'A' && code <= 'Z' && (what & NAME_FOLD_CASE) != 0;
            buf_add_byte(out, (uint8_t)(is_capital ? code + ('a' - 'A') : code));
        } else {
            put_parts(code, what, 0, out);
        }
        name = span_slice(name, size, name.size);
    }
}
