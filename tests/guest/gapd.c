// Watches from inside the stock guest for how long it does not run, as the probe guest does: a thread reads a clock in a
// loop and keeps the longest time between two readings.
//
// UDP port 4242 answers two of the probe guest's commands: "reset-gap TOKEN" begins to watch, "stats TOKEN" tells the
// longest gap and ends it, so that the guest is idle otherwise. The thread has the idle scheduling class and takes the
// processor from nobody; what the guest does meanwhile counts as a gap, and a measurement takes that of an idle time away.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// Between two readings of the clock, which costs much where instructions are emulated: under a microsecond on hardware.
enum { kPort = 4242, kTurns = 1000 };

static atomic_llong longest_ns;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_bool watching;

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void set_watching(bool on) {
    pthread_mutex_lock(&mutex);
    if (on) longest_ns = 0;
    watching = on;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_until_watching(void) {
    pthread_mutex_lock(&mutex);
    while (!watching) pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void *watch(void *unused) {
    struct sched_param none = {0};
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
    for (;;) {
        wait_until_watching();
        for (long long before = now_ns(), now; watching; before = now) {
            for (volatile int turn = 0; turn < kTurns; turn++) {
            }
            now = now_ns();
            if (now - before > longest_ns) longest_ns = now - before;
        }
    }
    return unused;
}

static void answer(int fd) {
    struct sockaddr_in peer;
    socklen_t peer_bytes = sizeof peer;
    char request[64], command[16], token[16], reply[96];
    ssize_t count = recvfrom(fd, request, sizeof request - 1, 0, (struct sockaddr *)&peer, &peer_bytes);
    if (count < 0) return;
    request[count] = '\0';
    if (sscanf(request, "%15s %15s", command, token) != 2) return;
    set_watching(strcmp(command, "reset-gap") == 0);
    int length = snprintf(reply, sizeof reply, "token=%s\ngap_longest_ns=%lld\n", token, longest_ns);
    sendto(fd, reply, length, 0, (struct sockaddr *)&peer, peer_bytes);
}

int main(void) {
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(kPort)};
    pthread_t watcher;
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || daemon(0, 0) != 0 ||
        pthread_create(&watcher, NULL, watch, NULL) != 0) {
        perror("gapd");
        return 1;
    }
    for (;;) answer(fd);
}
