/* SPDX-License-Identifier: MIT */
#include "agent/cli/build_facts.h"

#include <errno.h>
#include <string.h>

#include "agent/cli/git_head.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/platform.h"
#include "common/base/span.h"
#include "common/model/record.h"

/* Where a field may stand, best first. `$NAME` in a text is a variable; the text counts only
 * when all of them are set. */
static const struct {
    const char *field;
    const char *given; /* the user's own word */
    const char *texts[10];
} sources[] = {
    { "git_commit",
      "KKARTIFACT_GIT_COMMIT",
      { "$GITHUB_SHA", "$CI_COMMIT_SHA", "$GIT_COMMIT", "$BUILD_SOURCEVERSION", "$BITBUCKET_COMMIT",
        "$CIRCLE_SHA1", "$DRONE_COMMIT_SHA", "$TRAVIS_COMMIT", "$BUILDKITE_COMMIT" } },
    { "git_ref",
      "KKARTIFACT_GIT_REF",
      { "$GITHUB_REF", "$CI_COMMIT_REF_NAME", "$GIT_BRANCH", "$BUILD_SOURCEBRANCH",
        "$BITBUCKET_BRANCH", "$CIRCLE_BRANCH", "$DRONE_COMMIT_REF", "$TRAVIS_BRANCH",
        "$BUILDKITE_BRANCH" } },
    { "vcs_url",
      "KKARTIFACT_VCS_URL",
      { "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY", "$CI_PROJECT_URL", "$GIT_URL",
        "$BUILD_REPOSITORY_URI", "$BITBUCKET_GIT_HTTP_ORIGIN", "$CIRCLE_REPOSITORY_URL",
        "$DRONE_GIT_HTTP_URL", "$BUILDKITE_REPO" } },
    { "build_time", "KKARTIFACT_BUILD_TIME", { NULL } },
    { "builder",
      "KKARTIFACT_BUILDER",
      { "$RUNNER_NAME", "$CI_RUNNER_DESCRIPTION", "$NODE_NAME", "$AGENT_NAME",
        "$BUILDKITE_AGENT_NAME" } },
    { "build_url",
      "KKARTIFACT_BUILD_URL",
      { "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID", "$CI_JOB_URL",
        "$BUILD_URL", "$CIRCLE_BUILD_URL", "$DRONE_BUILD_LINK", "$TRAVIS_BUILD_WEB_URL",
        "$BUILDKITE_BUILD_URL" } },
};

#define SOURCE_COUNT (sizeof(sources) / sizeof(sources[0]))

/* The value of $NAME at the text; *out_size is how long the name is, with its dollar. */
static const char *variable_at(const char *text, char *(*get)(const char *name), size_t *out_size)
{
    char name[64];
    size_t size = 1;

    while ((text[size] >= 'A' && text[size] <= 'Z') || text[size] == '_' ||
           (text[size] >= '0' && text[size] <= '9'))
        size++;
    *out_size = size;
    if (size >= sizeof(name))
        return NULL;
    memcpy(name, text + 1, size - 1);
    name[size - 1] = '\0';
    return get(name);
}

/* The text with its variables put in; false when one of them is not set. */
static bool expand(const char *text, char *(*get)(const char *name), struct buf *out)
{
    buf_clear(out);
    while (*text != '\0') {
        size_t size = 1;
        if (*text == '$') {
            const char *value = variable_at(text, get, &size);
            if (value == NULL || value[0] == '\0')
                return false;
            buf_add_text(out, value);
        } else {
            buf_add_byte(out, (uint8_t)*text);
        }
        text += size;
    }
    return out->failure == 0;
}

static bool set_from_environment(size_t index, char *(*get)(const char *name),
                                 struct record *record)
{
    cleanup(buf_release) struct buf value = buf_init(RECORD_TEXT_MAX_SIZE);

    for (size_t i = 0; sources[index].texts[i] != NULL; i++) {
        if (expand(sources[index].texts[i], get, &value) &&
            record_set_field(record, sources[index].field, buf_span(&value), NULL) == 0)
            return true;
    }
    return false;
}

static void set_from_git(size_t index, const struct git_head *head, struct record *record)
{
    const char *value = NULL;

    if (strcmp(sources[index].field, "git_commit") == 0)
        value = head->commit;
    else if (strcmp(sources[index].field, "git_ref") == 0)
        value = head->ref;
    else if (strcmp(sources[index].field, "vcs_url") == 0)
        value = head->url;
    if (value != NULL)
        record_set_field(record, sources[index].field, span_text(value), NULL);
}

static void set_from_here(size_t index, char *(*get)(const char *name), struct record *record)
{
    char host[256], time[CLOCK_TEXT_SIZE];
    const char *epoch = get("SOURCE_DATE_EPOCH");
    int64_t now = clock_now_s();

    if (strcmp(sources[index].field, "builder") == 0) {
        platform_host_name(host, sizeof(host));
        record_set_field(record, "builder", span_text(host), NULL);
    } else if (strcmp(sources[index].field, "build_time") == 0) {
        if (epoch != NULL)
            number_parse_signed(span_text(epoch), INT64_MAX / 2, &now, NULL);
        if (clock_format(now, time, NULL) == 0)
            record_set_field(record, "build_time", span_text(time), NULL);
    }
}

int build_facts_find(const char *directory, char *(*get)(const char *name), struct record *record,
                     struct error *err)
{
    cleanup(git_head_release) struct git_head head = { 0 };

    git_head_read(directory, &head);
    for (size_t i = 0; i < SOURCE_COUNT; i++) {
        const char *given = get(sources[i].given);
        if (given != NULL && given[0] != '\0') {
            int r = record_set_field(record, sources[i].field, span_text(given), err);
            if (r < 0)
                return error_prefix(err, r, "%s", sources[i].given);
            continue;
        }
        if (set_from_environment(i, get, record))
            continue;
        set_from_git(i, &head, record);
        set_from_here(i, get, record);
    }
    return 0;
}
