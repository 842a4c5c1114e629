/* A guest that does what its arguments say, one after another: `say hello write out.txt 10 exit 3`. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile void *kept;

static int report(const char *what, int failed) {
    if (failed) printf("%s: %s\n", what, strerror(errno));
    return failed;
}

static void copy(int from) {
    char block[4096];
    ssize_t n;
    fflush(stdout);
    while ((n = read(from, block, sizeof block)) > 0)
        if (write(1, block, n) != n) break;
}

static void fill(const char *path, long long size) {
    static char block[65536];
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0666);
    if (report(path, fd < 0)) return;
    memset(block, 'x', sizeof block);
    while (size > 0) {
        ssize_t n = write(fd, block, size < (long long)sizeof block ? size : (long long)sizeof block);
        if (n < 0) { report(path, 1); break; }
        size -= n;
    }
    close(fd);
}

static void flood(int fd, int patient) {
    static char block[65536];
    memset(block, 'y', sizeof block);
    for (;;)
        if (write(fd, block, sizeof block) < 0 && !patient) return;
}

static void allocate(int mib, int cope) {
    for (int i = 0; i < mib; i++) {
        char *block = malloc(1 << 20);
        if (!block) {
            if (cope) { printf("refused after %d MiB\n", i); return; }
            abort();
        }
        memset(block, 1, 1 << 20);
        kept = block;
    }
}

static void list(const char *path) {
    DIR *folder = opendir(path);
    if (report(path, !folder)) return;
    for (struct dirent *e; (e = readdir(folder));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) printf("%s\n", e->d_name);
    closedir(folder);
}

/* Writes `size` bytes into a file that has no name any more. */
static void hide(long long size) {
    static char block[65536];
    int fd = open("hidden", O_CREAT | O_WRONLY, 0666);
    unlink("hidden");
    for (; size > 0; size -= sizeof block)
        if (write(fd, block, sizeof block) < 0) return;
}

static void hold(void) {
    char name[32];
    for (int k = 0; k < 5000; k++) { sprintf(name, "h%d", k % 10); if (open(name, O_CREAT | O_WRONLY, 0666) < 0) return; }
}

/* What can be read from, or moved in, of all descriptors. */
static void peek(void) {
    char block[4096];
    for (int fd = 0; fd < 100; fd++) {
        ssize_t n = read(fd, block, sizeof block);
        if (n <= 0) n = pread(fd, block, sizeof block, 0);
        if (n > 0) fprintf(stderr, "%d: %zd bytes\n", fd, n);
        if (lseek(fd, 0, SEEK_SET) >= 0) fprintf(stderr, "%d: seeks\n", fd);
        if (ftruncate(fd, 0) == 0) fprintf(stderr, "%d: truncates\n", fd);
    }
}

static void write_to(const char *path) {
    int fd = open(path, O_WRONLY);
    if (!report(path, fd < 0)) { report(path, write(fd, "changed", 7) < 0); close(fd); }
}

int main(int count, char **args) {
    for (int i = 1; i < count; i++) {
        char *verb = args[i], *a = i + 1 < count ? args[i + 1] : "", *b = i + 2 < count ? args[i + 2] : "";
        if (!strcmp(verb, "say")) { puts(a); i += 1; }
        else if (!strcmp(verb, "err")) { fprintf(stderr, "%s\n", a); i += 1; }
        else if (!strcmp(verb, "exit")) exit(atoi(a));
        else if (!strcmp(verb, "abort")) abort();
        else if (!strcmp(verb, "args")) { for (int k = 0; k < count; k++) puts(args[k]); return 0; }
        else if (!strcmp(verb, "env")) for (char **e = environ; *e; e++) puts(*e);
        else if (!strcmp(verb, "stdin")) copy(0);
        else if (!strcmp(verb, "cat")) {
            int fd = open(a, O_RDONLY);
            if (!report(a, fd < 0)) { copy(fd); close(fd); }
            i += 1;
        }
        else if (!strcmp(verb, "write")) { fill(a, atoll(b)); i += 2; }
        else if (!strcmp(verb, "sparse")) {
            int fd = open(a, O_CREAT | O_WRONLY, 0666);
            report(a, ftruncate(fd, atoll(b)));
            close(fd);
            i += 2;
        }
        else if (!strcmp(verb, "mkdir")) { report(a, mkdir(a, 0777)); i += 1; }
        else if (!strcmp(verb, "rm")) { report(a, unlink(a)); i += 1; }
        else if (!strcmp(verb, "symlink")) { report(b, symlink(a, b)); i += 2; }
        else if (!strcmp(verb, "rename")) { report(b, rename(a, b)); i += 2; }
        else if (!strcmp(verb, "truncate")) { report(a, truncate(a, 0)); i += 1; }
        else if (!strcmp(verb, "ls")) { list(a); i += 1; }
        else if (!strcmp(verb, "many")) {
            char name[32];
            for (int k = 0; k < atoi(a); k++) { sprintf(name, "m%d", k); fill(name, 1); }
            i += 1;
        }
        else if (!strcmp(verb, "deep")) {
            for (int k = 0; k < atoi(a); k++) { mkdir("deep", 0777); mkdir("next", 0777); rename("deep", "next/deep"); rename("next", "deep"); }
            i += 1;
        }
        else if (!strcmp(verb, "hide")) { hide(atoll(a)); i += 1; }
        else if (!strcmp(verb, "hold")) hold();
        else if (!strcmp(verb, "peek")) peek();
        else if (!strcmp(verb, "touch")) { report(a, utimensat(AT_FDCWD, a, 0, 0)); i += 1; }
        else if (!strcmp(verb, "age")) {
            struct stat s;
            if (!report(a, stat(a, &s))) printf("%lld\n", (long long)s.st_mtim.tv_sec);
            i += 1;
        }
        else if (!strcmp(verb, "close")) { fflush(stdout); close(atoi(a)); i += 1; }
        else if (!strcmp(verb, "link")) { report(b, link(a, b)); i += 2; }
        else if (!strcmp(verb, "change")) { write_to(a); i += 1; }
        else if (!strcmp(verb, "flood")) { flood(atoi(a), 0); i += 1; }
        else if (!strcmp(verb, "flood-on")) { flood(atoi(a), 1); i += 1; }
        else if (!strcmp(verb, "sleep")) { fflush(stdout); usleep(atoi(a) * 1000); i += 1; }
        else if (!strcmp(verb, "spin")) { fflush(stdout); for (volatile int k = 0;; k++) {} }
        else if (!strcmp(verb, "allocate")) { allocate(atoi(a), 0); i += 1; }
        else if (!strcmp(verb, "cope")) { allocate(atoi(a), 1); i += 1; }
        else if (!strcmp(verb, "huge")) { kept = malloc((size_t)atoi(a) << 20); if (!kept) abort(); i += 1; }
        else { fprintf(stderr, "unknown: %s\n", verb); return 99; }
    }
    return 0;
}
