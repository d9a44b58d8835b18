/* A wire loader: sends requests that were encoded beforehand, and does as little else as it can,
 * so that what it measures is the broker.
 *
 *   wire produce HOST PORT FRAMES CONNECTIONS IN_FLIGHT REQUESTS ERROR_AT [RATE]
 *   wire consume HOST PORT FRAMES OFFSET_AT RECORDS_AT EVENTS
 *   wire latency HOST PORT FRAMES OFFSET_AT RECORDS_AT ROUNDS
 *
 * FRAMES is a file of whole requests, each with its four bytes of size. `produce` sends them in
 * turn, each connection from a place of its own, and looks at the error code, ERROR_AT bytes into
 * each response (when negative: from its end). With a RATE so many leave in a second, whether the
 * earlier ones are answered or not, over the connections in turn. `consume` sends the one Fetch request again and again with the next offset
 * (OFFSET_AT bytes into the request) and walks the batches (the records field, a compact length and
 * the bytes, starts RECORDS_AT bytes into the response). `latency` has a Fetch request parked on
 * one connection, sends a Produce request on another, and takes the time until the event arrives;
 * its file has the Produce request first, then the Fetch request.
 *
 * Prints one line of JSON; ends with 1 and a line on stderr when a response is not as it should be. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MAX_IN_FLIGHT = 64, READ_SIZE = 1 << 18, MAX_RESPONSE = 1 << 27, RATE_NS = 2000000 };

struct frame { uint8_t *bytes; size_t size; };

struct connection {
    int fd;
    int unanswered;               /* queued or sent, and not answered */
    int queued;                   /* of those, not wholly sent */
    int slots[MAX_IN_FLIGHT];     /* ring of frame numbers, oldest queued at `head` */
    int64_t since[MAX_IN_FLIGHT]; /* when each unanswered one was queued, a ring as well */
    int head, first;
    size_t sent;                  /* bytes of the oldest queued frame that are sent */
    int next_frame;
    int watching_writes;
    uint8_t *in;
    size_t have, room;
};

static struct frame *frames;
static int frame_count;

static void die(const char *what)
{
    fprintf(stderr, "wire: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return ntohl(v); }
static uint64_t get64(const uint8_t *p) { return (uint64_t)get32(p) << 32 | get32(p + 4); }
static void put64(uint8_t *p, uint64_t v)
{
    uint32_t high = htonl(v >> 32), low = htonl((uint32_t)v);
    memcpy(p, &high, 4);
    memcpy(p + 4, &low, 4);
}

static void load_frames(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t size[4];
    if (!file) die(path);
    while (fread(size, 1, 4, file) == 4) {
        size_t n = get32(size);
        frames = realloc(frames, (frame_count + 1) * sizeof *frames);
        uint8_t *bytes = malloc(n + 4);
        if (!frames || !bytes) die("memory");
        memcpy(bytes, size, 4);
        if (fread(bytes + 4, 1, n, file) != n) die("frames are cut off");
        frames[frame_count++] = (struct frame){bytes, n + 4};
    }
    fclose(file);
    if (!frame_count) die("no frames");
}

static int dial(const char *host, const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || inet_pton(AF_INET, host, &to.sin_addr) != 1) die("address");
    if (connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The 99th percentile of somebody who begins a round every RATE_NS, whatever became of the last one:
 * who waits long would have begun others meanwhile. */
static double paced_p99(const int64_t *times, int64_t count)
{
    int64_t all = 0, at = 0;
    for (int64_t i = 0; i < count; i++) all += 1 + times[i] / RATE_NS;
    int64_t *more = calloc(all + 1, sizeof *more);
    for (int64_t i = 0; i < count; i++)
        for (int64_t left = times[i]; left >= 0; left -= RATE_NS) more[at++] = left;
    qsort(more, at, sizeof *more, by_value);
    double found = more[at * 99 / 100] / 1e3;
    free(more);
    return found;
}

static void report(int64_t done, int64_t bytes, int64_t elapsed, int64_t *times, int64_t count)
{
    double paced = times ? paced_p99(times, count) : 0.0;
    qsort(times, count, sizeof *times, by_value);
    printf("{\"done\": %ld, \"bytes\": %ld, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"paced_p99_us\": %.1f}\n",
           done, bytes, elapsed / 1e9, count ? times[count / 2] / 1e3 : 0.0,
           count ? times[count * 99 / 100] / 1e3 : 0.0, paced);
}

/* --- produce: many connections, one thread ------------------------------------------------- */

static int64_t issued, answered, wanted, *latencies;

static void flush_queue(struct connection *c, int epoll, int window)
{
    while (c->queued) {
        struct iovec parts[MAX_IN_FLIGHT];
        for (int i = 0; i < c->queued; i++) {
            struct frame *f = &frames[c->slots[(c->head + i) % window]];
            parts[i] = (struct iovec){f->bytes, f->size};
        }
        parts[0].iov_base = (uint8_t *)parts[0].iov_base + c->sent;
        parts[0].iov_len -= c->sent;
        ssize_t n = writev(c->fd, parts, c->queued);
        if (n < 0 && errno != EAGAIN) die("write");
        if (n < 0) break;
        c->sent += n;
        while (c->queued && c->sent >= frames[c->slots[c->head]].size) {
            c->sent -= frames[c->slots[c->head]].size;
            c->head = (c->head + 1) % window;
            c->queued--;
        }
    }
    if (c->watching_writes != (c->queued > 0)) {
        c->watching_writes = c->queued > 0;
        struct epoll_event e = {.events = EPOLLIN | (c->watching_writes ? EPOLLOUT : 0), .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void refill(struct connection *c, int epoll, int window)
{
    int64_t now = now_ns();
    while (c->unanswered < window && issued < wanted) {
        c->slots[(c->head + c->queued) % window] = c->next_frame;
        c->since[(c->first + c->unanswered) % window] = now;
        c->next_frame = (c->next_frame + 1) % frame_count;
        c->queued++;
        c->unanswered++;
        issued++;
    }
    flush_queue(c, epoll, window);
}

/* What is due by now, at a fixed rate; times count from when a request was due. */
static void pace(struct connection *all, int count, int epoll, int window, int64_t began, double rate)
{
    int64_t due, now = now_ns();
    while (issued < wanted && (due = began + (int64_t)(issued * 1e9 / rate)) <= now) {
        struct connection *c = &all[issued % count];
        if (c->unanswered >= window) break;
        c->slots[(c->head + c->queued) % window] = issued % frame_count;
        c->since[(c->first + c->unanswered) % window] = due;
        c->queued++;
        c->unanswered++;
        issued++;
        flush_queue(c, epoll, window);
    }
}

static void take_responses(struct connection *c, int window, long error_at)
{
    ssize_t n = read(c->fd, c->in + c->have, c->room - c->have);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the broker closed the connection");
    c->have += n;
    size_t at = 0;
    int64_t now = now_ns();
    while (c->have - at >= 4) {
        size_t size = get32(c->in + at);
        if (size + 4 > c->room) die("a response is too large");
        if (c->have - at < size + 4) break;
        long place = error_at < 0 ? (long)size + error_at : error_at;
        if (place < 0 || place + 2 > (long)size) die("a response is too short");
        const uint8_t *code = c->in + at + 4 + place;
        if (code[0] || code[1]) { fprintf(stderr, "wire: error code %d\n", code[0] << 8 | code[1]); exit(1); }
        latencies[answered++] = now - c->since[c->first];
        c->first = (c->first + 1) % window;
        c->unanswered--;
        at += size + 4;
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
}

static void produce(char **argument, double rate)
{
    int count = atoi(argument[0]), window = atoi(argument[1]), epoll = epoll_create1(0);
    long error_at = atol(argument[3]);
    wanted = atoll(argument[2]);
    latencies = calloc(wanted, sizeof *latencies);
    struct connection *all = calloc(count, sizeof *all);
    if (window > MAX_IN_FLIGHT) die("too many in flight");
    for (int i = 0; i < count; i++) {
        struct connection *c = &all[i];
        c->fd = dial(argument[-3], argument[-2]);
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        c->next_frame = (int64_t)i * frame_count / count;
        c->room = READ_SIZE;
        c->in = malloc(c->room);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
    }
    int64_t began = now_ns(), bytes = 0, heard = began;
    for (int i = 0; i < count && !rate; i++) refill(&all[i], epoll, window);
    while (answered < wanted) {
        struct epoll_event events[64];
        if (rate) pace(all, count, epoll, window, began, rate);
        int n = epoll_wait(epoll, events, 64, rate ? 1 : 30000);
        if (n) heard = now_ns();
        else if (now_ns() - heard >= 30000000000LL) { errno = 0; die("no answer for 30 s"); }
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLIN) take_responses(c, window, error_at);
            if (rate) flush_queue(c, epoll, window);
            else refill(c, epoll, window);
        }
    }
    int64_t elapsed = now_ns() - began;
    for (int i = 0; i < frame_count; i++) bytes += frames[i].size;
    report(answered, bytes / frame_count * answered, elapsed, latencies, answered);
}

/* --- consume and latency: blocking ----------------------------------------------------------- */

static void send_all(int fd, const struct frame *f)
{
    for (size_t sent = 0; sent < f->size;) {
        ssize_t n = write(fd, f->bytes + sent, f->size - sent);
        if (n <= 0) die("write");
        sent += n;
    }
}

static uint8_t *receive(int fd, size_t *size)
{
    static uint8_t *buffer;
    static size_t room;
    uint8_t head[4];
    for (size_t have = 0; have < 4;) {
        ssize_t n = read(fd, head + have, 4 - have);
        if (n <= 0) die("the broker closed the connection");
        have += n;
    }
    *size = get32(head);
    if (*size > MAX_RESPONSE) die("a response is too large");
    if (*size > room && !(buffer = realloc(buffer, room = *size))) die("memory");
    for (size_t have = 0; have < *size;) {
        ssize_t n = read(fd, buffer + have, *size - have);
        if (n <= 0) die("the broker closed the connection");
        have += n;
    }
    return buffer;
}

/* Walks the batches of a Fetch response; returns the events and moves the offset past them. */
static int64_t walk(const uint8_t *response, size_t size, size_t records_at, uint64_t *offset)
{
    size_t at = records_at, length = 0;
    for (int shift = 0; at < size; shift += 7) {
        length |= (size_t)(response[at] & 0x7f) << shift;
        if (!(response[at++] & 0x80)) break;
    }
    if (length == 0 || at + length - 1 > size) { errno = 0; die("a Fetch response without records"); }
    int64_t events = 0;
    for (size_t end = at + length - 1; end - at >= 61;) {
        size_t batch = 12 + get32(response + at + 8);
        if (batch > end - at) break;
        if (*offset > get64(response + at) + get32(response + at + 23)) { errno = 0; die("an old batch"); }
        events += get32(response + at + 57);
        *offset = get64(response + at) + get32(response + at + 23) + 1;
        at += batch;
    }
    return events;
}

static int64_t fetch(int fd, struct frame *request, size_t offset_at, size_t records_at, uint64_t *offset, int64_t *bytes)
{
    size_t size;
    put64(request->bytes + 4 + offset_at, *offset);
    send_all(fd, request);
    uint8_t *response = receive(fd, &size);
    *bytes += size;
    return walk(response, size, records_at, offset);
}

static void consume(char **argument)
{
    size_t offset_at = atoi(argument[0]), records_at = atoi(argument[1]);
    int64_t wanted_events = atoll(argument[2]), events = 0, bytes = 0;
    int fd = dial(argument[-3], argument[-2]);
    uint64_t offset = 0;
    int64_t began = now_ns();
    while (events < wanted_events) events += fetch(fd, &frames[0], offset_at, records_at, &offset, &bytes);
    report(events, bytes, now_ns() - began, NULL, 0);
}

static void latency(char **argument)
{
    size_t offset_at = atoi(argument[0]), records_at = atoi(argument[1]), size;
    int64_t rounds = atoll(argument[2]), *times = calloc(rounds, sizeof *times), bytes = 0;
    int writer = dial(argument[-3], argument[-2]), reader = dial(argument[-3], argument[-2]);
    uint64_t offset = 0;
    send_all(writer, &frames[0]);
    receive(writer, &size);
    for (int64_t warm = 0; warm < 1;) warm += fetch(reader, &frames[1], offset_at, records_at, &offset, &bytes);
    int64_t began = now_ns();
    for (int64_t i = 0; i < rounds; i++) {
        put64(frames[1].bytes + 4 + offset_at, offset);
        send_all(reader, &frames[1]);
        usleep(1500); /* the Fetch request is parked by now */
        int64_t sent = now_ns();
        send_all(writer, &frames[0]);
        uint8_t *response = receive(reader, &size);
        times[i] = now_ns() - sent;
        if (walk(response, size, records_at, &offset) != 1) die("not one event");
        receive(writer, &size);
    }
    report(rounds, bytes, now_ns() - began, times, rounds);
}

int main(int count, char **argument)
{
    if (count < 8) die("see the head of wire.c");
    load_frames(argument[4]);
    errno = 0;
    if (!strcmp(argument[1], "produce") && (count == 9 || count == 10))
        produce(argument + 5, count == 10 ? atof(argument[9]) : 0);
    else if (!strcmp(argument[1], "consume")) consume(argument + 5);
    else if (!strcmp(argument[1], "latency")) latency(argument + 5);
    else die("see the head of wire.c");
    return 0;
}
