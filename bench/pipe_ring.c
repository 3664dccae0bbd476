/* Ring of pipes: what a hop from process to process costs without Python.
 *
 *     pipe_ring NODES ROUNDS [batch]
 *
 * NODES processes are joined in a ring by pipes; one message circulates, by blocking reads and writes. After ROUNDS / 10 + 1
 * rounds to warm up, ROUNDS are timed, and the nanoseconds of one hop printed. `batch` asks for SCHED_BATCH.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { FRAME = 48 }; /* bytes of a frame of the suite's: a header of 40 and an id */

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

/* Any other node: pass the message on until the pipe ends. */
static void relay(int from, int to) {
    char frame[FRAME];
    while (read(from, frame, FRAME) == FRAME && write(to, frame, FRAME) == FRAME) continue;
}

/* Node 0: send the message round `times` times. */
static void circulate(int from, int to, long times) {
    char frame[FRAME];
    memset(frame, 1, FRAME);
    for (long i = 0; i < times; i++) {
        if (write(to, frame, FRAME) != FRAME || read(from, frame, FRAME) != FRAME) fail("the ring broke");
    }
}

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv) {
    int n = argc > 2 ? atoi(argv[1]) : 0;
    long rounds = argc > 2 ? atol(argv[2]) : 0;
    if (n < 2 || rounds < 1) {
        fprintf(stderr, "usage: pipe_ring NODES ROUNDS [batch]\n");
        return 2;
    }
    die_with_parent();
    if (argc > 3) {
#ifdef SCHED_BATCH
        struct sched_param none = {0};
        if (sched_setscheduler(0, SCHED_BATCH, &none)) fail("SCHED_BATCH");
#else
        fprintf(stderr, "no SCHED_BATCH here\n");
        return 1;
#endif
    }
    int(*pipes)[2] = calloc(n, sizeof *pipes); /* node i reads pipe i and writes pipe i + 1 */
    for (int i = 0; i < n; i++)
        if (!pipes || pipe(pipes[i])) fail("pipe");
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
    printf("%.1f\n", (now_ns() - began) / rounds / n);
    close(pipes[1][1]); /* end-of-file goes round and ends everybody */
    while (wait(NULL) > 0) continue;
    return 0;
}
