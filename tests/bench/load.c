/* A closed-loop load on a Unix socket, as cheap as can be: one thread, one epoll, one connection a request.
 *
 *   load SOCKET EXCHANGES CLIENTS WARMUP SECONDS MOST
 *
 * EXCHANGES is a file of records: length and bytes of a request, length and bytes of the one right reply; lengths are 32-bit
 * numbers of this machine. Each of CLIENTS asks the next of them as soon as it has the reply to the one before. What ends within
 * SECONDS after WARMUP seconds counts, and not more than MOST replies in all. The figures are written as one object of JSON; times are
 * in microseconds from before connect() to the last byte of the reply.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TIMES_LIMIT (1 << 24)
#define GIVE_UP_SECONDS 60

struct exchange { const char *request, *reply; uint32_t request_length, reply_length; };
struct client { int descriptor; struct exchange *exchange; size_t got; double began; };

static struct exchange *exchanges;
static size_t exchange_count, next_exchange;
static struct sockaddr_un address;
static int poll_descriptor;
static uint32_t *times;
static size_t count, all, wrong;
static double counted_from, end;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(2); }

static void read_exchanges(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *bytes = malloc(size), *at = bytes;
    if (!bytes || fread(bytes, 1, size, file) != (size_t)size) die(path);
    fclose(file);
    while (at < bytes + size) {
        exchanges = realloc(exchanges, (exchange_count + 1) * sizeof *exchanges);
        struct exchange *e = &exchanges[exchange_count++];
        memcpy(&e->request_length, at, 4); e->request = at + 4; at += 4 + e->request_length;
        memcpy(&e->reply_length, at, 4); e->reply = at + 4; at += 4 + e->reply_length;
    }
}

/* Returns 0 if the daemon's queue is full, so that the client has to try again. */
static int ask(struct client *c) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        if (errno != EAGAIN) die("connect");
        close(fd);
        return 0;
    }
    c->descriptor = fd;
    c->got = 0;
    c->exchange = &exchanges[next_exchange++ % exchange_count];
    if (send(fd, c->exchange->request, c->exchange->request_length, MSG_NOSIGNAL) != c->exchange->request_length) {
        if (errno != EPIPE) die("send");
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_descriptor, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
    return 1;
}

/* Returns 1 once the reply is there, or can't be right any more. */
static int take(struct client *c) {
    char piece[65536];
    ssize_t n = recv(c->descriptor, piece, sizeof piece, 0);
    if (n < 0 && errno == EAGAIN) return 0;
    double at = now();
    int right = n > 0 && c->got + n <= c->exchange->reply_length && !memcmp(c->exchange->reply + c->got, piece, n);
    if (right) {
        c->got += n;
        if (c->got < c->exchange->reply_length) return 0;
    } else if (c->exchange->reply_length == 0 && n == 0) {
        right = 1;
    }
    close(c->descriptor);
    all++;
    if (at >= counted_from && at < end) {
        if (!right) wrong++;
        else if (count < TIMES_LIMIT) times[count++] = (uint32_t)((at - c->began) * 1e6);
    }
    return 1;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 7) { fprintf(stderr, "usage: load SOCKET EXCHANGES CLIENTS WARMUP SECONDS MOST\n"); return 2; }
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    read_exchanges(argv[2]);
    int clients = atoi(argv[3]);
    size_t most = strtoull(argv[6], NULL, 10);
    times = malloc(TIMES_LIMIT * sizeof *times);
    struct client *everyone = calloc(clients, sizeof *everyone);
    /* Those who found the queue full, in the order that they came; their time goes on. */
    struct client **queue = malloc(clients * sizeof *queue);
    int first = 0, queued = 0;
    poll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    double start = now(), moment, last = start;
    counted_from = start + atof(argv[4]);
    end = counted_from + atof(argv[5]);
    for (int i = 0; i < clients; i++) {
        everyone[i].began = start;
        queue[queued++] = &everyone[i];
    }
    int asking = 0, over = 0;
    /* In the end those who wait get their replies still, so that nothing is left over for who is measured next. */
    while ((moment = now()) - last < GIVE_UP_SECONDS && (asking || !over)) {
        over = moment >= end || all >= most;
        while (!over && queued && ask(queue[first])) {
            first = (first + 1) % clients;
            queued--;
            asking++;
        }
        struct epoll_event events[64];
        int ready = epoll_wait(poll_descriptor, events, 64, queued && !over ? 1 : 100);
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            if (!take(c)) continue;
            last = c->began = now();
            if (over || queued || !ask(c)) {
                queue[(first + queued++) % clients] = c;
                asking--;
            }
        }
    }
    double seconds = (moment < end ? moment : end) - counted_from;
    qsort(times, count, sizeof *times, compare);
#define AT(q) (count ? times[(size_t)(count * (q))] : 0)
    printf("{\"requests\": %zu, \"wrong\": %zu, \"seconds\": %.6f, \"p50\": %u, \"p99\": %u, \"p999\": %u}\n",
           count, wrong, seconds, AT(.5), AT(.99), AT(.999));
    return 0;
}
