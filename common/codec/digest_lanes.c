/* SPDX-License-Identifier: MIT */
#include "common/codec/digest_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define LEAF_1_SSSE3 (1u << 9)
#define LEAF_1_SSE41 (1u << 19)
#define LEAF_7_SHA (1u << 29)

#define ROUNDS 64
#define GROUPS (ROUNDS / 4) /* four rounds take one vector of the message */

static _Alignas(16) const uint32_t constants[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static bool has_instructions(void)
{
    unsigned a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & LEAF_1_SSSE3) == 0 || (c & LEAF_1_SSE41) == 0)
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & LEAF_7_SHA) != 0;
}

/* Asking the processor is dear in a virtual machine; two threads that both ask find the same. */
bool digest_lanes_possible(void)
{
    enum { UNKNOWN, NO, YES };
    static atomic_int known;
    int answer = atomic_load_explicit(&known, memory_order_relaxed);

    if (answer == UNKNOWN) {
        answer = has_instructions() ? YES : NO;
        atomic_store_explicit(&known, answer, memory_order_relaxed);
    }
    return answer == YES;
}

/* The instructions have a state as the words F E B A and H G D C, the lowest first. */
struct lane {
    __m128i feba, hgdc;
    __m128i message[4]; /* the last sixteen words of the schedule */
};

static __m128i words(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return _mm_set_epi32((int)d, (int)c, (int)b, (int)a);
}

static void lane_load(struct lane *lane, const uint32_t state[8])
{
    lane->feba = words(state[5], state[4], state[1], state[0]);
    lane->hgdc = words(state[7], state[6], state[3], state[2]);
}

static void lane_store(const struct lane *lane, uint32_t state[8])
{
    _Alignas(16) uint32_t feba[4], hgdc[4];

    _mm_store_si128((__m128i *)feba, lane->feba);
    _mm_store_si128((__m128i *)hgdc, lane->hgdc);
    for (int i = 0; i < 2; i++) {
        state[i] = feba[3 - i];
        state[2 + i] = hgdc[3 - i];
        state[4 + i] = feba[1 - i];
        state[6 + i] = hgdc[1 - i];
    }
}

/* Four rounds. `group` is a constant once the caller's loop is unrolled. */
__attribute__((target("sha,sse4.1"), always_inline)) static inline void lane_rounds(
    struct lane *lane, int group, const uint8_t *block)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i *message = lane->message, next;

    if (group < 4) {
        next = _mm_loadu_si128((const __m128i *)(block + 16 * group));
        next = _mm_shuffle_epi8(next, big_endian);
    } else {
        next = _mm_sha256msg1_epu32(message[group % 4], message[(group + 1) % 4]);
        next = _mm_add_epi32(next, _mm_alignr_epi8(message[(group + 3) % 4],
                                                   message[(group + 2) % 4], 4));
        next = _mm_sha256msg2_epu32(next, message[(group + 3) % 4]);
    }
    message[group % 4] = next;
    next = _mm_add_epi32(next, _mm_load_si128((const __m128i *)(constants + 4 * group)));
    lane->hgdc = _mm_sha256rnds2_epu32(lane->hgdc, lane->feba, next);
    lane->feba = _mm_sha256rnds2_epu32(lane->feba, lane->hgdc, _mm_shuffle_epi32(next, 0x0e));
}

__attribute__((target("sha,sse4.1"))) static void add(struct lane lanes[DIGEST_LANES],
                                                      const uint8_t *const messages[DIGEST_LANES],
                                                      size_t count)
{
    struct lane one = lanes[0], two = lanes[1];

    for (size_t i = 0; i < count; i++) {
        const struct lane one_before = one, two_before = two;
#pragma GCC unroll 16
        for (int group = 0; group < GROUPS; group++) {
            lane_rounds(&one, group, messages[0] + 64 * i);
            lane_rounds(&two, group, messages[1] + 64 * i);
        }
        one.feba = _mm_add_epi32(one.feba, one_before.feba);
        one.hgdc = _mm_add_epi32(one.hgdc, one_before.hgdc);
        two.feba = _mm_add_epi32(two.feba, two_before.feba);
        two.hgdc = _mm_add_epi32(two.hgdc, two_before.hgdc);
    }
    lanes[0] = one;
    lanes[1] = two;
}

void digest_lanes_add(uint32_t states[DIGEST_LANES][8], const uint8_t *const messages[DIGEST_LANES],
                      size_t count)
{
    struct lane lanes[DIGEST_LANES];

    for (int i = 0; i < DIGEST_LANES; i++)
        lane_load(&lanes[i], states[i]);
    add(lanes, messages, count);
    for (int i = 0; i < DIGEST_LANES; i++)
        lane_store(&lanes[i], states[i]);
}

#else

#include <assert.h>

bool digest_lanes_possible(void)
{
    return false;
}

void digest_lanes_add(uint32_t states[DIGEST_LANES][8], const uint8_t *const messages[DIGEST_LANES],
                      size_t count)
{
    assert(count == 0);
}

#endif
