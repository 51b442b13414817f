/* SPDX-License-Identifier: MIT */
#include <inttypes.h>

#include "common/base/log.h"
#include "server/http/http_state.h"

#define TARGET_SHOWN 512

/* Reads that went well are many and tell little. */
static enum log_level level_of(const struct http_exchange *exchange, unsigned status)
{
    if (status >= 500)
        return LOG_ERROR;
    if (status >= 200 && status < 400 &&
        (exchange->method == HTTP_GET || exchange->method == HTTP_HEAD))
        return LOG_DEBUG;
    return LOG_INFO;
}

/* The target as it was sent, which is percent-encoded; what is not printable becomes '?'. */
static void target_text(const struct http_exchange *exchange, char *out, size_t size)
{
    size_t i = 0;

    for (; i + 1 < size && exchange->target[i] != '\0'; i++) {
        unsigned char byte = (unsigned char)exchange->target[i];

        out[i] = byte > 0x20 && byte < 0x7f ? (char)byte : '?';
    }
    out[i] = '\0';
}

void access_log_write(const struct http_exchange *exchange, uint64_t duration_ns)
{
    const unsigned status = exchange->phase == HTTP_PHASE_SENT ? exchange->answer.status : 0;
    char code[12], received[24], sent[24], duration[24], target[TARGET_SHOWN];
    const char *fields[] = {
        "status",      code,
        "duration_ms", duration,
        "received",    received,
        "sent",        sent,
        "peer",        exchange->peer,
        "token",       exchange->actor[0] != '\0' ? exchange->actor : NULL,
        "request_id",  exchange->request_id,
        "failure",     exchange->failure.code != 0 ? exchange->failure.text : NULL,
        NULL,
    };

    if (!log_enabled(level_of(exchange, status)))
        return;
    target_text(exchange, target, sizeof(target));
    snprintf(code, sizeof(code), "%u", status);
    snprintf(received, sizeof(received), "%" PRIu64, exchange->received_size);
    snprintf(sent, sizeof(sent), "%" PRIu64, exchange->sent_size);
    snprintf(duration, sizeof(duration), "%" PRIu64, duration_ns / 1000000);
    log_event(level_of(exchange, status), fields, "%s %s", http_method_name(exchange->method),
              target);
}
