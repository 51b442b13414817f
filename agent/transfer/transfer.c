/* SPDX-License-Identifier: MIT */
#include "agent/transfer/transfer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/model/problem.h"

void transfer_meter(struct transfer *transfer, enum meter_phase phase, uint64_t files,
                    uint64_t bytes)
{
    struct meter *meter = transfer->meter;

    if (meter == NULL)
        return;
    atomic_store(&meter->files_done, 0);
    atomic_store(&meter->bytes_done, 0);
    atomic_store(&meter->files_total, files);
    atomic_store(&meter->bytes_total, bytes);
    atomic_store(&meter->phase, (int)phase);
}

void transfer_done(struct transfer *transfer, uint64_t files, uint64_t bytes)
{
    if (transfer->meter == NULL)
        return;
    atomic_fetch_add(&transfer->meter->files_done, files);
    atomic_fetch_add(&transfer->meter->bytes_done, bytes);
}

int transfer_failed(struct transfer *transfer, int r, int exit_code)
{
    if (r < 0 && r != -ECANCELED && r != -ENOMEM)
        transfer->exit_code = exit_code;
    return r;
}

int transfer_local(struct transfer *transfer, int r)
{
    return transfer_failed(transfer, r, EXIT_LOCAL);
}

int transfer_stopped(const struct transfer *transfer, struct error *err)
{
    if (transfer->stop != NULL && atomic_load(transfer->stop))
        return error_set(err, -ECANCELED, "interrupted");
    return 0;
}

static void tell(transfer_warn *to, void *context, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void tell(transfer_warn *to, void *context, const char *format, va_list args)
{
    struct error line;

    if (to == NULL)
        return;
    if (vsnprintf(line.text, sizeof(line.text), format, args) < 0)
        line.text[0] = '\0';
    to(context, line.text);
}

void transfer_warning(const struct transfer *transfer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(transfer->warn, transfer->warn_context, format, args);
    va_end(args);
}

void transfer_complaint(const struct transfer *transfer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(transfer->complain, transfer->warn_context, format, args);
    va_end(args);
}

void transfer_detail(const struct transfer *transfer, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(transfer->detail, transfer->detail_context, format, args);
    va_end(args);
}
