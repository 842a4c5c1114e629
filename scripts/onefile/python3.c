/* `bin/python3` of an unpacked one-file program: the Python beside it, run by the C library beside it.
 *
 * The loader is started by name, with the libraries' folder as an argument: no variable is set that programs which are
 * started from there (ssh, compilers) would inherit, and nothing of the machine's own C library is used. It is linked
 * statically, so it starts where there is none. Under the name `batchwasm` it is that command. Every Python holds the
 * tree's lock for life, without which the start of a newer version may remove a tree that was not used for long.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static char program[PATH_MAX], tree[PATH_MAX], loader[PATH_MAX + 32], python[PATH_MAX + 32], shown[PATH_MAX + 32];
static char libraries[PATH_MAX + 32], lock[PATH_MAX + 32];

static const char *own_path(const char *called)
{
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) /* /proc is not mounted: as we were called is the next best */
        return realpath(called, program);
    program[length] = 0;
    return program;
}

int main(int count, char **given)
{
    char *name, **arguments = malloc((count + 16) * sizeof *arguments);
    int used = 0;

    if (!arguments || !own_path(given[0])) {
        fprintf(stderr, "%s: can't find its own folder: is /proc mounted?\n", given[0]);
        return 126;
    }
    strcpy(tree, program);
    name = strrchr(tree, '/');
    *name++ = 0;
    *strrchr(tree, '/') = 0; /* of `bin` */
    if (strpbrk(tree, ":;$")) { /* which mean something in a list of library folders */
        fprintf(stderr, "%s: can't run in a folder with ':', ';' or '$' in its name\n", program);
        return 126;
    }
    snprintf(loader, sizeof loader, "%s/lib/batchwasm", tree);
    snprintf(libraries, sizeof libraries, "%s/lib", tree);
    snprintf(python, sizeof python, "%s/lib/python3", tree);
    snprintf(shown, sizeof shown, "%s/bin/python3", tree);
    snprintf(lock, sizeof lock, "%s/lock", tree);

    int held = open(lock, O_RDONLY); /* inherited by what follows, on purpose */
    if (held >= 0 && held <= 2) { /* a standard stream was closed: its number is not ours to take */
        int higher = fcntl(held, F_DUPFD, 3);
        close(held);
        held = higher;
    }
    if (held >= 0)
        flock(held, LOCK_SH | LOCK_NB);
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
    fprintf(stderr, "%s: %s\n", loader, strerror(errno));
    return 126;
}
