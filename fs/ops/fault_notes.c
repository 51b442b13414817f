/* SPDX-License-Identifier: MIT */
/* What failed of a question, in the operator's words; and that it is over. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/client/api_client.h"
#include "fs/ops/faults.h"
#include "fs/ops/question.h"

#define MANIFEST "meta.yaml"

/* A look-up above the versions is about the name that it asks for. */
static void write_name(const struct question *question, char out[FAULTS_NAME_SIZE])
{
    const struct ids_place *place = &question->place;
    const char *parts[] = { place->project, place->app, place->version };

    if (question->kind == QUESTION_LOOKUP && place->kind != IDS_IS_VERSION)
        parts[place->project == NULL ? 0 : place->app == NULL ? 1 : 2] = question->name;
    fault_name(out, parts[0], parts[1], parts[2]);
}

static void write_path(const struct question *question, char out[PATH_MAX_SIZE + 1])
{
    uint8_t room[PATH_MAX_SIZE];
    const struct tree *tree;
    struct span path;

    out[0] = '\0';
    if (question->mount == NULL)
        return;
    tree = &tree_mount_view(question->mount)->tree;
    if (question->place.index >= tree->header.record_count) {
        memcpy(out, MANIFEST, sizeof(MANIFEST));
        return;
    }
    path = tree_path(tree, (uint32_t)question->place.index, room);
    memcpy(out, path.bytes, path.size);
    out[path.size] = '\0';
}

/* Wrong bytes are somebody's fault, a mount that is told to be offline is nobody's. */
static enum log_level level_of(int code)
{
    return code == -EBADMSG ? LOG_ERROR : code == -ENETDOWN ? LOG_INFO : LOG_WARNING;
}

void question_note_failure(const struct question *question, const struct error *err)
{
    const struct api_client *client = question->ops->options.client;
    bool offline = api_client_is_offline(client);
    char name[FAULTS_NAME_SIZE], path[PATH_MAX_SIZE + 1], line[FAULTS_TEXT_SIZE];
    const struct fault fault = {
        .name = name,
        .path = path,
        .server = offline ? "" : api_client_server(client, api_client_current(client)),
        .is_away = !offline && !api_client_online(client),
        .err = err,
    };

    write_name(question, name);
    write_path(question, path);
    if (faults_note(question->ops->faults, &fault, clock_monotonic_ms(), line))
        log_event(level_of(err->code), NULL, "%s", line);
}

void question_note_answer(struct ops *ops)
{
    const struct api_client *client = ops->options.client;

    if (api_client_online(client) && faults_answered(ops->faults))
        log_info("%s answers again", api_client_server(client, api_client_current(client)));
}

void question_note_bytes(const struct question *question)
{
    char name[FAULTS_NAME_SIZE];

    write_name(question, name);
    faults_forget(question->ops->faults, name);
}
