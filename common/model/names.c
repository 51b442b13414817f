/* SPDX-License-Identifier: MIT */
#include "common/model/names.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"

static const struct name_rule {
    const char *what;
    size_t max_size;
    char extra; /* allowed beside letters, digits, '.', '_' and '-' */
} name_rules[] = {
    [NAME_PROJECT] = { "a project's name", NAME_MAX_SIZE, '-' },
    [NAME_APP] = { "an app's name", NAME_MAX_SIZE, '-' },
    [NAME_CHANNEL] = { "a channel's name", NAME_MAX_SIZE, '-' },
    [NAME_VERSION] = { "a version's name", VERSION_MAX_SIZE, '+' },
    [NAME_HOST] = { "a host's name", HOST_MAX_SIZE, '-' },
};

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int name_check(enum name_kind kind, struct span name, struct error *err)
{
    const struct name_rule *rule = &name_rules[kind];

    if (name.size == 0 || name.size > rule->max_size)
        return error_set(err, -EINVAL, "%s has 1 to %zu characters", rule->what, rule->max_size);
    if (!is_letter_or_digit(name.bytes[0]))
        return error_set(err, -EINVAL, "%s begins with a letter or digit", rule->what);
    for (size_t i = 1; i < name.size; i++) {
        uint8_t c = name.bytes[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != '-' && c != rule->extra)
            return error_set(err, -EINVAL, "%s consists of letters, digits and . _ -%s", rule->what,
                             rule->extra == '+' ? " +" : "");
    }
    if (kind != NAME_HOST && span_equal_text(name, "latest"))
        return error_set(err, -EINVAL, "\"latest\" is reserved and no name");
    return 0;
}

int name_check_component(struct span component, struct error *err)
{
    if (component.size == 0)
        return error_set(err, -EINVAL, "empty component in a path");
    if (component.size > COMPONENT_MAX_SIZE)
        return error_set(err, -EINVAL, "a component of a path has at most %d bytes",
                         COMPONENT_MAX_SIZE);
    if (span_equal_text(component, ".") || span_equal_text(component, ".."))
        return error_set(err, -EINVAL, "\".\" or \"..\" in a path");
    if (memchr(component.bytes, '\0', component.size) != NULL)
        return error_set(err, -EINVAL, "NUL in a path");
    if (memchr(component.bytes, '/', component.size) != NULL)
        return error_set(err, -EINVAL, "'/' in a component of a path");
    return 0;
}

bool name_is_ours(struct span component)
{
    return component.size > 0 && component.bytes[0] == '.' &&
           (span_equal_text(component, ".kkartifact") ||
            span_equal_text(component, ".kkartifact.yml"));
}

/* What name_check_component() would let pass, of one without NUL and '/'. Paths are checked by
 * the million. */
static bool is_plain(struct span component)
{
    return component.size > 2 && component.size <= COMPONENT_MAX_SIZE;
}

int name_check_path(struct span path, struct error *err)
{
    size_t depth = 0, end = 0;

    if (path.size == 0)
        return error_set(err, -EINVAL, "empty path");
    if (path.size > PATH_MAX_SIZE)
        return error_set(err, -EINVAL, "a path has at most %d bytes", PATH_MAX_SIZE);
    for (size_t start = 0; start <= path.size; start = end + 1) {
        struct span component;
        int r = 0;
        for (end = start; end < path.size && path.bytes[end] != '/' && path.bytes[end] != 0;)
            end++;
        if (end < path.size && path.bytes[end] == 0)
            return error_set(err, -EINVAL, "NUL in a path");
        component = (struct span){ path.bytes + start, end - start };
        if (!is_plain(component))
            r = name_check_component(component, err);
        if (r < 0)
            return r;
        if (start == 0 && name_is_ours(component))
            return error_set(err, -EINVAL,
                             "\".kkartifact\" and \".kkartifact.yml\" at the top are "
                             "never part of a version");
        if (++depth > PATH_MAX_DEPTH)
            return error_set(err, -EINVAL, "a path has at most %d components", PATH_MAX_DEPTH);
    }
    return 0;
}

int name_check_target(struct span target, struct error *err)
{
    if (target.size == 0 || target.size > TARGET_MAX_SIZE)
        return error_set(err, -EINVAL, "a link's target has 1 to %d bytes", TARGET_MAX_SIZE);
    if (memchr(target.bytes, '\0', target.size) != NULL)
        return error_set(err, -EINVAL, "NUL in a link's target");
    return 0;
}

int name_parse_mode(struct span text, uint32_t *out_mode, struct error *err)
{
    uint32_t mode = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] < '0' || text.bytes[i] > '7')
            mode = UINT32_MAX;
        else if (mode <= 0777)
            mode = mode << 3 | (uint32_t)(text.bytes[i] - '0');
    }
    if (text.size != 4 || mode > 0777)
        return error_set(err, -EINVAL, "a mode is four octal digits from 0000 to 0777");
    *out_mode = mode;
    return 0;
}

void name_format_mode(uint32_t mode, char out[MODE_TEXT_SIZE])
{
    out[0] = '0';
    out[1] = (char)('0' + (mode >> 6 & 7));
    out[2] = (char)('0' + (mode >> 3 & 7));
    out[3] = (char)('0' + (mode & 7));
    out[4] = '\0';
}

static size_t last_slash(struct span path)
{
    for (size_t i = path.size; i > 0; i--) {
        if (path.bytes[i - 1] == '/')
            return i;
    }
    return 0;
}

struct span name_parent(struct span path)
{
    size_t base = last_slash(path);

    return (struct span){ path.bytes, base == 0 ? 0 : base - 1 };
}

struct span name_base(struct span path)
{
    size_t base = last_slash(path);

    return (struct span){ path.bytes + base, path.size - base };
}
