/* The floor under every figure: a WebSocket server (RFC 6455) in one thread that does as little as one can.
 *
 *     cc -O2 -o floor floor.c && ./floor PORT
 *
 * GET /room/N joins room N. A text frame is unmasked, numbered (the zeros behind "sequence":" become its
 * place in the room) and sent to every member of the room, its author included: one send() for each. It
 * stores nothing, asks for no token, repairs nothing, and merges no two frames into one write.
 *
 * It is for bench/load alone: it answers only the sample key of RFC 6455, section 1.3, which that program
 * always sends, and takes no fragments. Prints "ready" when it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { ROOMS = 65536, EVENTS = 256, IN_BYTES = 2048, DIGITS = 12, STUCK_MILLIS = 30000 };

static const char KEY[] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
static const char UPGRADE[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char SEQUENCE[] = "\"sequence\":\"";

struct room {
    int *members;
    size_t count, size;
    unsigned long sequence;
};

struct client {
    int fd;
    struct room *room;
    size_t used;
    unsigned char in[IN_BYTES];
};

static struct room rooms[ROOMS];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* A full socket is waited for: readers that are always ready do not keep the others waiting for long. */
static bool send_all(int fd, const unsigned char *from, size_t size) {
    while (size > 0) {
        ssize_t taken = send(fd, from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken >= 0) {
            from += taken;
            size -= (size_t)taken;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, STUCK_MILLIS) <= 0) return false;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

static void join(struct client *client, unsigned number) {
    struct room *room = client->room = &rooms[number];
    if (room->count == room->size) {
        room->size = room->size ? room->size * 2 : 64;
        room->members = realloc(room->members, room->size * sizeof *room->members);
        if (!room->members) fail("realloc");
    }
    room->members[room->count++] = client->fd;
}

static void leave(struct client *client) {
    struct room *room = client->room;
    for (size_t i = 0; room && i < room->count; i++)
        if (room->members[i] == client->fd) room->members[i] = room->members[--room->count];
    close(client->fd);
    free(client);
}

static void broadcast(struct room *room, unsigned char *text, size_t size) {
    unsigned char out[IN_BYTES + 4];
    size_t head = size < 126 ? 2 : 4;
    out[0] = 0x81;
    out[1] = size < 126 ? (unsigned char)size : 126;
    if (head == 4) {
        out[2] = (unsigned char)(size >> 8);
        out[3] = (unsigned char)size;
    }
    unsigned char *place = memmem(text, size, SEQUENCE, sizeof SEQUENCE - 1);
    if (place && place + sizeof SEQUENCE - 1 + DIGITS <= text + size) {
        char digits[32];
        snprintf(digits, sizeof digits, "%0*lu", DIGITS, ++room->sequence);
        memcpy(place + sizeof SEQUENCE - 1, digits, DIGITS);
    }
    memcpy(out + head, text, size);
    for (size_t i = 0; i < room->count; i++) send_all(room->members[i], out, head + size);
}

/* How many bytes of the buffer are done with; 0: more must come; -1: the client is to go. */
static ssize_t take_request(struct client *client) {
    unsigned number;
    unsigned char *end = memmem(client->in, client->used, "\r\n\r\n", 4);
    if (!end) return client->used == IN_BYTES ? -1 : 0;
    *end = 0; /* the last header's line end goes with it, so the key may not be the last: ours is not */
    if (sscanf((char *)client->in, "GET /room/%u HTTP/1.1", &number) != 1 || number >= ROOMS) return -1;
    if (!strstr((char *)client->in, KEY)) return -1;
    if (!send_all(client->fd, (const unsigned char *)UPGRADE, sizeof UPGRADE - 1)) return -1;
    join(client, number);
    return end + 4 - client->in;
}

static ssize_t take_frame(struct client *client, unsigned char *in, size_t used) {
    if (used < 2) return 0;
    size_t size = in[1] & 0x7f, head = 6;
    if (!(in[1] & 0x80) || size == 127 || !(in[0] & 0x80)) return -1;
    if (size == 126) {
        if (used < 4) return 0;
        size = (size_t)in[2] << 8 | in[3];
        head = 8;
    }
    if (head + size > IN_BYTES) return -1;
    if (used < head + size) return 0;
    unsigned char *mask = in + head - 4, *text = in + head;
    for (size_t i = 0; i < size; i++) text[i] ^= mask[i & 3];
    if ((in[0] & 0x0f) == 0x8) return -1;
    if ((in[0] & 0x0f) == 0x1) broadcast(client->room, text, size);
    return (ssize_t)(head + size);
}

static bool serve(struct client *client) {
    ssize_t got = recv(client->fd, client->in + client->used, IN_BYTES - client->used, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    client->used += (size_t)got;
    size_t done = 0;
    for (;;) {
        ssize_t step = client->room ? take_frame(client, client->in + done, client->used - done) : take_request(client);
        if (step < 0) return false;
        if (step == 0) break;
        done += (size_t)step;
    }
    client->used -= done;
    memmove(client->in, client->in + done, client->used);
    return true;
}

static int listening(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, SOMAXCONN)) fail("listen");
    return fd;
}

static void welcome(int listener, int epoll) {
    int one = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        if (!client) fail("calloc");
        client->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event want = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &want)) fail("epoll_ctl");
    }
    if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) fail("accept");
}

int main(int count, char **words) {
    if (count != 2) return fprintf(stderr, "usage: floor PORT\n"), 2;
    int listener = listening(atoi(words[1])), epoll = epoll_create1(0);
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &want)) fail("epoll_ctl");
    puts("ready");
    fflush(stdout);
    for (;;) {
        int found = epoll_wait(epoll, events, EVENTS, -1);
        if (found < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < found; i++) {
            struct client *client = events[i].data.ptr;
            if (!client) welcome(listener, epoll);
            else if (!serve(client)) leave(client);
        }
    }
}
