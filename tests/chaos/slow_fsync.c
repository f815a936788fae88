/* Preloaded into Postgres: fsync and fdatasync take as many milliseconds longer as the file in $SLOW_FSYNC says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_as_told(void)
{
    const char *name = getenv("SLOW_FSYNC");
    FILE *file = name ? fopen(name, "re") : NULL;
    long milliseconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &milliseconds) != 1)
            milliseconds = 0;
        fclose(file);
    }
    if (milliseconds > 0)
        usleep((useconds_t)milliseconds * 1000);
}

int fsync(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_as_told();
    return real(descriptor);
}

int fdatasync(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_as_told();
    return real(descriptor);
}
