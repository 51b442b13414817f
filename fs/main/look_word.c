/* SPDX-License-Identifier: MIT */
#include "fs/main/look_word.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "fs/ids/ids.h"
#include "fs/look/look.h"
#include "fs/look/looker.h"
#include "fs/main/exit_code.h"

#define LOWEST_PRIORITY 19

/* A line at once, so that what was found is there should this end early. */
static int tell(void *context, uint64_t device, uint64_t inode)
{
    struct map *told = context;
    const uint64_t slot = inode >> IDS_INDEX_BITS;
    const uint64_t key[] = { device, slot };
    const struct span key_bytes = { (const uint8_t *)key, sizeof(key) };

    if (slot == 0 || slot > IDS_SLOT_MAX || map_has(told, key_bytes))
        return 0;
    if (map_set(told, key_bytes, told, NULL) < 0)
        return -ENOMEM;
    printf("%llu %llu\n", (unsigned long long)device, (unsigned long long)slot);
    return fflush(stdout) != 0 || told->count >= LOOKER_USES_MAX ? -ECANCELED : 0;
}

int look_word(int count, char *const devices[])
{
    uint64_t *numbers = memory_array((size_t)count, sizeof(*numbers));
    struct map told = map_init();
    struct look look = { "/proc", numbers, (size_t)count, tell, &told };
    int r = numbers == NULL || count == 0 ? -EINVAL : 0;

    for (int i = 0; r == 0 && i < count; i++)
        r = number_parse(span_text(devices[i]), UINT64_MAX, &numbers[i], NULL);
    setpriority(PRIO_PROCESS, 0, LOWEST_PRIORITY);
    if (r == 0)
        r = look_at(&look, NULL);
    map_release(&told);
    memory_free(numbers);
    return exit_code_of(EXIT_OF_LOCAL, r == -ECANCELED ? 0 : r);
}
