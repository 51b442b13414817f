/* SPDX-License-Identifier: MIT */
#include "common/net/http_loop.h"

#include <errno.h>
#include <limits.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/net/http_private.h"

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_start(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_loop_new(struct http_loop **out_loop, const struct http_loop_options *options,
                  struct error *err)
{
    size_t per_host =
        options != NULL && options->connections_per_host > 0 ? options->connections_per_host : 8;
    size_t idle = options != NULL && options->connections_idle > 0 ? options->connections_idle : 16;
    struct http_loop *loop;

    pthread_once(&library_once, library_start);
    loop = memory_new(sizeof(*loop));
    if (loop == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    atomic_init(&loop->owner, pthread_self());
    loop->multi = curl_multi_init();
    if (loop->multi == NULL || pthread_mutex_init(&loop->lock, NULL) != 0) {
        if (loop->multi != NULL)
            curl_multi_cleanup(loop->multi);
        memory_free(loop);
        return error_set(err, -ENOMEM, "out of memory");
    }
    loop->has_lock = true;
    http_throttle_init(loop, options != NULL ? options->bytes_per_s : 0);
    curl_multi_setopt(loop->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)per_host);
    curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)idle);
    curl_multi_setopt(loop->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    *out_loop = loop;
    return 0;
}

/* Posts ------------------------------------------------------------------- */

void http_loop_post_at(struct http_loop *loop, struct http_post *post)
{
    bool was_empty;

    post->next = NULL;
    pthread_mutex_lock(&loop->lock);
    was_empty = loop->posts_first == NULL;
    if (was_empty)
        loop->posts_first = post;
    else
        loop->posts_last->next = post;
    loop->posts_last = post;
    pthread_mutex_unlock(&loop->lock);
    if (was_empty)
        curl_multi_wakeup(loop->multi);
}

int http_loop_post(struct http_loop *loop, http_loop_function *function, void *context)
{
    struct http_post *post = memory_new(sizeof(*post));

    if (post == NULL)
        return -ENOMEM;
    post->function = function;
    post->context = context;
    post->owned = true;
    http_loop_post_at(loop, post);
    return 0;
}

static bool run_posts(struct http_loop *loop)
{
    struct http_post *post;

    pthread_mutex_lock(&loop->lock);
    post = loop->posts_first;
    loop->posts_first = loop->posts_last = NULL;
    pthread_mutex_unlock(&loop->lock);
    if (post == NULL)
        return false;
    while (post != NULL) {
        struct http_post *next = post->next;
        http_loop_function *function = post->function;
        void *context = post->context;

        if (post->owned)
            memory_free(post);
        function(context); /* may free or reuse a post that is the caller's */
        post = next;
    }
    return true;
}

void http_loop_wake(struct http_loop *loop)
{
    curl_multi_wakeup(loop->multi);
}

bool http_loop_is_mine(const struct http_loop *loop)
{
    return pthread_equal(atomic_load(&((struct http_loop *)loop)->owner), pthread_self()) != 0;
}

/* Timers ------------------------------------------------------------------ */

static void heap_place(struct http_loop *loop, size_t at, struct http_timer *timer)
{
    loop->timers[at] = timer;
    timer->place = at + 1;
}

static void heap_up(struct http_loop *loop, size_t at)
{
    struct http_timer *timer = loop->timers[at];

    while (at > 0 && loop->timers[(at - 1) / 2]->due_ms > timer->due_ms) {
        heap_place(loop, at, loop->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_place(loop, at, timer);
}

static void heap_down(struct http_loop *loop, size_t at)
{
    struct http_timer *timer = loop->timers[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child >= loop->timer_count)
            break;
        if (child + 1 < loop->timer_count &&
            loop->timers[child + 1]->due_ms < loop->timers[child]->due_ms)
            child++;
        if (loop->timers[child]->due_ms >= timer->due_ms)
            break;
        heap_place(loop, at, loop->timers[child]);
        at = child;
    }
    heap_place(loop, at, timer);
}

void http_timer_clear(struct http_loop *loop, struct http_timer *timer)
{
    size_t at;
    struct http_timer *last;

    if (timer->place == 0)
        return;
    at = timer->place - 1;
    timer->place = 0;
    last = loop->timers[--loop->timer_count];
    if (last == timer)
        return;
    heap_place(loop, at, last);
    heap_up(loop, at);
    heap_down(loop, last->place - 1);
}

int http_timer_set(struct http_loop *loop, struct http_timer *timer, uint64_t due_ms)
{
    http_timer_clear(loop, timer);
    if (loop->timer_count == loop->timer_capacity) {
        size_t capacity = loop->timer_capacity == 0 ? 32 : loop->timer_capacity * 2;
        struct http_timer **timers = memory_resize(loop->timers, capacity, sizeof(*timers));

        if (timers == NULL)
            return -ENOMEM;
        loop->timers = timers;
        loop->timer_capacity = capacity;
    }
    timer->due_ms = due_ms;
    loop->timers[loop->timer_count++] = timer;
    heap_up(loop, loop->timer_count - 1);
    return 0;
}

static void run_timers(struct http_loop *loop)
{
    uint64_t now = clock_monotonic_ms();

    while (loop->timer_count > 0 && loop->timers[0]->due_ms <= now) {
        struct http_timer *timer = loop->timers[0];

        http_timer_clear(loop, timer);
        timer->function(timer->context);
    }
}

/* Watches ----------------------------------------------------------------- */

void http_watch_add(struct http_loop *loop, struct http_watch *watch)
{
    watch->next = loop->watches;
    loop->watches = watch;
    loop->watch_count++;
    loop->watches_changed = true;
}

void http_watch_remove(struct http_loop *loop, struct http_watch *watch)
{
    for (struct http_watch **at = &loop->watches; *at != NULL; at = &(*at)->next) {
        if (*at == watch) {
            *at = watch->next;
            loop->watch_count--;
            loop->watches_changed = true;
            return;
        }
    }
}

static int fill_wait_fds(struct http_loop *loop, struct error *err)
{
    size_t i = 0;

    if (loop->wait_capacity < loop->watch_count) {
        struct curl_waitfd *fds = memory_resize(loop->wait_fds, loop->watch_count, sizeof(*fds));

        if (fds == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        loop->wait_fds = fds;
        loop->wait_capacity = loop->watch_count;
    }
    for (struct http_watch *watch = loop->watches; watch != NULL; watch = watch->next)
        loop->wait_fds[i++] =
            (struct curl_waitfd){ .fd = (curl_socket_t)watch->fd, .events = CURL_WAIT_POLLIN };
    loop->watches_changed = false;
    return 0;
}

/* The order of the list is that of wait_fds, until a function changes the list: then the rest waits
 * for the next turn, where it is still readable. */
static void run_watches(struct http_loop *loop, size_t count)
{
    struct http_watch *watch = loop->watches;

    for (size_t i = 0; i < count && watch != NULL && !loop->watches_changed; i++) {
        struct http_watch *next = watch->next;

        if (loop->wait_fds[i].revents != 0)
            watch->function(watch->context);
        watch = next;
    }
}

/* Turns ------------------------------------------------------------------- */

static void apply_changes(struct http_loop *loop)
{
    while (loop->changed != NULL) {
        struct http_request *request = loop->changed;

        loop->changed = request->next_changed;
        request->is_changed = false;
        http_request_apply(request);
    }
}

static void run_transfers(struct http_loop *loop)
{
    CURLMsg *message;
    int running, left;

    loop->performing = true;
    curl_multi_perform(loop->multi, &running);
    loop->performing = false;
    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        struct http_request *request = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
        http_request_finish(request, message->data.result);
    }
    apply_changes(loop);
}

static int wait_ms(struct http_loop *loop, uint64_t timeout_ms)
{
    if (loop->timer_count > 0) {
        uint64_t now = clock_monotonic_ms();
        uint64_t due = loop->timers[0]->due_ms;
        uint64_t left = due > now ? due - now : 0;

        if (left < timeout_ms)
            timeout_ms = left;
    }
    return timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
}

int http_loop_run_once(struct http_loop *loop, uint64_t timeout_ms, struct error *err)
{
    size_t watched = loop->watch_count;
    CURLMcode code;
    int r;

    atomic_store(&loop->owner, pthread_self());
    r = fill_wait_fds(loop, err);
    if (r < 0)
        return r;
    code = curl_multi_poll(loop->multi, loop->wait_fds, (unsigned)watched,
                           wait_ms(loop, timeout_ms), NULL);
    if (code == CURLM_OUT_OF_MEMORY)
        return error_set(err, -ENOMEM, "out of memory");
    if (code != CURLM_OK)
        return error_set(err, -EIO, "waiting for the network: %s", curl_multi_strerror(code));
    run_watches(loop, watched);
    run_posts(loop);
    run_timers(loop);
    apply_changes(loop);
    run_transfers(loop);
    return 0;
}

int http_loop_run_until(struct http_loop *loop, http_loop_condition *done, void *context,
                        uint64_t deadline_ms, struct error *err)
{
    while (!done(context)) {
        uint64_t now = clock_monotonic_ms();
        int r;

        if (now >= deadline_ms)
            return error_set(err, -ETIMEDOUT, "the deadline passed");
        r = http_loop_run_once(loop, deadline_ms - now, err);
        if (r < 0)
            return r;
    }
    return 0;
}

CURL *http_loop_take_handle(struct http_loop *loop)
{
    return loop->kept_count > 0 ? loop->kept[--loop->kept_count] : curl_easy_init();
}

void http_loop_give_handle(struct http_loop *loop, CURL *easy)
{
    if (easy == NULL)
        return;
    if (loop->kept_count == HTTP_HANDLES_KEPT) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    loop->kept[loop->kept_count++] = easy;
}

struct http_loop *http_loop_free(struct http_loop *loop)
{
    if (loop == NULL)
        return NULL;
    do {
        while (loop->requests != NULL)
            http_request_cancel(loop->requests);
    } while (run_posts(loop) || loop->requests != NULL);
    while (loop->timer_count > 0)
        http_timer_clear(loop, loop->timers[0]);
    while (loop->kept_count > 0)
        curl_easy_cleanup(loop->kept[--loop->kept_count]);
    curl_multi_cleanup(loop->multi);
    if (loop->has_lock)
        pthread_mutex_destroy(&loop->lock);
    memory_free(loop->timers);
    memory_free(loop->wait_fds);
    return memory_free(loop);
}

uint64_t http_loop_sent_bytes(const struct http_loop *loop)
{
    return atomic_load(&((struct http_loop *)loop)->sent);
}

uint64_t http_loop_received_bytes(const struct http_loop *loop)
{
    return atomic_load(&((struct http_loop *)loop)->received);
}

uint64_t http_loop_request_count(const struct http_loop *loop)
{
    return atomic_load(&((struct http_loop *)loop)->request_count);
}
