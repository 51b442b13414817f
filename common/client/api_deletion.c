/* SPDX-License-Identifier: MIT */
#include "common/client/api_deletion.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/client/api_jobs.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/version_ref.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)

void api_deletion_release(struct api_deletion *deletion)
{
    api_names_free(deletion->versions, deletion->version_count);
    memset(deletion, 0, sizeof(*deletion));
}

static int add_version(struct api_deletion *out, const char *name, struct error *err)
{
    struct version_ref ref;
    int r = version_ref_parse(span_text(name), &ref, err);

    if (r == 0 && (ref.kind != VERSION_REF_VERSION || ref.path.size > 0))
        r = error_set(err, -EINVAL, "a version that is none");
    if (r < 0)
        return r;
    return api_names_add(&out->versions, &out->version_count, name, err);
}

/* api_job_result */
static int read_result(void *context, const struct json_value *result, struct error *err)
{
    struct api_deletion *out = context;
    const struct json_value *names = json_member(result, "versions"), *item = NULL;
    const char *name = "";
    int r = api_read_count(json_member(result, "trashed"), "trashed", &out->trashed, err);

    if (r == 0)
        r = api_read_count(json_member(result, "apps"), "apps", &out->apps, err);
    while (r == 0 && (item = json_next(names, item)) != NULL) {
        r = json_get_text(item, "versions", &name, err);
        if (r == 0)
            r = add_version(out, name, err);
    }
    return r;
}

int api_deletion_run(struct api_client *client, const char *project, const char *app, bool force,
                     struct api_deletion *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct api_call_spec spec = { .method = HTTP_DELETE,
                                  .accept = "application/json",
                                  .repeatable = true };
    int r;

    *out = (struct api_deletion){ .trashed = 0 };
    if (app != NULL)
        api_path_app(&path, project, app);
    else
        api_path_project(&path, project);
    if (force)
        url_add_query(&path, "force", span_text("1"));
    r = buf_check(&path, err);
    if (r < 0)
        return r;
    spec.path = buf_text(&path);
    return api_job_run(client, &spec, project, app, read_result, out, err);
}
