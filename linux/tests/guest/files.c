// Files, memory and processes: what only a C library's view of the system calls shows.
#include "check.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static void contents(void) {
    char buffer[64];
    struct stat stat;
    struct statx extended;
    int file = open("file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(write(file, "hello world", 11) == 11);
    CHECK(pread(file, buffer, 5, 6) == 5 && memcmp(buffer, "world", 5) == 0);
    struct iovec pieces[2] = {{buffer, 3}, {buffer + 10, 4}};
    CHECK(lseek(file, 0, SEEK_SET) == 0 && readv(file, pieces, 2) == 7);
    CHECK(memcmp(buffer, "hel", 3) == 0 && memcmp(buffer + 10, "lo w", 4) == 0);
    CHECK(ftruncate(file, 100000) == 0 && fstat(file, &stat) == 0 && stat.st_size == 100000);
    CHECK(S_ISREG(stat.st_mode) && stat.st_nlink == 1);
    CHECK(statx(AT_FDCWD, "file", 0, STATX_ALL, &extended) == 0 && extended.stx_size == 100000);
    CHECK((fcntl(file, F_GETFL) & ~O_LARGEFILE) == O_RDWR && fcntl(file, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(file, F_DUPFD_CLOEXEC, 40) >= 40);

    int ends[2];
    off_t offset = 3;
    CHECK(pipe(ends) == 0 && sendfile(ends[1], file, &offset, 4) == 4 && offset == 7);
    CHECK(read(ends[0], buffer, 64) == 4 && memcmp(buffer, "lo w", 4) == 0);

    struct flock lock = {.l_type = F_WRLCK, .l_len = 10};
    CHECK(fcntl(file, F_SETLK, &lock) == 0 && flock(file, LOCK_EX) == 0);
    int status;
    if (fork() == 0) {
        struct flock probe = {.l_type = F_WRLCK, .l_len = 5};
        _exit(fcntl(file, F_GETLK, &probe) != 0 || probe.l_type != F_WRLCK);
    }
    wait(&status);
    CHECK(status == 0);

    char *mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    mapped[4096] = 'Z';
    CHECK(pread(file, buffer, 1, 4096) == 1 && buffer[0] == 'Z');
    mapped = mremap(mapped, 8192, 65536, MREMAP_MAYMOVE);
    CHECK(mapped != MAP_FAILED && mapped[4096] == 'Z');
    munmap(mapped, 65536);
    close(file);
    unlink("file");
}

static void memory(void) {
    char *pages = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(pages, 1, 1 << 20);
    CHECK(madvise(pages, 1 << 20, MADV_DONTNEED) == 0 && pages[5000] == 0);
    munmap(pages + 4096, 4096);
    FAILS(ENOMEM, mprotect(pages, 16384, PROT_READ));
    FAILS(EEXIST, (long)mmap(pages, 4096, PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
    FAILS(EINVAL, (long)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    FAILS(ENOMEM, (long)mmap(NULL, 1L << 45, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    char *end = sbrk(0);
    CHECK(sbrk(1 << 20) == end);
    memset(end, 7, 1 << 20);
    CHECK(sbrk(-(1 << 20)) == end + (1 << 20) && sbrk(0) == end);
}

static void waiting(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, out[4];
    int epoll = epoll_create1(0), counter = eventfd(3, EFD_NONBLOCK);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, counter, &event) == 0);
    event.data.u64 = 99;
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) == 0);
    CHECK(epoll_wait(epoll, out, 4, -1) == 1 && out[0].data.u64 == 0x1122334455667788);
    uint64_t value;
    CHECK(read(counter, &value, 8) == 8 && value == 3);
    FAILS(EAGAIN, read(counter, &value, 8));
    struct itimerspec once = {{0, 0}, {0, 20000000}};
    timerfd_settime(timer, 0, &once, NULL);
    CHECK(epoll_wait(epoll, out, 4, 5000) == 1 && out[0].data.u64 == 99);
    CHECK(read(timer, &value, 8) == 8 && value == 1);
    CHECK(epoll_wait(epoll, out, 4, 10) == 0);

    int ends[2], status;
    static char block[300000];
    CHECK(pipe2(ends, O_NONBLOCK) == 0);
    while (write(ends[1], block, 1000) > 0) continue;
    CHECK(errno == EAGAIN);
    struct pollfd polled[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {999, POLLIN, 0}};
    CHECK(poll(polled, 3, 0) == 2 && polled[0].revents == POLLIN && polled[1].revents == 0);
    CHECK(polled[2].revents == POLLNVAL);

    // A write that is larger than the pipe waits until all of it is gone.
    CHECK(pipe(ends) == 0);
    if (fork() == 0) _exit(write(ends[1], block, sizeof block) != sizeof block);
    close(ends[1]);
    long total = 0, got;
    while ((got = read(ends[0], block, 4096)) > 0) total += got;
    wait(&status);
    CHECK(total == sizeof block && status == 0);
}

static void descriptors_travel(void) {
    int ends[2], file = open("/proc/self/exe", O_RDONLY);
    char byte = 'q', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &file, sizeof file);
    CHECK(sendmsg(ends[0], &message, 0) == 1);
    memset(control, 0, sizeof control);
    byte = 0;
    CHECK(recvmsg(ends[1], &message, 0) == 1 && byte == 'q');
    int copy;
    memcpy(&copy, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof copy);
    CHECK(copy != file && read(copy, &byte, 1) == 1 && byte == 0x7f);
}

static void names(void) {
    char buffer[256];
    struct stat stat;
    CHECK(symlink("target", "link") == 0 && readlink("link", buffer, 64) == 6);
    CHECK(rename("link", "renamed") == 0 && lstat("renamed", &stat) == 0 && S_ISLNK(stat.st_mode));
    CHECK(unlink("renamed") == 0 && mkdir("folder", 0755) == 0);
    FAILS(EEXIST, mkdir("folder", 0755));
    int folder = open("folder", O_RDONLY | O_DIRECTORY);
    int file = openat(folder, "inside", O_CREAT | O_WRONLY, 0600);
    CHECK(file >= 0);
    struct timespec times[2] = {{100, 5}, {200, 6}};
    CHECK(utimensat(folder, "inside", times, 0) == 0);
    CHECK(fstatat(folder, "inside", &stat, 0) == 0 && stat.st_mtim.tv_sec == 200);
    CHECK(stat.st_mtim.tv_nsec == 6 && stat.st_atim.tv_sec == 100);
    CHECK(fchdir(folder) == 0 && strcmp(strrchr(getcwd(buffer, 256), '/'), "/folder") == 0);
    DIR *list = opendir(".");
    int entries = 0;
    while (readdir(list)) entries++;
    CHECK(entries == 3 && chdir("..") == 0);
    FAILS(ENOTEMPTY, rmdir("folder"));
    CHECK(unlinkat(folder, "inside", 0) == 0 && rmdir("folder") == 0);
    FAILS(ENOENT, access("folder", F_OK));
    FAILS(ENOTDIR, open("/proc/self/exe/x", O_RDONLY));
}

static void programs(void) {
    pid_t child;
    int status;
    char *arguments[] = {"files", "spawned", NULL};
    CHECK(posix_spawn(&child, "/no/such", NULL, NULL, arguments, environ) == ENOENT);
    CHECK(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ) == 0);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 55);
    int script = open("script", O_WRONLY | O_CREAT | O_TRUNC, 0755);
    CHECK(dprintf(script, "#!/proc/self/exe spawned\n") > 0);
    close(script);
    CHECK(posix_spawn(&child, "./script", NULL, NULL, arguments, environ) == 0);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 55);
    script = open("script", O_WRONLY | O_TRUNC);
    CHECK(write(script, "no program", 10) == 10);
    close(script);
    CHECK(posix_spawn(&child, "./script", NULL, NULL, arguments, environ) == ENOEXEC);
    chmod("script", 0644);
    CHECK(posix_spawn(&child, "./script", NULL, NULL, arguments, environ) == EACCES);
    unlink("script");
}

int main(int argc, char **argv) {
    if (argc > 1) return strcmp(argv[1], "spawned") == 0 ? 55 : 1;
    contents();
    memory();
    waiting();
    descriptors_travel();
    names();
    programs();
    return failures;
}
