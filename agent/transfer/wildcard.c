/* SPDX-License-Identifier: MIT */
#include "agent/transfer/wildcard.h"

#include <stddef.h>
#include <string.h>

/* Why a match failed, so that a star further out does not try in vain. */
enum outcome {
    MATCHED,
    FAILED,          /* here; further on it may go */
    FAILED_AT_SLASH, /* a plain star met a slash: only a crossing star may go on */
    FAILED_AT_END,   /* the text is too short for the rest of the pattern */
};

struct place {
    const uint8_t *at, *end, *start;
};

static int class_holds(struct span name, uint8_t c)
{
    static const char *const names[] = { "alnum", "alpha", "blank", "cntrl", "digit", "graph",
                                         "lower", "print", "punct", "space", "upper", "xdigit" };
    bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z', digit = c >= '0' && c <= '9';
    bool graph = c > 0x20 && c < 0x7f, letter = lower || upper;
    bool space = c == ' ' || (c >= '\t' && c <= '\r');
    const bool holds[] = { letter || digit,
                           letter,
                           c == ' ' || c == '\t',
                           c < 0x20 || c == 0x7f,
                           digit,
                           graph,
                           lower,
                           graph || c == ' ',
                           graph && !letter && !digit,
                           space,
                           upper,
                           digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_equal_text(name, names[i]))
            return holds[i];
    }
    return -1;
}

/* One byte of a set, perhaps escaped. False at the pattern's end. */
static bool take_literal(struct place *p, uint8_t *out)
{
    if (p->at < p->end && *p->at == '\\')
        p->at++;
    if (p->at == p->end)
        return false;
    *out = *p->at++;
    return true;
}

/* [:name:] at the place: 1 when it was one, 0 when not, -1 when it is no class that there is. */
static int take_class(struct place *p, uint8_t c, bool *holds)
{
    const uint8_t *close;
    int member;

    if (p->end - p->at < 2 || p->at[0] != '[' || p->at[1] != ':')
        return 0;
    close = memchr(p->at + 2, ']', (size_t)(p->end - p->at - 2));
    if (close == NULL)
        return -1;
    if (close - (p->at + 2) < 1 || close[-1] != ':')
        return 0; /* a plain bracket in the set */
    member = class_holds(span_of(p->at + 2, (size_t)(close - 1 - (p->at + 2))), c);
    if (member < 0)
        return -1;
    *holds = *holds || member == 1;
    p->at = close + 1;
    return 1;
}

/* Behind a '[': 1 when `c` is in the set, 0 when not, -1 when it is no set. */
static int take_set(struct place *p, uint8_t c)
{
    bool negated = p->at < p->end && (*p->at == '!' || *p->at == '^');
    bool holds = false;

    if (negated)
        p->at++;
    for (bool first = true; p->at < p->end && (first || *p->at != ']'); first = false) {
        uint8_t low, high;
        int class = take_class(p, c, &holds);
        if (class < 0)
            return -1;
        if (class > 0)
            continue;
        if (!take_literal(p, &low))
            return -1;
        high = low;
        if (p->end - p->at >= 2 && p->at[0] == '-' && p->at[1] != ']') {
            p->at++;
            if (!take_literal(p, &high))
                return -1;
        }
        holds = holds || c == low || (c >= low && c <= high); /* the first even of a range b-a */
    }
    if (p->at == p->end)
        return -1;
    p->at++;
    return holds != negated;
}

static enum outcome match(struct place p, struct place t);

/* The rest of the pattern at every place that a star can reach. */
static enum outcome match_behind_star(struct place p, struct place t, bool crosses)
{
    for (;; t.at++) {
        enum outcome outcome = match(p, t);
        if (outcome != FAILED && (!crosses || outcome != FAILED_AT_SLASH))
            return outcome;
        if (t.at == t.end)
            return FAILED_AT_END;
        if (!crosses && *t.at == '/')
            return FAILED_AT_SLASH;
    }
}

/* The place stands on the first star. */
static enum outcome match_star(struct place p, struct place t)
{
    const uint8_t *star = p.at;
    bool crosses = false;

    while (p.at < p.end && *p.at == '*')
        p.at++;
    if (p.at - star > 1 && (star == p.start || star[-1] == '/') &&
        (p.at == p.end || *p.at == '/')) {
        crosses = true;
        if (p.at < p.end) {
            struct place none = { p.at + 1, p.end, p.start };
            if (match(none, t) == MATCHED)
                return MATCHED;
        }
    }
    if (p.at == p.end) {
        if (!crosses && t.at < t.end && memchr(t.at, '/', (size_t)(t.end - t.at)) != NULL)
            return FAILED_AT_SLASH;
        return MATCHED;
    }
    return match_behind_star(p, t, crosses);
}

static enum outcome match(struct place p, struct place t)
{
    while (p.at < p.end) {
        uint8_t c = *p.at;
        int in_set;
        if (c == '*')
            return match_star(p, t);
        if (t.at == t.end)
            return FAILED_AT_END;
        p.at++;
        if (c == '[') {
            in_set = take_set(&p, *t.at);
            if (in_set < 0)
                return FAILED_AT_END; /* no pattern: nothing helps */
            if (in_set == 0 || *t.at == '/')
                return FAILED;
        } else if (c == '?') {
            if (*t.at == '/')
                return FAILED;
        } else {
            if (c == '\\') {
                if (p.at == p.end)
                    return FAILED_AT_END;
                c = *p.at++;
            }
            if (c != *t.at)
                return FAILED;
        }
        t.at++;
    }
    return t.at == t.end ? MATCHED : FAILED;
}

bool wildcard_matches(struct span pattern, struct span text)
{
    struct place p = { pattern.bytes, pattern.bytes + pattern.size, pattern.bytes };
    struct place t = { text.bytes, text.bytes + text.size, text.bytes };

    return match(p, t) == MATCHED;
}
