/* The fastest repair there can be: watch one directory, pin each good save by a hard link, and at a small file
 * link the pin back and exchange. It judges by size alone and is safe against nothing: a floor to measure by.
 *
 *   link_exchange SESSIONS PINS SMALLEST_BYTES
 */
#include "watching.h"

static void good(const char *name)
{
    char live[PATH_MAX], pin[PATH_MAX];

    join(live, sessions, name);
    join(pin, copies, name);
    unlink(pin);
    check(link(live, pin), "link");
}

static void wiped(const char *name)
{
    char live[PATH_MAX], pin[PATH_MAX], temporary[PATH_MAX];

    join(live, sessions, name);
    join(pin, copies, name);
    join(temporary, sessions, ".repair");
    check(link(pin, temporary), "link");
    check(renameat2(AT_FDCWD, temporary, AT_FDCWD, live, RENAME_EXCHANGE), "renameat2");
    unlink(temporary);
}

int main(int count, char **arguments)
{
    return watch(count, arguments, good, wiped);
}
