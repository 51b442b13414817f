/* SPDX-License-Identifier: MIT */
#include "server/service/event_filter.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/access.h"

static const char *const admin_types[] = { "token.", "webhook.", "config." };

void event_filter_init(struct event_filter *filter, const struct identity *identity)
{
    *filter = (struct event_filter){ .is_admin = (identity->permissions & ACCESS_ADMIN) != 0 };
    memcpy(filter->seen_project, identity->project, sizeof(filter->seen_project));
    memcpy(filter->seen_app, identity->app, sizeof(filter->seen_app));
}

void event_filter_release(struct event_filter *filter)
{
    filter->types = memory_free(filter->types);
    filter->type_count = 0;
}

static int check_type(struct span type, struct error *err)
{
    if (type.size == 0 || type.size >= EVENT_TYPE_SIZE)
        return error_set(err, -EINVAL, "a type of events is 1 to %d characters",
                         EVENT_TYPE_SIZE - 1);
    for (size_t i = 0; i < type.size; i++) {
        const uint8_t c = type.bytes[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
              (c == '*' && i + 1 == type.size)))
            return error_set(err, -EINVAL,
                             "a type of events is made of a-z, 0-9, '.' and '-', and may end"
                             " with '*'");
    }
    return 0;
}

static int add_type(struct event_filter *filter, struct span type, struct error *err)
{
    char *text;
    int r = check_type(type, err);

    if (r < 0)
        return r;
    if (filter->type_count == EVENT_TYPES_MAX)
        return error_set(err, -EFBIG, "more than %d types of events", EVENT_TYPES_MAX);
    if (filter->types == NULL)
        filter->types = memory_array(EVENT_TYPES_MAX, sizeof(*filter->types));
    if (filter->types == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    text = filter->types[filter->type_count++];
    memcpy(text, type.bytes, type.size);
    text[type.size] = '\0';
    return 0;
}

int event_filter_add_types(struct event_filter *filter, struct span list, struct error *err)
{
    struct span type;
    int r = 0;

    if (list.size == 0)
        return add_type(filter, list, err);
    while (r == 0 && span_cut(&list, ',', &type))
        r = add_type(filter, type, err);
    return r;
}

static bool is_for_admins(const char *type, const char *project)
{
    if (project[0] == '\0')
        return true;
    for (size_t i = 0; i < sizeof(admin_types) / sizeof(admin_types[0]); i++) {
        if (strncmp(type, admin_types[i], strlen(admin_types[i])) == 0)
            return true;
    }
    return false;
}

bool event_filter_sees(const struct event_filter *filter, const char *type, const char *project,
                       const char *app)
{
    if (filter->seen_project[0] != '\0' && strcmp(filter->seen_project, project) != 0)
        return false;
    if (filter->seen_app[0] != '\0' && strcmp(filter->seen_app, app) != 0)
        return false;
    return filter->is_admin || !is_for_admins(type, project);
}

static bool type_fits(const char *wanted, const char *type)
{
    const size_t size = strlen(wanted);

    return wanted[size - 1] == '*' ? strncmp(wanted, type, size - 1) == 0
                                   : strcmp(wanted, type) == 0;
}

bool event_filter_takes(const struct event_filter *filter, const char *type, const char *project,
                        const char *app)
{
    bool fits = filter->type_count == 0;

    if ((filter->project[0] != '\0' && strcmp(filter->project, project) != 0) ||
        (filter->app[0] != '\0' && strcmp(filter->app, app) != 0))
        return false;
    for (size_t i = 0; i < filter->type_count && !fits; i++)
        fits = type_fits(filter->types[i], type);
    return fits && event_filter_sees(filter, type, project, app);
}
