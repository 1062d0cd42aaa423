/* What both contenders in C share: read inotify, and tell a good save from a wipe by its size. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *sessions, *copies;

static void check(long result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static void join(char path[PATH_MAX], const char *directory, const char *name)
{
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        fprintf(stderr, "%s: path too long\n", name);
        exit(1);
    }
}

static void look(const char *name, off_t smallest, void (*good)(const char *), void (*wiped)(const char *))
{
    static ino_t seen;
    char live[PATH_MAX];
    struct stat found;
    size_t length = strlen(name);

    if (length < 5 || strcmp(name + length - 5, ".json") || name[0] == '.')
        return;
    join(live, sessions, name);
    if (stat(live, &found) < 0)
        return;
    if (found.st_size < smallest)
        wiped(name);
    else if (found.st_ino != seen)
        good(name);
    seen = found.st_ino;
}

static int watch(int count, char **arguments, void (*good)(const char *), void (*wiped)(const char *))
{
    static char events[65536] __attribute__((aligned(__alignof__(struct inotify_event))));
    int queue = inotify_init1(IN_CLOEXEC);

    if (count != 4) {
        fprintf(stderr, "usage: %s SESSIONS COPIES SMALLEST_BYTES\n", arguments[0]);
        return 2;
    }
    sessions = arguments[1];
    copies = arguments[2];
    check(queue, "inotify_init1");
    check(inotify_add_watch(queue, sessions, IN_MOVED_TO), sessions);
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t bytes = read(queue, events, sizeof events);

        check(bytes, "read");
        for (char *at = events; at < events + bytes;) {
            struct inotify_event *event = (struct inotify_event *)at;

            at += sizeof *event + event->len;
            if (event->len)
                look(event->name, atoll(arguments[3]), good, wiped);
        }
    }
}
