/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over every file of the folders that are named, and over each file's
 * beginnings. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "tests/fuzz/fuzz.h"

#define FILE_MAX_SIZE (16 * 1024 * 1024)
#define CUTS 16

static size_t input_count;

/* In a block of exactly its size, so that a sanitizer sees a read behind it. */
static void run_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = memory_copy(bytes, size);

    FUZZ_CHECK(copy != NULL);
    copy = memory_resize(copy, size == 0 ? 1 : size, 1);
    FUZZ_CHECK(copy != NULL);
    LLVMFuzzerTestOneInput(copy, size);
    memory_free(copy);
    input_count++;
}

static int run_file(const char *path)
{
    cleanup(buf_release) struct buf bytes = buf_init(FILE_MAX_SIZE);

    if (file_load(path, &bytes, NULL) < 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        return 1;
    }
    run_bytes(bytes.bytes, bytes.size);
    for (size_t cut = 1; cut < CUTS; cut++)
        run_bytes(bytes.bytes, bytes.size * cut / CUTS);
    return 0;
}

static int run_path(const char *path)
{
    struct dirent *entry;
    struct stat info;
    int failed = 0;
    DIR *folder;

    if (stat(path, &info) < 0) {
        fprintf(stderr, "%s is not there\n", path);
        return 1;
    }
    if (!S_ISDIR(info.st_mode))
        return run_file(path);
    folder = opendir(path);
    if (folder == NULL)
        return 1;
    while ((entry = readdir(folder)) != NULL) {
        cleanup(buf_release) struct buf below = buf_init(8192);
        if (entry->d_name[0] == '.')
            continue;
        buf_format(&below, "%s/%s", path, entry->d_name);
        failed += run_path(buf_text(&below));
    }
    closedir(folder);
    return failed;
}

int main(int argc, char *argv[])
{
    int failed = 0;

    for (int i = 1; i < argc; i++)
        failed += run_path(argv[i]);
    printf("%zu inputs\n", input_count);
    return failed > 0 || input_count == 0;
}
