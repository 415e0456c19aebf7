// The network side of the stock guest: UDP echo, TCP echo and a command service, in one thread and one static program.
//
// Tests measure through it, so it must not be the slow part: datagrams are taken and returned in batches, and a running
// command never holds up an echo. One epoll loop; children are reaped through a signalfd.
//
// Port 7 UDP: every datagram goes back to its sender. Port 7 TCP: every byte goes back. Port 23 TCP: the client sends
// one command line; the command's output (both streams) comes back, then "\nexit STATUS\n", then the end of the stream.
// Port 37 UDP: any datagram is answered with the guest's clocks, "REALTIME MONOTONIC" in nanoseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    kEchoPort = 7,
    kCommandPort = 23,
    kClockPort = 37,
    kBatch = 64,
    kRounds = 4,
    kDatagramBytes = 65536,
    kBufferBytes = 65536,
    kReceiveQueueBytes = 8 << 20,
};

enum kind { kUdpEcho, kEchoListener, kCommandListener, kChildren, kEchoConnection, kCommandConnection, kClock };

// What an epoll event points to. An echo connection reads only while its buffer is empty and writes only while it is
// not; a command connection collects its line in the buffer, then belongs to the child `pid` until that ends.
struct endpoint {
    enum kind kind;
    int fd;
    pid_t pid;
    size_t begin, end;
    struct endpoint *next;
    char buffer[];
};

static int epoll_fd;
static struct endpoint *running_commands;

static void die(const char *what) {
    fprintf(stderr, "echod: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct endpoint *watch(enum kind kind, int fd, size_t buffer_bytes) {
    struct endpoint *endpoint = calloc(1, sizeof *endpoint + buffer_bytes);
    if (fd < 0 || endpoint == NULL) die("cannot open an endpoint");
    endpoint->kind = kind;
    endpoint->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = endpoint};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
    return endpoint;
}

static void await(struct endpoint *endpoint, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = endpoint};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, endpoint->fd, &event);
}

static void drop(struct endpoint *endpoint) {
    close(endpoint->fd);
    free(endpoint);
}

static int bound_socket(int type, uint16_t port) {
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die("bind");
    if (type == SOCK_STREAM && listen(fd, 128) != 0) die("listen");
    return fd;
}

static void echo_datagrams(int fd) {
    static char data[kBatch][kDatagramBytes];
    static struct sockaddr_in peers[kBatch];
    static struct iovec vectors[kBatch];
    static struct mmsghdr messages[kBatch];
    for (int i = 0; i < kBatch; i++) {
        vectors[i] = (struct iovec){data[i], kDatagramBytes};
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &peers[i], .msg_namelen = sizeof peers[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int received = recvmmsg(fd, messages, kBatch, MSG_DONTWAIT, NULL);
    for (int i = 0; i < received; i++) vectors[i].iov_len = messages[i].msg_len;
    for (int sent = 0; sent < received;) {
        int now = sendmmsg(fd, messages + sent, received - sent, 0);
        if (now > 0) {
            sent += now;
        } else if (errno == EAGAIN) {
            // The transmit queue is full: waiting loses nothing, since the receive queue is long.
            struct timespec pause = {.tv_nsec = 100000};
            nanosleep(&pause, NULL);
        } else {
            sent++;
        }
    }
}

static long long now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void tell_time(int fd) {
    struct sockaddr_in peer;
    socklen_t peer_bytes = sizeof peer;
    char text[64];
    if (recvfrom(fd, text, sizeof text, MSG_DONTWAIT, (struct sockaddr *)&peer, &peer_bytes) < 0) return;
    int length = snprintf(text, sizeof text, "%lld %lld\n", now_ns(CLOCK_REALTIME), now_ns(CLOCK_MONOTONIC));
    sendto(fd, text, length, MSG_DONTWAIT, (struct sockaddr *)&peer, peer_bytes);
}

static void echo_stream(struct endpoint *endpoint) {
    // A few rounds only: a client that sends without end must not keep the others waiting.
    for (int round = 0; round < kRounds; round++) {
        if (endpoint->begin == endpoint->end) {
            ssize_t count = read(endpoint->fd, endpoint->buffer, kBufferBytes);
            if (count < 0 && errno == EAGAIN) return await(endpoint, EPOLLIN);
            if (count <= 0) return drop(endpoint);
            endpoint->begin = 0;
            endpoint->end = count;
        }
        ssize_t count = write(endpoint->fd, endpoint->buffer + endpoint->begin, endpoint->end - endpoint->begin);
        if (count < 0 && errno == EAGAIN) return await(endpoint, EPOLLOUT);
        if (count < 0) return drop(endpoint);
        endpoint->begin += count;
    }
    await(endpoint, endpoint->begin == endpoint->end ? EPOLLIN : EPOLLOUT);
}

static void start_command(struct endpoint *endpoint) {
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, endpoint->fd, NULL);
    endpoint->pid = fork();
    if (endpoint->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        setsid();
        dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
        dup2(endpoint->fd, STDOUT_FILENO);
        dup2(endpoint->fd, STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", endpoint->buffer, NULL);
        _exit(127);
    }
    if (endpoint->pid < 0) return drop(endpoint);
    endpoint->next = running_commands;
    running_commands = endpoint;
}

static void read_command(struct endpoint *endpoint) {
    ssize_t count = read(endpoint->fd, endpoint->buffer + endpoint->end, kBufferBytes - 1 - endpoint->end);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return drop(endpoint);
    endpoint->end += count;
    char *newline = memchr(endpoint->buffer, '\n', endpoint->end);
    if (newline == NULL) return;
    *newline = '\0';
    // The command writes to the socket itself and must not see EAGAIN.
    fcntl(endpoint->fd, F_SETFL, fcntl(endpoint->fd, F_GETFL) & ~O_NONBLOCK);
    start_command(endpoint);
}

static void finish_command(struct endpoint *endpoint, int status) {
    char line[32];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    int length = snprintf(line, sizeof line, "\nexit %d\n", code);
    // A client that reads nothing gets no status rather than holding up everyone else.
    if (send(endpoint->fd, line, length, MSG_DONTWAIT) != length) fprintf(stderr, "echod: a status line was lost\n");
    shutdown(endpoint->fd, SHUT_RDWR);
    drop(endpoint);
}

static void reap_children(int fd) {
    struct signalfd_siginfo ignored;
    if (read(fd, &ignored, sizeof ignored) < 0) return;
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct endpoint **link = &running_commands;
        while (*link != NULL && (*link)->pid != pid) link = &(*link)->next;
        struct endpoint *ended = *link;
        if (ended == NULL) continue;
        *link = ended->next;
        finish_command(ended, status);
    }
}

static void accept_connection(int listener, enum kind kind) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(kind, fd, kBufferBytes);
}

static void handle(struct endpoint *endpoint) {
    switch (endpoint->kind) {
        case kUdpEcho: return echo_datagrams(endpoint->fd);
        case kEchoListener: return accept_connection(endpoint->fd, kEchoConnection);
        case kCommandListener: return accept_connection(endpoint->fd, kCommandConnection);
        case kChildren: return reap_children(endpoint->fd);
        case kEchoConnection: return echo_stream(endpoint);
        case kCommandConnection: return read_command(endpoint);
        case kClock: return tell_time(endpoint->fd);
    }
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);

    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int udp = bound_socket(SOCK_DGRAM, kEchoPort);
    int queue_bytes = kReceiveQueueBytes;
    setsockopt(udp, SOL_SOCKET, SO_RCVBUFFORCE, &queue_bytes, sizeof queue_bytes);
    watch(kUdpEcho, udp, 0);
    watch(kEchoListener, bound_socket(SOCK_STREAM, kEchoPort), 0);
    watch(kCommandListener, bound_socket(SOCK_STREAM, kCommandPort), 0);
    watch(kClock, bound_socket(SOCK_DGRAM, kClockPort), 0);
    // The caller goes on only when all ports listen, so that a ready guest answers at once.
    if (daemon(0, 1) != 0) die("daemon");
    // Not earlier: a signalfd in an epoll set reports the signals of the process that put it there.
    watch(kChildren, signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), 0);
    for (;;) {
        struct epoll_event events[kBatch];
        int count = epoll_wait(epoll_fd, events, kBatch, -1);
        for (int i = 0; i < count; i++) handle(events[i].data.ptr);
    }
}
