/* SPDX-License-Identifier: MIT */
/* The input as data: what is built is verified, and a changed byte is not. As an object, and as a
 * saved state: nothing is read outside. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "tests/fuzz/fuzz.h"

static void check_data(struct span data)
{
    cleanup_memory uint8_t *object = NULL;
    struct digest verity;
    struct merkle_shape shape;
    struct span upper;

    FUZZ_CHECK(merkle_shape_of(data.size, &shape, NULL) == 0);
    object = memory_new(shape.object_size + 1);
    FUZZ_CHECK(object != NULL);
    FUZZ_CHECK(merkle_build(data, object, NULL, &verity, NULL) == 0);
    FUZZ_CHECK(merkle_check_object(data.size, &verity, span_of(object, shape.object_size), NULL) ==
               0);
    upper = span_of(object, shape.bottom_offset);
    FUZZ_CHECK(merkle_check_upper(&shape, &verity, upper, NULL) == 0);
    for (uint64_t piece = 0; piece < shape.piece_count; piece++) {
        struct span part = span_slice(data, piece * MERKLE_PIECE_SIZE, MERKLE_PIECE_SIZE);
        FUZZ_CHECK(merkle_check_piece(&shape, &verity, upper, piece, part, NULL, NULL) == 0);
    }
    if (shape.object_size > 0) {
        object[data.bytes[0] % shape.object_size] ^= 1;
        FUZZ_CHECK(
            merkle_check_object(data.size, &verity, span_of(object, shape.object_size), NULL) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct merkle_builder builder;
    struct digest verity = { { 0 } };

    check_data(span_of(data, size));
    for (uint64_t data_size = 0; data_size < 40; data_size++)
        FUZZ_CHECK(merkle_check_object(data_size * 100003, &verity, span_of(data, size), NULL) <
                       0 ||
                   (data_size == 0 && size == 0));
    if (merkle_builder_load(&builder, span_of(data, size), NULL, NULL, NULL) == 0)
        merkle_builder_end(&builder, NULL, NULL, NULL);
    return 0;
}
