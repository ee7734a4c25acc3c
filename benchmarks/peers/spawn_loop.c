/* The limit: how fast can this machine start `echo i` at all, in a few slots, from one process?
 *
 *   spawn_loop TASKS SLOTS discard WAY     the commands write to our own standard output (give it /dev/null)
 *   spawn_loop TASKS SLOTS pipes WAY       each command gets two pipes of its own, read when it has ended
 *
 * WAY: sh runs `sh -c 'echo i'`, bash `bash -e -c 'echo i'`, direct the program /bin/echo.
 *
 * "pipes" reads after the exit, as is right for output that fits a pipe and for nothing else: it is a
 * yardstick, not a runner. Nothing is kept, timed, limited or reported.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct slot {
    pid_t pid; /* 0: free */
    int out, err;
};

static int pipes;
static const char *way;
static long long bytes_read;

static void fail(const char *what, int error) {
    fprintf(stderr, "spawn_loop: %s: %s\n", what, strerror(error));
    exit(1);
}

static void open_pipe(int ends[2]) {
    /* Close-on-exec: a neighbour that held the writing end would keep us from seeing the end of the file. */
    if (pipe(ends) || fcntl(ends[0], F_SETFD, FD_CLOEXEC) || fcntl(ends[1], F_SETFD, FD_CLOEXEC))
        fail("pipe", errno);
}

static void start(struct slot *slot, long task) {
    char command[64];
    char *by_sh[] = {"sh", "-c", command, NULL}, *by_bash[] = {"bash", "-e", "-c", command, NULL};
    char *direct[] = {"echo", command + strlen("echo "), NULL};
    char **argv = !strcmp(way, "sh") ? by_sh : !strcmp(way, "bash") ? by_bash : direct;
    const char *program = argv == by_sh ? "/bin/sh" : argv == by_bash ? "/bin/bash" : "/bin/echo";
    posix_spawn_file_actions_t actions;
    int out[2], err[2], error;

    snprintf(command, sizeof command, "echo %ld", task);
    if (!pipes) {
        if ((error = posix_spawn(&slot->pid, program, NULL, NULL, argv, environ)))
            fail("posix_spawn", error);
        return;
    }
    open_pipe(out);
    open_pipe(err);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    if ((error = posix_spawn(&slot->pid, program, &actions, NULL, argv, environ)))
        fail("posix_spawn", error);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    slot->out = out[0];
    slot->err = err[0];
}

static void drain(int fd) {
    static char buffer[65536];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        bytes_read += n;
    close(fd);
}

/* Wait until one command has ended; its slot is free again. */
static struct slot *finish(struct slot *slots, int count) {
    int status, i;
    pid_t pid = wait(&status);
    if (pid < 0)
        fail("wait", errno);
    if (status)
        fail("a command failed", 0);
    for (i = 0; slots[i].pid != pid; i++)
        if (i == count - 1)
            fail("a child that is not ours", 0);
    slots[i].pid = 0;
    if (pipes) {
        drain(slots[i].out);
        drain(slots[i].err);
    }
    return &slots[i];
}

int main(int argc, char **argv) {
    long tasks = argc == 5 ? atol(argv[1]) : 0, task;
    int count = argc == 5 ? atoi(argv[2]) : 0, i;
    struct slot *slots;

    if (tasks < 1 || count < 1 || (strcmp(argv[3], "discard") && strcmp(argv[3], "pipes"))) {
        fprintf(stderr, "usage: spawn_loop TASKS SLOTS discard|pipes sh|bash|direct\n");
        return 2;
    }
    pipes = !strcmp(argv[3], "pipes");
    way = argv[4];
    if (!(slots = calloc(count, sizeof *slots)))
        fail("calloc", errno);
    for (task = 0; task < tasks; task++)
        start(task < count ? &slots[task] : finish(slots, count), task);
    for (i = 0; i < count && i < tasks; i++)
        finish(slots, count);
    if (pipes && bytes_read < 2 * tasks)
        fail("output is missing", 0);
    return 0;
}
