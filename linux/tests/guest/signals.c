// Signals: faults with exact addresses, restarting, masks, queues, the alternate stack.
#include "check.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile long address;
static volatile int code, count, on_stack;

static void jump_back(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    address = (long)info->si_addr;
    code = info->si_code;
    siglongjmp(back, 1);
}

static void skip(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    ucontext_t *c = context;
    c->uc_mcontext.__gregs[REG_PC] += 4;
    c->uc_mcontext.__gregs[REG_A0] = 1234;
}

static void counting(int number) {
    (void)number;
    count++;
}

static void on_alternate(int number) {
    (void)number;
    stack_t stack;
    sigaltstack(NULL, &stack);
    on_stack = stack.ss_flags;
}

static void clobbers_floats(int number) {
    (void)number;
    volatile double x = 3.0;
    for (int i = 0; i < 10; i++) x = x * 1.1 + 0.3;
}

static void handle(int number, void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void handle_info(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    CHECK(sigaction(number, &action, NULL) == 0);
}

static void faults(void) {
    for (int i = 0; i < 4; i++) {
        static const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
        handle_info(numbers[i], jump_back);
    }
    if (!sigsetjmp(back, 1)) *(volatile int *)0x10 = 1;
    CHECK(address == 0x10 && code == SEGV_MAPERR);

    char *pages = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!sigsetjmp(back, 1)) pages[5] = 1;
    CHECK(address == (long)pages + 5 && code == SEGV_ACCERR);

    munmap(pages + 4096, 4096);
    if (!sigsetjmp(back, 1)) (void)*(volatile long *)(pages + 4092);
    CHECK(address == (long)pages + 4096 && code == SEGV_MAPERR);

    if (!sigsetjmp(back, 1)) __asm__ volatile(".word 0");
    CHECK(code == ILL_ILLOPC);
    if (!sigsetjmp(back, 1)) __asm__ volatile("ebreak");
    CHECK(code == TRAP_BRKPT);

    int file = open("empty", O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *beyond = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (!sigsetjmp(back, 1)) (void)*(volatile char *)(beyond + 100);
    CHECK(address == (long)beyond + 100 && code == BUS_ADRERR);
    close(file);
    unlink("empty");

    void (*nowhere)(void) = (void (*)(void))0x123450;
    if (!sigsetjmp(back, 1)) nowhere();
    CHECK(address == 0x123450 && code == SEGV_MAPERR);

    handle_info(SIGSEGV, skip);
    register long a0 __asm__("a0") = 0;
    __asm__ volatile(".option push\n.option norvc\nlw a0, 0(zero)\n.option pop" : "+r"(a0));
    CHECK(a0 == 1234);
    signal(SIGSEGV, SIG_DFL);
}

static void alarm_in(int milliseconds) {
    struct itimerval timer = {{0, 0}, {0, milliseconds * 1000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void restarting(void) {
    char byte;
    int ends[2], status;
    CHECK(pipe(ends) == 0);
    count = 0;
    handle(SIGALRM, counting, 0);
    alarm_in(20);
    struct timespec time = {5, 0}, rest = {0, 0};
    FAILS(EINTR, nanosleep(&time, &rest));
    CHECK(rest.tv_sec == 4 && count == 1);
    alarm_in(20);
    FAILS(EINTR, read(ends[0], &byte, 1));
    CHECK(count == 2);

    handle(SIGALRM, counting, SA_RESTART);
    if (fork() == 0) {
        usleep(200000);
        _exit(write(ends[1], "x", 1) != 1);
    }
    alarm_in(20);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x' && count == 3);
    wait(&status);

    handle(SIGPIPE, counting, 0);
    close(ends[0]);
    FAILS(EPIPE, write(ends[1], "x", 1));
    CHECK(count == 4);
    close(ends[1]);
}

static void masks(void) {
    sigset_t set, old, pending;
    count = 0;
    handle(SIGUSR1, counting, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGUSR1) && count == 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK(count == 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    FAILS(EINTR, sigsuspend(&old));
    CHECK(count == 2);
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK(count == 2);
}

static void *wait_for_one(void *set) {
    int number = 0;
    sigwait(set, &number);
    return (void *)(long)number;
}

static void queues(void) {
    sigset_t set;
    siginfo_t info;
    int number = SIGRTMIN + 1;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 42; i < 44; i++) sigqueue(getpid(), number, (union sigval){.sival_int = i});
    for (int i = 42; i < 44; i++) {
        CHECK(sigwaitinfo(&set, &info) == number && info.si_code == SI_QUEUE);
        CHECK(info.si_value.sival_int == i && info.si_pid == getpid());
    }
    struct timespec soon = {0, 1000000};
    FAILS(EAGAIN, sigtimedwait(&set, &info, &soon));

    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number};
    event.sigev_value.sival_int = 7;
    struct itimerspec once = {{0, 0}, {0, 10000000}};
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &once, NULL) == 0);
    CHECK(sigwaitinfo(&set, &info) == number && info.si_code == SI_TIMER);
    CHECK(info.si_value.sival_int == 7);
    timer_delete(timer);

    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, wait_for_one, &set);
    kill(getpid(), SIGUSR2);
    pthread_join(thread, &result);
    CHECK((long)result == SIGUSR2);
}

static void stacks_and_floats(void) {
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    CHECK(sigaltstack(&stack, NULL) == 0);
    handle(SIGUSR1, on_alternate, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK(on_stack == SS_ONSTACK);

    handle(SIGUSR1, clobbers_floats, 0);
    volatile double one = 1.5;
    double sum = one * 2;
    raise(SIGUSR1);
    CHECK(sum + 0.25 == 3.25);
}

static void children(void) {
    int status;
    siginfo_t info;
    pid_t child = fork();
    if (child == 0) {
        *(volatile int *)0 = 1;
        _exit(0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

    if ((child = fork()) == 0)
        for (;;) pause();
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);

    if ((child = fork()) == 0) {
        raise(SIGSTOP);
        _exit(9);
    }
    waitpid(child, &status, WUNTRACED);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 9);

    if ((child = fork()) == 0) _exit(33);
    CHECK(waitid(P_PID, child, &info, WEXITED) == 0);
    CHECK(info.si_code == CLD_EXITED && info.si_status == 33 && info.si_signo == SIGCHLD);
    FAILS(ECHILD, waitpid(-1, &status, 0));
}

int main(void) {
    faults();
    restarting();
    masks();
    queues();
    stacks_and_floats();
    children();
    return failures;
}
