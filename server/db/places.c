/* SPDX-License-Identifier: MIT */
#include "server/db/places.h"

#include <errno.h>

#include "common/base/error.h"
#include "server/db/acts.h"
#include "server/db/transaction.h"

int place_find_project(struct transaction *tx, const char *name, int64_t *out_id, struct error *err)
{
    int r =
        transaction_integer(tx, "SELECT id FROM projects WHERE name = $1 AND deleted_at IS NULL",
                            VALUES(value_text(name)), out_id, err);

    return r == -ENOENT ? error_set(err, r, "no project \"%s\"", name) : r;
}

int place_find_app(struct transaction *tx, const char *project, const char *name, int64_t *out_id,
                   struct error *err)
{
    int r = transaction_integer(tx,
                                "SELECT a.id FROM apps a JOIN projects p ON p.id = a.project_id"
                                " WHERE p.name = $1 AND a.name = $2 AND a.deleted_at IS NULL",
                                VALUES(value_text(project), value_text(name)), out_id, err);

    return r == -ENOENT ? error_set(err, r, "no app \"%s/%s\"", project, name) : r;
}

int place_find_any_app(struct transaction *tx, const char *project, const char *name,
                       int64_t *out_id, struct error *err)
{
    int r = transaction_integer(tx,
                                "SELECT a.id FROM apps a JOIN projects p ON p.id = a.project_id"
                                " WHERE p.name = $1 AND a.name = $2",
                                VALUES(value_text(project), value_text(name)), out_id, err);

    return r == -ENOENT ? error_set(err, r, "no app \"%s/%s\"", project, name) : r;
}

int place_check(struct transaction *tx, const char *project, const char *app, struct error *err)
{
    int64_t deleting;
    int r = transaction_integer(tx,
                                "SELECT count(*) FROM projects p"
                                " LEFT JOIN apps a ON a.project_id = p.id AND a.name = $2"
                                " JOIN jobs j ON j.number IN (p.deleting, a.deleting)"
                                " WHERE p.name = $1 AND j.state IN ('queued', 'running')",
                                VALUES(value_text(project), value_text(app)), &deleting, err);

    if (r < 0 || deleting == 0)
        return r;
    return app == NULL ? error_set(err, -EINPROGRESS, "project %s is being deleted", project)
                       : error_set(err, -EINPROGRESS, "%s/%s is being deleted", project, app);
}

/* ------------------------------------------------------------ made */

static int make_project(struct transaction *tx, const char *name, const struct actor *by,
                        int64_t *out_id, bool *out_created, struct error *err)
{
    const struct act act = { .operation = "project.create",
                             .event = "project.created",
                             .project = name };
    int r = transaction_run(tx,
                            "INSERT INTO projects (name, created_at) VALUES ($1, $2)"
                            " ON CONFLICT (name) DO UPDATE SET created_at = excluded.created_at,"
                            " deleted_at = NULL WHERE projects.deleted_at IS NOT NULL",
                            VALUES(value_text(name), value_integer(transaction_now_s(tx))), err);

    if (r < 0)
        return r;
    *out_created = r == 1;
    if (r == 1)
        r = act_write(tx, by, &act, err);
    return r < 0 ? r : place_find_project(tx, name, out_id, err);
}

int place_project(struct transaction *tx, const char *name, const struct actor *by, int64_t *out_id,
                  bool *out_created, struct error *err)
{
    int r = place_check(tx, name, NULL, err);

    return r < 0 ? r : make_project(tx, name, by, out_id, out_created, err);
}

int place_app(struct transaction *tx, const char *project, const char *name, const struct actor *by,
              int64_t *out_id, bool *out_created, struct error *err)
{
    const struct act act = {
        .operation = "app.create", .event = "app.created", .project = project, .app = name
    };
    int64_t project_id;
    bool project_created;
    int r = place_check(tx, project, name, err);

    if (r >= 0)
        r = make_project(tx, project, by, &project_id, &project_created, err);
    if (r < 0)
        return r;
    r = transaction_run(tx,
                        "INSERT INTO apps (project_id, name, created_at) VALUES ($1, $2, $3)"
                        " ON CONFLICT (project_id, name) DO UPDATE SET"
                        " created_at = excluded.created_at, deleted_at = NULL"
                        " WHERE apps.deleted_at IS NOT NULL",
                        VALUES(value_integer(project_id), value_text(name),
                               value_integer(transaction_now_s(tx))),
                        err);
    if (r < 0)
        return r;
    *out_created = r == 1;
    if (r == 1)
        r = act_write(tx, by, &act, err);
    return r < 0 ? r : place_find_app(tx, project, name, out_id, err);
}

/* ------------------------------------------------------------ back, and gone for ever */

static int tell_return(struct transaction *tx, const char *project, const char *app,
                       const struct actor *by, struct error *err)
{
    const struct act act = { .operation = app == NULL ? "project.restore" : "app.restore",
                             .event = app == NULL ? "project.restored" : "app.restored",
                             .project = project,
                             .app = app };

    return act_write(tx, by, &act, err);
}

int place_return(struct transaction *tx, const char *project, const char *app,
                 const struct actor *by, struct error *err)
{
    int r = place_check(tx, project, app, err);

    if (r >= 0)
        r = transaction_run(tx,
                            "UPDATE projects SET deleted_at = NULL"
                            " WHERE name = $1 AND deleted_at IS NOT NULL",
                            VALUES(value_text(project)), err);
    if (r == 1)
        r = tell_return(tx, project, NULL, by, err);
    if (r >= 0)
        r = transaction_run(tx,
                            "UPDATE apps SET deleted_at = NULL WHERE project_id ="
                            " (SELECT id FROM projects WHERE name = $1) AND name = $2"
                            " AND deleted_at IS NOT NULL",
                            VALUES(value_text(project), value_text(app)), err);
    if (r == 1)
        r = tell_return(tx, project, app, by, err);
    return r < 0 ? r : 0;
}

int place_forget_project(struct transaction *tx, int64_t project_id, struct error *err)
{
    int r = transaction_run(tx,
                            "UPDATE projects SET retain_count = NULL"
                            " WHERE id = $1 AND deleted_at IS NOT NULL"
                            " AND NOT EXISTS (SELECT 1 FROM apps a JOIN versions v"
                            " ON v.app_id = a.id WHERE a.project_id = $1)",
                            VALUES(value_integer(project_id)), err);

    return r < 0 ? r : 0;
}

int place_forget_app(struct transaction *tx, int64_t app_id, struct error *err)
{
    int64_t project_id;
    int r = transaction_run(tx,
                            "UPDATE apps SET retain_count = NULL"
                            " WHERE id = $1 AND deleted_at IS NOT NULL"
                            " AND NOT EXISTS (SELECT 1 FROM versions WHERE app_id = $1)",
                            VALUES(value_integer(app_id)), err);

    if (r >= 0)
        r = transaction_integer(tx, "SELECT project_id FROM apps WHERE id = $1",
                                VALUES(value_integer(app_id)), &project_id, err);
    return r < 0 ? r : place_forget_project(tx, project_id, err);
}
