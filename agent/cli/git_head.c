/* SPDX-License-Identifier: MIT */
#include "agent/cli/git_head.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/span.h"

#define FILE_MAX (16 * 1024 * 1024) /* packed-refs of large repositories */
#define PARENTS_MAX 64

void git_head_release(struct git_head *head)
{
    memory_free(head->commit);
    memory_free(head->ref);
    memory_free(head->url);
    *head = (struct git_head){ 0 };
}

static bool load(const char *directory, const char *name, struct buf *out)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);

    buf_clear(out);
    buf_format(&path, "%s/%s", directory, name);
    return buf_check(&path, NULL) == 0 && file_load(buf_text(&path), out, NULL) == 0;
}

static char *text_of(struct span span)
{
    return span.size == 0 ? NULL : memory_copy(span.bytes, span.size);
}

static bool cut_prefix(struct span *text, const char *prefix)
{
    if (!span_starts_with(*text, span_text(prefix)))
        return false;
    *text = span_slice(*text, strlen(prefix), text->size);
    return true;
}

static bool is_commit(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.bytes[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    return text.size == 40 || text.size == 64;
}

/* `base`, or what is relative to it; memory_free() it. */
static char *resolve(const char *base, struct span path)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    if (path.size == 0 || (path.bytes[0] != '/' && !(path.size > 1 && path.bytes[1] == ':')))
        buf_format(&out, "%s/", base);
    buf_add_span(&out, path);
    return buf_take(&out);
}

/* The .git directory of the tree that `directory` is in; NULL when there is none. */
static char *find_git(const char *directory)
{
    cleanup(buf_release) struct buf at = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf text = buf_init(4096);

    buf_add_text(&at, directory);
    for (int i = 0; i < PARENTS_MAX; i++) {
        struct span link;
        if (load(buf_text(&at), ".git/HEAD", &text)) {
            buf_add_text(&at, "/.git");
            return buf_take(&at);
        }
        if (load(buf_text(&at), ".git",
                 &text)) { /* a work tree beside its repository, a submodule */
            link = buf_span(&text);
            return cut_prefix(&link, "gitdir:") ? resolve(buf_text(&at), span_trim(link)) : NULL;
        }
        buf_add_text(&at, "/..");
    }
    return NULL;
}

static char *packed_ref(const char *git, struct span ref)
{
    cleanup(buf_release) struct buf text = buf_init(FILE_MAX);
    struct span rest, line;

    if (!load(git, "packed-refs", &text))
        return NULL;
    rest = buf_span(&text);
    while (span_cut(&rest, '\n', &line)) {
        struct span commit;
        line = span_trim(line);
        if (span_cut(&line, ' ', &commit) && span_equal(line, ref) && is_commit(commit))
            return text_of(commit);
    }
    return NULL;
}

static char *read_ref(const char *git, struct span ref)
{
    cleanup(buf_release) struct buf text = buf_init(4096);
    cleanup_memory char *name = text_of(ref);
    struct span commit;

    if (name == NULL || strstr(name, "..") != NULL)
        return NULL;
    if (!load(git, name, &text))
        return packed_ref(git, ref);
    commit = span_trim(buf_span(&text));
    return is_commit(commit) ? text_of(commit) : NULL;
}

/* `url = ...` of the section [remote "origin"]. */
static char *read_url(const char *git)
{
    cleanup(buf_release) struct buf text = buf_init(FILE_MAX);
    struct span rest, line;
    bool inside = false;

    if (!load(git, "config", &text))
        return NULL;
    rest = buf_span(&text);
    while (span_cut(&rest, '\n', &line)) {
        struct span key;
        line = span_trim(line);
        if (line.size > 0 && line.bytes[0] == '[') {
            inside = span_equal_text(line, "[remote \"origin\"]");
        } else if (inside && span_cut(&line, '=', &key) && span_equal_text(span_trim(key), "url")) {
            return text_of(span_trim(line));
        }
    }
    return NULL;
}

/* Work trees keep HEAD for themselves; refs and config are where `commondir` says. */
static char *common_of(const char *git)
{
    cleanup(buf_release) struct buf text = buf_init(4096);

    if (!load(git, "commondir", &text))
        return memory_text(git);
    return resolve(git, span_trim(buf_span(&text)));
}

void git_head_read(const char *directory, struct git_head *out)
{
    cleanup(buf_release) struct buf text = buf_init(4096);
    cleanup_memory char *git = find_git(directory);
    cleanup_memory char *common = git != NULL ? common_of(git) : NULL;
    struct span head;

    if (common == NULL || !load(git, "HEAD", &text))
        return;
    head = span_trim(buf_span(&text));
    if (cut_prefix(&head, "ref:")) {
        head = span_trim(head);
        out->ref = text_of(head);
        out->commit = read_ref(common, head);
    } else if (is_commit(head)) {
        out->commit = text_of(head);
    }
    out->url = read_url(common);
}
