/* Pipes: what the suite's traffic costs without Python.
 *
 *     pipes ring NODES ROUNDS [batch]     nanoseconds of one hop, of one message that goes round by blocking reads and writes
 *     pipes burst NODES TIMES [batch]     nanoseconds for each message of TIMES broadcasts of all to all, by poll
 *
 * Each node is a process with one inbox pipe. `batch` asks for SCHED_BATCH. A ring is warmed up for ROUNDS / 10 + 1 rounds
 * that are not timed. In a burst each node writes all it has to say, never blocks in it, and reads what it is told.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { FRAME = 48, READ = 1 << 16 }; /* bytes of a frame of the suite's, a header of 40 and a message that tells an id; of a read */

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* End with the parent; a parent that ended already is noticed by its pipe. */
static void die_with_parent(void) {
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Any other node of a ring: pass the message on until the pipe ends. */
static void relay(int from, int to) {
    char frame[FRAME];
    while (read(from, frame, FRAME) == FRAME && write(to, frame, FRAME) == FRAME) continue;
}

/* Node 0 of a ring: send the message round `times` times. */
static void circulate(int from, int to, long times) {
    char frame[FRAME];
    memset(frame, 1, FRAME);
    for (long i = 0; i < times; i++) {
        if (write(to, frame, FRAME) != FRAME || read(from, frame, FRAME) != FRAME) fail("the ring broke");
    }
}

static double ring(int n, int (*pipes)[2], long rounds) {
    for (int i = 1; i < n; i++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child) continue;
        die_with_parent();
        int next = (i + 1) % n;
        for (int j = 0; j < n; j++) { /* else no pipe would ever end */
            if (j != i) close(pipes[j][0]);
            if (j != next) close(pipes[j][1]);
        }
        relay(pipes[i][0], pipes[next][1]);
        _exit(0);
    }
    for (int j = 0; j < n; j++) {
        if (j != 0) close(pipes[j][0]);
        if (j != 1) close(pipes[j][1]);
    }
    circulate(pipes[0][0], pipes[1][1], rounds / 10 + 1);
    double began = now_ns();
    circulate(pipes[0][0], pipes[1][1], rounds);
    double took = now_ns() - began;
    close(pipes[1][1]); /* end-of-file goes round and ends everybody */
    return took / rounds / n;
}

/* One node of a burst: tell all others `times` times, and hear as much. */
static void tell_all(int self, int n, int (*pipes)[2], long times) {
    static char inbox[READ];
    char frame[FRAME];
    memset(frame, 1, FRAME);
    long sent = 0, all = times * (n - 1), heard = 0;
    while (sent < all || heard < all * FRAME) {
        int peer = (self + 1 + sent % (n - 1)) % n;
        if (sent < all) {
            if (write(pipes[peer][1], frame, FRAME) == FRAME) {
                sent++;
                continue;
            }
            if (errno != EAGAIN) fail("write");
        }
        struct pollfd ready[2] = {{pipes[self][0], POLLIN, 0}, {pipes[peer][1], POLLOUT, 0}};
        if (poll(ready, sent < all ? 2 : 1, -1) < 0) fail("poll");
        if (ready[0].revents) {
            ssize_t bytes = read(pipes[self][0], inbox, READ);
            if (bytes <= 0) fail("read");
            heard += bytes;
        }
    }
}

static double burst(int n, int (*pipes)[2], long times) {
    int start[2];
    struct { int ready; double end[]; } *shared =
        mmap(NULL, sizeof(double) * (n + 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || pipe(start)) fail("mmap or pipe");
    for (int i = 0; i < n; i++)
        if (fcntl(pipes[i][1], F_SETFL, O_NONBLOCK)) fail("fcntl");
    for (int i = 0; i < n; i++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (child) continue;
        die_with_parent();
        char go;
        __atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
        if (read(start[0], &go, 1) != 1) fail("start");
        tell_all(i, n, pipes, times);
        shared->end[i] = now_ns();
        _exit(0);
    }
    while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < n) usleep(100);
    double began = now_ns(), last = began;
    for (int i = 0; i < n; i++)
        if (write(start[1], "!", 1) != 1) fail("start");
    for (int i = 0, status; i < n; i++)
        if (wait(&status) < 0 || status) fail("a node");
    for (int i = 0; i < n; i++)
        if (shared->end[i] > last) last = shared->end[i];
    return (last - began) / times / n / (n - 1);
}

int main(int argc, char **argv) {
    int n = argc > 3 ? atoi(argv[2]) : 0, is_ring = argc > 3 && !strcmp(argv[1], "ring");
    long times = argc > 3 ? atol(argv[3]) : 0;
    if (n < 2 || times < 1 || (!is_ring && strcmp(argv[1], "burst"))) {
        fprintf(stderr, "usage: pipes ring|burst NODES TIMES [batch]\n");
        return 2;
    }
    die_with_parent();
    if (argc > 4) {
#ifdef SCHED_BATCH
        struct sched_param none = {0};
        if (sched_setscheduler(0, SCHED_BATCH, &none)) fail("SCHED_BATCH");
#else
        fprintf(stderr, "no SCHED_BATCH here\n");
        return 1;
#endif
    }
    int(*pipes)[2] = calloc(n, sizeof *pipes); /* node i reads pipe i */
    for (int i = 0; i < n; i++)
        if (!pipes || pipe(pipes[i])) fail("pipe");
    printf("%.1f\n", is_ring ? ring(n, pipes, times) : burst(n, pipes, times));
    while (wait(NULL) > 0) continue;
    return 0;
}
