/* `bin/python3` of an unpacked one-file program: the Python beside it, run by the C library beside it.
 *
 * The loader is started by name, with the libraries' folder as an argument: no variable is set that programs which are
 * started from there (ssh, compilers) would inherit, and nothing of the machine's own C library is used. It is linked
 * statically, so it starts where there is none. Under the name `batchwasm` it is that command. Every Python holds the
 * tree's lock for life, without which the start of a newer version may remove a tree that was not used for long, or that
 * was replaced by `--unpack-to`.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char program[PATH_MAX], tree[PATH_MAX], loader[PATH_MAX + 32], python[PATH_MAX + 32], shown[PATH_MAX + 32];
static char libraries[PATH_MAX + 32], lock_path[PATH_MAX + 32];

static const char *own_path(const char *called)
{
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) /* /proc is not mounted: as we were called is the next best */
        return realpath(called, program);
    program[length] = 0;
    return program;
}

/* Who removes the tree holds the lock alone, for a moment, and so may anybody who wants to be a nuisance: wait a second. */
static void hold(int lock)
{
    const struct timespec moment = {0, 20 * 1000 * 1000};
    for (int tries = 0; tries < 50; tries++) {
        if (flock(lock, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return;
        nanosleep(&moment, NULL);
    }
}

static int is_still_there(int lock)
{
    struct stat held, named;
    return fstat(lock, &held) == 0 && stat(lock_path, &named) == 0 && held.st_ino == named.st_ino;
}

int main(int count, char **given)
{
    char *name, **arguments = malloc((count + 16) * sizeof *arguments);
    int used = 0;

    if (!arguments || !own_path(count ? given[0] : "")) {
        fprintf(stderr, "batchwasm: can't find its own folder: is /proc mounted?\n");
        return 3;
    }
    strcpy(tree, program);
    name = strrchr(tree, '/');
    *name++ = 0;
    char *bin = strrchr(tree, '/');
    if (bin)
        *bin = 0;
    if (strpbrk(tree, ":;$")) { /* which mean something in a list of library folders */
        fprintf(stderr, "%s: can't run in a folder with ':', ';' or '$' in its name\n", program);
        return 3;
    }
    snprintf(loader, sizeof loader, "%s/lib/batchwasm", tree);
    snprintf(libraries, sizeof libraries, "%s/lib", tree);
    snprintf(python, sizeof python, "%s/lib/python3", tree);
    snprintf(shown, sizeof shown, "%s/bin/python3", tree);
    snprintf(lock_path, sizeof lock_path, "%s/lock", tree);

    int held = open(lock_path, O_RDONLY); /* inherited by what follows, on purpose */
    if (held >= 0 && held <= 2) { /* a standard stream was closed: its number is not ours to take */
        int higher = fcntl(held, F_DUPFD, 3);
        close(held);
        held = higher;
    }
    if (held >= 0) {
        hold(held);
        if (!is_still_there(held)) {
            fprintf(stderr, "%s: a newer version replaced it this very moment: start it again\n", program);
            return 3;
        }
    }
    unsetenv("PYTHONHOME"); /* of another Python */

    arguments[used++] = loader;
    arguments[used++] = "--argv0";
    arguments[used++] = shown;
    arguments[used++] = "--library-path";
    arguments[used++] = libraries;
    arguments[used++] = python;
    if (strcmp(name, "batchwasm") == 0) {
        arguments[used++] = "-I";
        arguments[used++] = "-m";
        arguments[used++] = "batchwasm";
    }
    for (int i = 1; i < count; i++)
        arguments[used++] = given[i];
    arguments[used] = NULL;
    execv(loader, arguments);
    if (errno == ENOENT)
        fprintf(stderr, "%s: the folder that it needs is not there (%s): a link to it works, a copy doesn't\n", program, loader);
    else
        fprintf(stderr, "%s: %s\n", loader, strerror(errno));
    return 3;
}
