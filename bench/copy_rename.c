/* The repair that a careful person writes first: watch one directory, copy each good save, and at a small file copy it
 * back to a temporary file, fsync, rename. It judges by size alone.
 *
 *   copy_rename SESSIONS COPIES SMALLEST_BYTES [synced]
 *
 * synced: a good save is kept as durably as the guard keeps it, by fsync.
 */
#include "watching.h"

static char buffer[1 << 20];
static int is_synced;

static void copy(const char *from, const char *to, int synced)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t bytes;

    check(in, from);
    check(out, to);
    while ((bytes = read(in, buffer, sizeof buffer)) > 0)
        for (ssize_t done = 0, part; done < bytes; done += part)
            check(part = write(out, buffer + done, bytes - done), "write");
    check(bytes, "read");
    if (synced)
        check(fsync(out), "fsync");
    close(in);
    close(out);
}

static void good(const char *name)
{
    char live[PATH_MAX], kept[PATH_MAX];

    join(live, sessions, name);
    join(kept, copies, name);
    copy(live, kept, is_synced);
}

static void wiped(const char *name)
{
    char live[PATH_MAX], kept[PATH_MAX], temporary[PATH_MAX];

    join(live, sessions, name);
    join(kept, copies, name);
    join(temporary, sessions, ".repair");
    copy(kept, temporary, 1);
    check(rename(temporary, live), "rename");
}

int main(int count, char **arguments)
{
    is_synced = count == 5 && !strcmp(arguments[4], "synced");
    return watch(count - is_synced, arguments, good, wiped);
}
