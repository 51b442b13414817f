/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/journal.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void journal_add(struct journal *journal, const struct change *change)
{
    if (journal->count == journal->capacity) {
        journal->capacity = journal->capacity * 2 + 256;
        journal->changes =
            reallocarray(journal->changes, journal->capacity, sizeof(*journal->changes));
        if (journal->changes == NULL)
            err(1, "journal");
    }
    journal->changes[journal->count++] = *change;
}

void journal_release(struct journal *journal)
{
    for (size_t i = 0; i < journal->count; i++)
        free(journal->changes[i].bytes);
    free(journal->changes);
    *journal = (struct journal){ .count = 0 };
}

static FILE *opened(const char *path, const char *how)
{
    FILE *file = fopen(path, how);

    if (file == NULL)
        err(1, "%s", path);
    return file;
}

void journal_save(const struct journal *journal, const char *path)
{
    FILE *file = opened(path, "wb");

    fwrite(journal, sizeof(*journal), 1, file);
    fwrite(journal->changes, sizeof(*journal->changes), journal->count, file);
    for (size_t i = 0; i < journal->count; i++)
        if (journal->changes[i].bytes != NULL)
            fwrite(journal->changes[i].bytes, 1, journal->changes[i].size, file);
    if (ferror(file) != 0 || fclose(file) != 0)
        err(1, "%s", path);
}

static void *read_exactly(FILE *file, size_t count, size_t size, const char *path)
{
    void *bytes = calloc(count + 1, size);

    if (bytes == NULL || fread(bytes, size, count, file) != count)
        errx(1, "%s: not a whole journal", path);
    return bytes;
}

void journal_load(struct journal *journal, const char *path)
{
    FILE *file = opened(path, "rb");
    struct journal *head = read_exactly(file, 1, sizeof(*head), path);

    *journal = *head;
    free(head);
    journal->capacity = journal->count;
    journal->changes = read_exactly(file, journal->count, sizeof(*journal->changes), path);
    for (size_t i = 0; i < journal->count; i++)
        if (journal->changes[i].bytes != NULL)
            journal->changes[i].bytes = read_exactly(file, journal->changes[i].size, 1, path);
    fclose(file);
}

size_t journal_find(const struct journal *journal, enum change_kind kind)
{
    size_t at = 0;

    while (at < journal->count && journal->changes[at].kind != kind)
        at++;
    return at;
}
