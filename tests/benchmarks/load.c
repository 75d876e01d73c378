/* The load generator: one thread, epoll, thousands of connections, every delivery checked.
 *
 * usage: load MODE DIALECT PORT PID option=value...
 *
 * MODE     saturated   `window` messages in flight in all, for `seconds` after `warmup`
 *          latency     `rate` messages a second for `seconds` after `warmup`
 *          idle        join, report the server's memory, send one message
 *          joins       join all at once
 * DIALECT  text, irc, redis or nats
 * PID      the server, whose CPU time and memory are read from /proc
 * options  readers senders stalled window rate at_once (integers), warmup seconds limit (seconds),
 *          tags (1: IRC's server-time and msgid are asked for),
 *          tls (1: everyone connects over TLS; for that, compile with -DWITH_TLS -lssl -lcrypto)
 *
 * Prints one line of JSON, {"error": "..."} if anything went wrong.
 *
 * A message's text is 64 bytes: eight digits of sender, a space, eight digits of sequence number,
 * and padding. Each reader checks that each sender's numbers follow each other. A message is in
 * flight until everyone who is to get it has it. Readers are u00000, u00001, ...; the first
 * `senders` of them send too (in Redis, where a subscriber cannot publish, connections after the
 * readers do). `stalled` more readers join and then never read again.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum {
    TEXT_SIZE = 64,
    FRAME_SIZE = 128, /* room for a text and what a dialect puts around it */
    EVENTS = 1024,
    READ_SIZE = 256 * 1024,
    PARTIAL_SIZE = 256 * 1024, /* the longest line: a list of 10,000 names */
    OUTSTANDING = 4096,        /* messages of one sender in flight, at most; a power of two */
    RECORD_SIZE = 16 * 1024,   /* a record of TLS holds as much, at most */
};

struct client {
    int fd, number;
    struct ssl_st *tls; /* or none */
    uint32_t watched;   /* events of epoll's */
    bool connected, named, joined;
    uint32_t known;    /* people it has been told of, itself among them */
    uint32_t *next;    /* the sequence number it expects of each sender */
    char *partial;     /* the beginning of a line */
    size_t partial_size;
};

struct sender {
    struct client *client;
    uint32_t sent, completed, window;
    uint32_t *missing; /* deliveries that each message in flight lacks */
    char *out;
    size_t out_size, out_capacity;
};

static enum { TEXT, IRC, REDIS, NATS } dialect;
static const char *const dialects[] = {"text", "irc", "redis", "nats"};
static int readers = 10, senders = 10, stalled, window = 256, rate = 100, at_once = 1000, tls, tags;
static double warmup = 0.5, seconds = 2, limit = 60;

static int poller, client_count, pid, port;
static struct client *clients;
static struct sender *sending;
static int joined_count, informed_count; /* informed: told of everyone */
static int connecting, next_to_connect;
static uint64_t deliveries, messages_completed;
static double deadline;

static bool timing; /* latency: */
static double first_due, received_at;
static uint32_t *latencies;
static size_t latency_count, latency_capacity;
static uint64_t first_timed;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void fail(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '.';
    printf("{\"error\": \"%s\"}\n", text);
    fflush(stdout);
    _exit(0);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail("out of memory");
    return memory;
}

/* ---- what /proc says of the server ---- */

static double server_cpu(void) { /* seconds, of all its threads */
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    sprintf(path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(text, sizeof text, file)) fail("the server is gone");
    fclose(file);
    char *after_name = strrchr(text, ')');
    if (!after_name ||
        sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        fail("cannot read %s", path);
    return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static double server_memory(void) { /* resident, in KiB */
    char path[64], line[256];
    long size = -1;
    sprintf(path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file) fail("the server is gone");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmRSS: %ld", &size) == 1) break;
    fclose(file);
    if (size < 0) fail("cannot read %s", path);
    return size;
}

static double own_cpu(void) { /* seconds */
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* ---- the connection, plain or over TLS ---- */

static void watch(struct client *client, uint32_t events) {
    if (client->watched == events) return;
    struct epoll_event event = {.events = events, .data.ptr = client};
    int operation = client->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(poller, operation, client->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
    client->watched = events;
}

#ifdef WITH_TLS

static SSL_CTX *context;

static void prepare_tls(void) { /* one version and one cipher, so that all servers use the same */
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384"))
        fail("TLS cannot be prepared");
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER); /* what waits grows and moves */
    /* ngIRCd reads 2048 bytes once when its socket is readable: the rest of a larger record would
     * stay in GnuTLS until more comes, for ever if we wait for it to be delivered. */
    if (dialect == IRC) SSL_CTX_set_max_send_fragment(context, 2048);
    SSL_CTX_set_read_ahead(context, 1); /* or each record would cost two calls of recv */
    SSL_CTX_set_default_read_buffer_len(context, 4 * RECORD_SIZE);
}

/* What `result` of SSL_read, SSL_write or SSL_connect would be of recv or send. */
static ssize_t as_of_socket(struct client *client, int result) {
    if (result > 0) return result;
    int saved = errno;
    switch (SSL_get_error(client->tls, result)) {
    case SSL_ERROR_WANT_READ:
        errno = EAGAIN;
        watch(client, EPOLLIN);
        return -1;
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        watch(client, EPOLLIN | EPOLLOUT);
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        errno = saved ? saved : ECONNRESET;
        return -1;
    default:
        fail("u%05d: TLS: %s", client->number, ERR_reason_error_string(ERR_peek_error()));
        return -1;
    }
}

static bool shake_hands(struct client *client) { /* true: done */
    if (!client->tls) {
        client->tls = SSL_new(context);
        if (!client->tls || !SSL_set_fd(client->tls, client->fd)) fail("out of memory");
    }
    ERR_clear_error();
    ssize_t done = as_of_socket(client, SSL_connect(client->tls));
    if (done < 0 && errno == EAGAIN) return false;
    if (done <= 0) fail("u%05d cannot shake hands: %s", client->number, strerror(errno));
    return true;
}

static ssize_t send_over_tls(struct client *client, const char *data, size_t size) {
    ERR_clear_error();
    return as_of_socket(client, SSL_write(client->tls, data, size));
}

/* All that there is: epoll does not tell of what OpenSSL has read and not yet handed out. */
static ssize_t receive_over_tls(struct client *client, char *data, size_t room) {
    size_t size = 0;
    while (room - size >= RECORD_SIZE) {
        ERR_clear_error();
        ssize_t received = as_of_socket(client, SSL_read(client->tls, data + size, room - size));
        if (received <= 0) return size ? (ssize_t)size : received;
        size += received;
    }
    return size;
}

#else

static void prepare_tls(void) { fail("compiled without TLS"); } /* so that nothing else is called */
static bool shake_hands(struct client *client) { return false; }
static ssize_t send_over_tls(struct client *client, const char *data, size_t size) { return -1; }
static ssize_t receive_over_tls(struct client *client, char *data, size_t room) { return -1; }

#endif

/* ---- sending ---- */

/* As send(2), without blocking. */
static ssize_t transmit(struct client *client, const char *data, size_t size) {
    if (client->tls) return send_over_tls(client, data, size);
    return send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_line(struct client *client, const char *format, ...) { /* while joining: short */
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (transmit(client, line, size) != size)
        fail("u%05d cannot send: %s", client->number, strerror(errno));
}

static void flush_sender(struct sender *sender) {
    if (!sender->out_size) return;
    ssize_t sent = transmit(sender->client, sender->out, sender->out_size);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return; /* tried again next turn */
        fail("u%05d cannot send: %s", sender->client->number, strerror(errno));
    }
    sender->out_size -= sent;
    memmove(sender->out, sender->out + sent, sender->out_size);
}

static int audience(void) { return dialect == REDIS ? readers : readers - 1; }

static void queue_message(int number) {
    static const char padding[] = "the quick brown fox jumps over the lazy dog 1234567890";
    static const char *const before[] = {"", "PRIVMSG #bench :",
                                         "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$64\r\n",
                                         "PUB bench 64\r\n"};
    struct sender *sender = &sending[number];
    if (sender->sent - sender->completed >= OUTSTANDING) fail("the server falls behind the rate");
    if (sender->out_size + FRAME_SIZE > sender->out_capacity) {
        sender->out_capacity = sender->out_capacity * 2 + 16 * FRAME_SIZE;
        sender->out = realloc(sender->out, sender->out_capacity);
        if (!sender->out) fail("out of memory");
    }
    sender->out_size += sprintf(sender->out + sender->out_size, "%s%08d %08u %.46s\r\n",
                                before[dialect], number, sender->sent, padding);
    sender->missing[sender->sent++ % OUTSTANDING] = audience();
    if (!audience()) fail("nobody to send to");
}

/* ---- receiving ---- */

static uint32_t eight_digits(const char *text) { /* all at once, two by two by two */
    uint64_t value;
    memcpy(&value, text, 8);
    value -= 0x3030303030303030;
    value = value * 10 + (value >> 8);
    return (uint32_t)(((value & 0x000000FF000000FF) * 0x000F424000000064 +
                       ((value >> 16) & 0x000000FF000000FF) * 0x0000271000000001) >> 32);
}

static void deliver(struct client *client, const char *text, const char *name) {
    uint32_t from = eight_digits(text), sequence = eight_digits(text + 9);
    if (from >= (uint32_t)senders || text[8] != ' ' || text[17] != ' ')
        fail("u%05d got a text that nobody sent: %.64s", client->number, text);
    if (name && memcmp(name, text + 3, 5)) /* u00017: the last five digits of the eight */
        fail("u%05d got a text under a wrong name: %.8s", client->number, name - 1);
    if (from == (uint32_t)client->number && dialect != REDIS)
        fail("u%05d got its own message", client->number);
    if (sequence != client->next[from])
        fail("u%05d got %u of u%05u, not %u", client->number, sequence, from, client->next[from]);
    client->next[from]++;
    deliveries++;
    struct sender *sender = &sending[from];
    if (--sender->missing[sequence % OUTSTANDING] == 0) {
        sender->completed++;
        messages_completed++;
    }
    if (timing) {
        uint64_t place = (uint64_t)sequence * senders + from;
        if (place >= first_timed && latency_count < latency_capacity)
            latencies[latency_count++] =
                (uint32_t)((received_at - first_due - (double)place / rate) * 1e6 + 0.5);
    }
}

static void join_done(struct client *client) {
    if (client->joined) return;
    client->joined = true;
    joined_count++;
    connecting--;
}

static void learn(struct client *client, int people) {
    uint32_t all = readers + stalled, before = client->known;
    client->known += people;
    if (before < all && client->known >= all) informed_count++;
}

static int count(const char *line, size_t size, char what) {
    int found = 0;
    for (size_t i = 0; i < size; i++) found += line[i] == what;
    return found;
}

static bool has(const char *line, size_t size, const char *what) {
    return memmem(line, size, what, strlen(what)) != NULL;
}

static void text_line(struct client *client, const char *line, size_t size) {
    if (size == 8 + TEXT_SIZE && line[0] == 'u' && line[6] == ':' && line[7] == ' ')
        return deliver(client, line + 8, line + 1);
    if (size >= 4 && !memcmp(line, "*** ", 4)) {
        static const char joined[] = " joined the chat.";
        size_t tail = sizeof joined - 1;
        if (size > 12 && !memcmp(line, "*** Online (", 12))
            learn(client, atoi(line + 12));
        else if (size > tail && !memcmp(line + size - tail, joined, tail)) {
            const char *and = memmem(line, size, " and ", 5);
            learn(client, count(line, size, ',') + 1 + (and ? atoi(and + 5) : 0));
        }
    } else if (!client->named && has(line, size, "What is your name?")) {
        client->named = true;
        send_line(client, "u%05d\r\n", client->number);
    } else if (!client->joined && size > 8 && !memcmp(line, "Welcome ", 8))
        join_done(client);
    else
        fail("u%05d got a strange line: %.*s", client->number, (int)size, line);
}

static void irc_line(struct client *client, const char *line, size_t size) {
    static const char said[] = " PRIVMSG #bench :";
    if (*line == '@') { /* tags */
        const char *rest = memchr(line, ' ', size);
        if (!rest) return;
        size -= rest + 1 - line;
        line = rest + 1;
    }
    size_t tail = sizeof said - 1;
    if (size > TEXT_SIZE + tail && !memcmp(line + size - TEXT_SIZE - tail, said, tail))
        return deliver(client, line + size - TEXT_SIZE, line + 2);
    if (!memcmp(line, "PING", 4)) return send_line(client, "PONG%.*s\r\n", (int)size - 4, line + 4);
    if (!memcmp(line, "ERROR", 5)) fail("u%05d: %.*s", client->number, (int)size, line);
    const char *command = memchr(line, ' ', size);
    if (!command) return;
    command++;
    size_t rest = line + size - command;
    if (!client->named && rest > 4 && !memcmp(command, "001 ", 4)) {
        client->named = true;
        send_line(client, "JOIN #bench\r\n");
    } else if (rest > 4 && !memcmp(command, "353 ", 4)) { /* names */
        const char *names = memmem(command, rest, " :", 2);
        if (names) learn(client, count(names, line + size - names, 'u'));
    } else if (rest > 4 && !memcmp(command, "366 ", 4))
        join_done(client);
    else if (rest > 5 && !memcmp(command, "JOIN ", 5)) {
        if (atoi(line + 2) != client->number) learn(client, 1);
    } else if (rest > 4 && (*command == '4' || *command == '5') && memcmp(command, "422 ", 4))
        fail("u%05d: %.*s", client->number, (int)size, line);
}

static void redis_line(struct client *client, const char *line, size_t size) {
    if (client->number >= readers) {
        if (size && *line == '-') fail("redis: %.*s", (int)size, line);
    } else if (size == TEXT_SIZE && *line == '0')
        deliver(client, line, NULL);
    else if (size && *line == ':')
        join_done(client);
    else if (size && *line == '-')
        fail("redis: %.*s", (int)size, line);
}

static void nats_line(struct client *client, const char *line, size_t size) {
    if (size == TEXT_SIZE && *line == '0')
        deliver(client, line, NULL);
    else if (size == 4 && !memcmp(line, "PING", 4))
        send_line(client, "PONG\r\n");
    else if (size == 4 && !memcmp(line, "PONG", 4))
        join_done(client);
    else if (size && *line == '-')
        fail("nats: %.*s", (int)size, line);
}

static void (*const serve_line[])(struct client *, const char *, size_t) = {text_line, irc_line,
                                                                          redis_line, nats_line};

static bool receive(struct client *client) { /* true: there may be more, of which epoll is silent */
    static char data[PARTIAL_SIZE + READ_SIZE];
    size_t size = client->partial_size;
    if (size) memcpy(data, client->partial, size);
    ssize_t received = client->tls ? receive_over_tls(client, data + size, READ_SIZE)
                                   : recv(client->fd, data + size, READ_SIZE, MSG_DONTWAIT);
    if (received <= 0) {
        if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        fail("the server closed the connection of u%05d (%s)", client->number,
             received ? strerror(errno) : "end of file");
    }
    if (timing) received_at = now();
    size += received;
    char *line = data, *end = data + size, *newline;
    while ((newline = memchr(line, '\n', end - line))) {
        size_t length = newline - line;
        if (length && line[length - 1] == '\r') length--;
        serve_line[dialect](client, line, length);
        line = newline + 1;
    }
    size = end - line;
    if (size > PARTIAL_SIZE) fail("u%05d got a line without an end", client->number);
    if (size) {
        client->partial = realloc(client->partial, size);
        memcpy(client->partial, line, size);
    }
    client->partial_size = size;
    return client->tls && received > READ_SIZE - RECORD_SIZE;
}

/* ---- joining ---- */

static void greet(struct client *client) {
    int error = 0;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &(socklen_t){sizeof error});
    if (error) fail("u%05d cannot connect: %s", client->number, strerror(error));
    if (tls && !shake_hands(client)) return;
    client->connected = true;
    watch(client, EPOLLIN);
    if (dialect == IRC)
        send_line(client, "%sNICK u%05d\r\nUSER u%05d 0 * :bench\r\n%s",
                  tags ? "CAP REQ :server-time message-tags\r\n" : "", client->number,
                  client->number, tags ? "CAP END\r\n" : "");
    else if (dialect == NATS)
        send_line(client,
                  "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB bench 1\r\nPING\r\n");
    else if (dialect == REDIS && client->number < readers)
        send_line(client, "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n");
    else if (dialect == REDIS)
        join_done(client);
}

static void open_connection(struct client *client) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (client->number >= readers && dialect != REDIS) /* one that will stall: soon */
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int));
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        fail("u%05d cannot connect: %s", client->number, strerror(errno));
    watch(client, EPOLLOUT);
    connecting++;
}

static void turn(int timeout) { /* milliseconds */
    static struct epoll_event events[EVENTS];
    int ready = epoll_wait(poller, events, EVENTS, timeout);
    for (int i = 0; i < ready; i++) {
        struct client *client = events[i].data.ptr;
        if (!client->connected)
            greet(client);
        if (client->connected)
            while (receive(client)) {}
    }
    if (now() > deadline)
        fail("not done after %.0f s: %d of %d joined, %d of them told of all, %llu deliveries",
             limit, joined_count, client_count, informed_count, (unsigned long long)deliveries);
}

static bool everyone_is_in(void) {
    bool tells = dialect == TEXT || dialect == IRC; /* who is there */
    return joined_count == client_count && (!tells || informed_count == client_count);
}

static double join_all(void) { /* seconds */
    double start = now();
    while (!everyone_is_in()) {
        while (next_to_connect < client_count && connecting < at_once)
            open_connection(&clients[next_to_connect++]);
        turn(100);
    }
    double taken = now() - start;
    for (int i = readers; i < readers + stalled; i++) /* reads no more */
        if (dialect != REDIS) epoll_ctl(poller, EPOLL_CTL_DEL, clients[i].fd, NULL);
    return taken;
}

/* ---- the modes ---- */

static void refill(void) {
    for (int s = 0; s < senders; s++) {
        while (sending[s].sent - sending[s].completed < sending[s].window) queue_message(s);
        flush_sender(&sending[s]);
    }
}

static void saturate(double until) {
    while (now() < until) {
        uint64_t before = messages_completed;
        turn(100);
        if (messages_completed != before) refill();
        else
            for (int s = 0; s < senders; s++) flush_sender(&sending[s]);
    }
}

static void drain(void) {
    for (;;) {
        bool done = true;
        for (int s = 0; s < senders; s++) {
            flush_sender(&sending[s]);
            done &= sending[s].completed == sending[s].sent;
        }
        if (done) break;
        turn(100);
    }
    double end = now() + 0.1; /* nothing must come after the last */
    while (now() < end) turn(10);
    for (int r = 0; r < readers; r++)
        for (int s = 0; s < senders; s++)
            if ((r != s || dialect == REDIS) && clients[r].next[s] != sending[s].sent)
                fail("u%05d got %u messages of u%05d, not %u", r, clients[r].next[s], s,
                     sending[s].sent);
}

static void run_saturated(void) {
    double joining = join_all();
    refill();
    saturate(now() + warmup);
    uint64_t delivered = deliveries, completed = messages_completed;
    double start = now(), server = server_cpu(), own = own_cpu();
    saturate(start + seconds);
    double wall = now() - start;
    server = server_cpu() - server;
    own = own_cpu() - own;
    delivered = deliveries - delivered;
    completed = messages_completed - completed;
    drain();
    printf("{\"deliveries\": %llu, \"messages\": %llu, \"wall\": %.6f, \"server_cpu\": %.3f, "
           "\"generator_cpu\": %.6f, \"join_seconds\": %.6f}\n",
           (unsigned long long)delivered, (unsigned long long)completed, wall, server, own,
           joining);
}

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t percentile(double share) { return latencies[(size_t)((latency_count - 1) * share)]; }

static void run_latency(void) { /* the loop spins: a sleeping generator would add its waking up */
    uint64_t total = (uint64_t)((warmup + seconds) * rate), sent = 0;
    join_all();
    first_timed = (uint64_t)(warmup * rate);
    latency_capacity = (total - first_timed) * audience();
    latencies = allocate(latency_capacity, sizeof *latencies);
    memset(latencies, 1, latency_capacity * sizeof *latencies); /* touched before it matters */
    timing = true;
    first_due = now() + 0.05;
    double server = server_cpu(), start = now();
    while (sent < total) {
        for (double t = now(); sent < total && t >= first_due + (double)sent / rate; sent++) {
            queue_message(sent % senders);
            flush_sender(&sending[sent % senders]);
        }
        turn(0);
    }
    while (messages_completed < total) {
        for (int s = 0; s < senders; s++) flush_sender(&sending[s]);
        turn(0);
    }
    double wall = now() - start;
    server = server_cpu() - server;
    drain();
    if (latency_count != latency_capacity) fail("some deliveries were not timed");
    qsort(latencies, latency_count, sizeof *latencies, by_value);
    printf("{\"deliveries\": %zu, \"p50\": %u, \"p99\": %u, \"p999\": %u, \"max\": %u, "
           "\"server_busy\": %.4f}\n",
           latency_count, percentile(0.5), percentile(0.99), percentile(0.999), percentile(1),
           server / wall);
}

static void settle(double time) {
    for (double end = now() + time; now() < end;) turn(20);
}

static void run_idle(void) {
    double before = server_memory(), joining = join_all();
    settle(1);
    double after = server_memory(), start = now();
    queue_message(0);
    flush_sender(&sending[0]);
    while (!messages_completed) turn(100);
    double reached = now() - start;
    drain();
    printf("{\"connections\": %d, \"before_kib\": %.0f, \"after_kib\": %.0f, "
           "\"kib_per_connection\": %.3f, \"join_seconds\": %.3f, \"reached\": %llu, "
           "\"reach_seconds\": %.6f}\n",
           client_count, before, after, (after - before) / client_count, joining,
           (unsigned long long)deliveries, reached);
}

static void run_joins(void) {
    double server = server_cpu(), joining = join_all();
    server = server_cpu() - server;
    printf("{\"connections\": %d, \"seconds\": %.6f, \"joins_per_second\": %.1f, "
           "\"server_cpu\": %.3f}\n",
           client_count, joining, client_count / joining, server);
}

static void read_options(int argc, char **argv) {
    const struct {
        const char *name;
        int *integer;
        double *real;
    } options[] = {
        {"readers", &readers, NULL}, {"senders", &senders, NULL}, {"stalled", &stalled, NULL},
        {"window", &window, NULL},   {"rate", &rate, NULL},       {"at_once", &at_once, NULL},
        {"tls", &tls, NULL},         {"tags", &tags, NULL},       {"warmup", NULL, &warmup},   {"seconds", NULL, &seconds},
        {"limit", NULL, &limit},
    };
    for (int i = 5; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        bool known = false;
        if (!value) fail("not an option: %s", argv[i]);
        *value++ = '\0';
        for (size_t o = 0; o < sizeof options / sizeof *options; o++)
            if (!strcmp(options[o].name, argv[i])) {
                known = true;
                if (options[o].integer) *options[o].integer = atoi(value);
                else *options[o].real = atof(value);
            }
        if (!known) fail("not an option: %s", argv[i]);
    }
}

static void prepare(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    if (tls) prepare_tls();
    int publishers = dialect == REDIS ? senders : 0;
    client_count = readers + stalled + publishers;
    clients = allocate(client_count, sizeof *clients);
    sending = allocate(senders, sizeof *sending);
    for (int i = 0; i < client_count; i++) {
        clients[i].number = i;
        clients[i].next = allocate(senders, sizeof(uint32_t));
    }
    for (int s = 0; s < senders; s++) {
        sending[s].client = &clients[publishers ? readers + stalled + s : s];
        sending[s].missing = allocate(OUTSTANDING, sizeof(uint32_t));
        sending[s].window = window / senders + (s < window % senders);
    }
    deadline = now() + limit;
}

int main(int argc, char **argv) {
    static void (*const run[])(void) = {run_saturated, run_latency, run_idle, run_joins};
    static const char *const modes[] = {"saturated", "latency", "idle", "joins"};
    if (argc < 5) fail("usage: load MODE DIALECT PORT PID option=value...");
    int mode = -1, known_dialect = -1;
    for (int i = 0; i < 4; i++) {
        if (!strcmp(argv[1], modes[i])) mode = i;
        if (!strcmp(argv[2], dialects[i])) known_dialect = i;
    }
    if (mode < 0 || known_dialect < 0) fail("no such mode or dialect: %s %s", argv[1], argv[2]);
    dialect = known_dialect;
    port = atoi(argv[3]);
    pid = atoi(argv[4]);
    read_options(argc, argv);
    if (senders < 1 || readers < 2 || window < 1 || (dialect != REDIS && senders > readers))
        fail("impossible numbers of readers, senders or messages");
    prepare();
    run[mode]();
    return 0;
}
