/* SPDX-License-Identifier: MIT */
/*
 * power_cut - for tests of whole programs: what one does to a directory, and what a power cut makes
 * of it (disk.h).
 *
 *     power_cut record PID DIRECTORY JOURNAL   until PID ends; prints "recording" once it sees all
 *     power_cut tell JOURNAL                   "BASE COUNT", and a line for each change that cannot
 *                                              be replayed
 *     power_cut make JOURNAL AT KIND SEED FOLDER
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/power_cut/disk.h"
#include "tests/power_cut/journal.h"
#include "tests/power_cut/recorder.h"

static void say(void *context)
{
    puts("recording");
    fflush(stdout);
}

static void record(const char *pid, const char *directory, const char *path)
{
    struct journal journal = { .count = 0 };

    recorder_run((pid_t)strtol(pid, NULL, 10), directory, say, NULL, &journal);
    journal_save(&journal, path);
    journal_release(&journal);
}

static void tell(const char *path)
{
    struct journal journal;

    journal_load(&journal, path);
    printf("%zu %zu\n", journal.base, journal.count);
    for (size_t i = 0; i < journal.count; i++)
        if (journal.changes[i].kind == CHANGE_UNKNOWN)
            printf("%s\n", journal.changes[i].name);
    journal_release(&journal);
}

static void make(char **words)
{
    struct cut cut = { .at = strtoull(words[1], NULL, 10),
                       .kind = (enum cut_kind)strtoul(words[2], NULL, 10),
                       .seed = strtoull(words[3], NULL, 10) };
    struct journal journal;

    journal_load(&journal, words[0]);
    if (cut.at > journal.count || cut.kind >= CUT_KINDS)
        errx(2, "no such cut");
    disk_make(&journal, &cut, words[4]);
    journal_release(&journal);
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "record") == 0)
        record(words[2], words[3], words[4]);
    else if (count == 3 && strcmp(words[1], "tell") == 0)
        tell(words[2]);
    else if (count == 7 && strcmp(words[1], "make") == 0)
        make(words + 2);
    else
        errx(2, "record PID DIRECTORY JOURNAL | tell JOURNAL | make JOURNAL AT KIND SEED FOLDER");
    return 0;
}
