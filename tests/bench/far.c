/* A database that is far away: a proxy between Unix sockets that holds every answer back.
 *
 *   far SOCKET SERVER MILLISECONDS
 *
 * Listens on SOCKET and connects each client to SERVER. What clients say goes on at once; what the server says goes on when it is
 * MILLISECONDS old.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct piece { double due; size_t length; int to; struct piece *next; char bytes[]; };
static struct piece *first, *last;
static int other[65536], is_server[65536];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(2); }

static struct sockaddr_un at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

static void pass(int to, const char *bytes, size_t length) {
    while (length) {
        ssize_t n = send(to, bytes, length, MSG_NOSIGNAL);
        if (n < 0) return;
        bytes += n;
        length -= n;
    }
}

static void hang_up(int fd) {
    for (struct piece *p = first; p; p = p->next)
        if (p->to == fd || p->to == other[fd]) p->to = -1;
    close(other[fd]);
    close(fd);
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "usage: far SOCKET SERVER MILLISECONDS\n"); return 2; }
    struct sockaddr_un here = at(argv[1]), there = at(argv[2]);
    double delay = atof(argv[3]) / 1000;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), poll = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || chmod(argv[1], 0777) || listen(listener, 1024)) die(argv[1]);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        while (first && first->due <= now()) {
            struct piece *p = first;
            first = p->next;
            if (p->to >= 0) pass(p->to, p->bytes, p->length);
            free(p);
        }
        double left = first ? first->due - now() : 3600;
        struct timespec wait = {.tv_sec = (long)(left < 0 ? 0 : left), .tv_nsec = left < 0 ? 0 : (left - (long)left) * 1e9};
        if (epoll_pwait2(poll, &event, 1, &wait, NULL) < 1) continue;
        int fd = event.data.fd;
        if (fd == listener) {
            int client = accept(listener, NULL, NULL), server = socket(AF_UNIX, SOCK_STREAM, 0);
            if (client < 0 || connect(server, (struct sockaddr *)&there, sizeof there)) die(argv[2]);
            other[client] = server; other[server] = client;
            is_server[client] = 0; is_server[server] = 1;
            event.events = EPOLLIN;
            event.data.fd = client; epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
            event.data.fd = server; epoll_ctl(poll, EPOLL_CTL_ADD, server, &event);
            continue;
        }
        char bytes[65536];
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0) { hang_up(fd); continue; }
        if (!is_server[fd]) { pass(other[fd], bytes, n); continue; }
        struct piece *p = malloc(sizeof *p + n);
        *p = (struct piece){.due = now() + delay, .length = n, .to = other[fd]};
        memcpy(p->bytes, bytes, n);
        if (first) last->next = p; else first = p;
        last = p;
    }
}
