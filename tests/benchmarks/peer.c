/* The chat of this repository's text dialect, in C: the yardstick for one core.
 *
 * The same idea as the server's: all the lines of one epoll turn are one batch, its bytes are
 * built once, and everyone is sent the same buffer with one send(); only an author in the batch
 * gets a copy without their own lines. A socket that is full gets a pending buffer. Arrivals and
 * departures of a turn are told in one line each.
 *
 * usage: peer PORT      (on 127.0.0.1)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MAX_CLIENTS = 65536,
    EVENTS = 1024,
    READ_SIZE = 64 * 1024,
    MAX_LINE = 8192,
    MAX_NAME = 32,
    MAX_PENDING = 256 * 1024 * 1024, /* bytes; a client that holds up more is dropped */
    NAMED = 3,                       /* arrivals told by name, before "and 497 others" */
};

struct buffer {
    char *data;
    size_t size, capacity;
};

enum state { UNNAMED, JOINING, JOINED, GONE };

struct client {
    int fd, place; /* place: index in `clients` */
    enum state state;
    bool author;   /* has lines in this turn's batch */
    char name[MAX_NAME + 1];
    struct buffer partial; /* a line that has not ended yet */
    struct buffer pending; /* what the socket did not take */
};

struct segment { /* of the batch: consecutive lines of one author */
    struct client *author;
    size_t start, end;
};

static int poller, client_count, online;
static struct client *clients[MAX_CLIENTS];
static struct client *joining[MAX_CLIENTS], *gone[MAX_CLIENTS];
static int joining_count, gone_count;
static struct buffer batch, own, list;
static struct segment *segments;
static size_t segment_count, segment_capacity;

static void append(struct buffer *buffer, const char *data, size_t size) {
    if (buffer->size + size > buffer->capacity) {
        buffer->capacity = (buffer->size + size) * 2;
        buffer->data = realloc(buffer->data, buffer->capacity);
        if (!buffer->data) abort();
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void append_text(struct buffer *buffer, const char *text) {
    append(buffer, text, strlen(text));
}

static void release(struct buffer *buffer) {
    free(buffer->data);
    *buffer = (struct buffer){0};
}

static void watch(struct client *client, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(poller, operation, client->fd, &event);
}

static void drop(struct client *client) {
    if (client->state == GONE) return;
    for (int i = 0; i < joining_count; i++)
        if (joining[i] == client) joining[i] = joining[--joining_count];
    if (client->state == JOINED)
        online--;
    else
        client->name[0] = '\0'; /* nobody has heard of them */
    client->state = GONE;
    gone[gone_count++] = client;
}

static void transmit(struct client *client, const char *data, size_t size) {
    if (!client->pending.size) {
        ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)size) return;
        if (sent < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) return drop(client);
            sent = 0;
        }
        data += sent;
        size -= sent;
        watch(client, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    }
    if (client->pending.size + size > MAX_PENDING) return drop(client);
    append(&client->pending, data, size);
}

static void transmit_pending(struct client *client) {
    ssize_t sent = send(client->fd, client->pending.data, client->pending.size,
                        MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK) drop(client);
        return;
    }
    client->pending.size -= sent;
    memmove(client->pending.data, client->pending.data + sent, client->pending.size);
    if (!client->pending.size) {
        release(&client->pending);
        watch(client, EPOLLIN, EPOLL_CTL_MOD);
    }
}

static void say(struct client *author, const char *text, size_t size) {
    struct segment *last = segment_count ? &segments[segment_count - 1] : NULL;
    if (!last || last->author != author) {
        if (segment_count == segment_capacity) {
            segment_capacity = segment_capacity * 2 + 64;
            segments = realloc(segments, segment_capacity * sizeof *segments);
            if (!segments) abort();
        }
        last = &segments[segment_count++];
        *last = (struct segment){author, batch.size, batch.size};
    }
    append_text(&batch, author->name);
    append(&batch, ": ", 2);
    append(&batch, text, size);
    append(&batch, "\r\n", 2);
    last->end = batch.size;
    author->author = true;
}

static bool is_taken(const char *name) {
    for (int i = 0; i < client_count; i++)
        if (clients[i]->state != GONE && !strcmp(clients[i]->name, name)) return true;
    return false;
}

static void name_client(struct client *client, const char *name, size_t size) {
    char wanted[MAX_NAME + 1] = "";
    if (size && size <= MAX_NAME) memcpy(wanted, name, size);
    if (!wanted[0] || strlen(wanted) != size || strpbrk(wanted, "*: ,") || is_taken(wanted)) {
        static const char refusal[] = "Error: not a free name. What is your name?\r\n";
        return transmit(client, refusal, sizeof refusal - 1);
    }
    memcpy(client->name, wanted, sizeof wanted);
    client->state = JOINING;
    joining[joining_count++] = client;
}

static void serve_line(struct client *client, const char *line, size_t size) {
    if (size && line[size - 1] == '\r') size--;
    if (!size) return;
    if (client->state == UNNAMED)
        name_client(client, line, size);
    else if (size == 5 && !memcmp(line, "/exit", 5))
        drop(client);
    else
        say(client, line, size);
}

static void serve(struct client *client) {
    static char data[READ_SIZE + MAX_LINE];
    size_t size = client->partial.size;
    memcpy(data, client->partial.data ? client->partial.data : "", size);
    ssize_t received = recv(client->fd, data + size, READ_SIZE, MSG_DONTWAIT);
    if (received <= 0) {
        if (received == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) drop(client);
        return;
    }
    size += received;
    char *line = data, *end = data + size, *newline;
    while (client->state != GONE && (newline = memchr(line, '\n', end - line))) {
        serve_line(client, line, newline - line);
        line = newline + 1;
    }
    if (end - line > MAX_LINE) return drop(client);
    if (line == end)
        release(&client->partial);
    else {
        client->partial.size = 0;
        append(&client->partial, line, end - line);
    }
}

static void accept_all(int listener) {
    int fd;
    while (client_count < MAX_CLIENTS && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct client *client = calloc(1, sizeof *client);
        if (!client) abort();
        client->fd = fd;
        client->place = client_count;
        clients[client_count++] = client;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(client, EPOLLIN, EPOLL_CTL_ADD);
        transmit(client, "What is your name?\r\n", 20);
    }
}

/* "*** Alice, Bob, Carol and 497 others have joined the chat." */
static void tell(struct buffer *buffer, struct client **who, int count, const char *what) {
    char others[64];
    int named = count <= NAMED + 1 ? count : NAMED;
    if (!count) return;
    append(buffer, "*** ", 4);
    for (int i = 0; i < named; i++) {
        if (i) append(buffer, ", ", 2);
        append_text(buffer, who[i]->name);
    }
    if (named < count)
        append(buffer, others, sprintf(others, " and %d others", count - named));
    append_text(buffer, count == 1 ? " has " : " have ");
    append_text(buffer, what);
    append(buffer, " the chat.\r\n", 12);
}

static void list_online(void) {
    char start[64];
    bool first = true;
    list.size = 0;
    append(&list, start, sprintf(start, "*** Online (%d): ", online + joining_count));
    for (int i = 0; i < client_count; i++) {
        if (clients[i]->state != JOINED && clients[i]->state != JOINING) continue;
        if (!first) append(&list, ", ", 2);
        first = false;
        append_text(&list, clients[i]->name);
    }
    append(&list, "\r\n", 2);
}

static void send_batch(void) {
    for (int i = 0; i < client_count; i++) {
        struct client *client = clients[i];
        if (client->state != JOINED) continue;
        if (!client->author) {
            transmit(client, batch.data, batch.size);
            continue;
        }
        own.size = 0;
        size_t from = 0;
        for (size_t s = 0; s < segment_count; s++)
            if (segments[s].author == client) {
                append(&own, batch.data + from, segments[s].start - from);
                from = segments[s].end;
            }
        append(&own, batch.data + from, batch.size - from);
        if (own.size) transmit(client, own.data, own.size);
    }
    for (size_t s = 0; s < segment_count; s++) segments[s].author->author = false;
}

static void welcome(struct client *client) {
    char line[128];
    int size = sprintf(line, "Welcome %s, you are connected to the server.\r\n", client->name);
    client->state = JOINED;
    online++;
    own.size = 0;
    append(&own, line, size);
    append(&own, list.data, list.size);
    transmit(client, own.data, own.size);
}

/* Whoever goes while the batch is being sent is told of in the next one. */
static void end_turn(void) {
    static struct client *leaving[MAX_CLIENTS], *left[MAX_CLIENTS];
    static struct buffer said;
    int leaving_count = gone_count, left_count = 0;
    memcpy(leaving, gone, gone_count * sizeof *gone);
    gone_count = 0;
    for (int i = 0; i < leaving_count; i++)
        if (leaving[i]->name[0]) left[left_count++] = leaving[i];
    if (joining_count) { /* nobody speaks before others have heard that they are here */
        said.size = 0;
        tell(&said, joining, joining_count, "joined");
        size_t shift = said.size;
        append(&said, batch.data ? batch.data : "", batch.size);
        struct buffer swapped = batch;
        batch = said;
        said = swapped;
        for (size_t s = 0; s < segment_count; s++) {
            segments[s].start += shift;
            segments[s].end += shift;
        }
    }
    tell(&batch, left, left_count, "left");
    if (batch.size) send_batch();
    if (joining_count) {
        list_online();
        int count = joining_count;
        joining_count = 0;
        for (int i = 0; i < count; i++) welcome(joining[i]);
    }
    batch.size = segment_count = 0;
    for (int i = 0; i < leaving_count; i++) {
        struct client *client = leaving[i];
        clients[client->place] = clients[--client_count];
        clients[client->place]->place = client->place;
        close(client->fd);
        release(&client->partial);
        release(&client->pending);
        free(client);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) return fprintf(stderr, "usage: %s PORT\n", argv[0]), 2;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        return perror("peer"), 1;
    poller = epoll_create1(0);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &listening);
    for (;;) {
        int count = epoll_wait(poller, events, EVENTS, gone_count ? 0 : -1);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (!client) {
                accept_all(listener);
                continue;
            }
            if (client->state != GONE && events[i].events & EPOLLOUT) transmit_pending(client);
            if (client->state != GONE && events[i].events & ~EPOLLOUT) serve(client);
        }
        end_turn();
    }
}
