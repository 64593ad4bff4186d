// Threads: mutexes, condition variables, robust mutexes, cancelling, shared semaphores.
#include "check.h"
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, robust;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static int turn;
static long sum;
static __thread int local = 5;

static void *add(void *argument) {
    for (int i = 0; i < 5000; i++) {
        pthread_mutex_lock(&mutex);
        sum++;
        pthread_mutex_unlock(&mutex);
    }
    pthread_barrier_wait(&barrier);
    return argument;
}

static void *take_turns(void *argument) {
    int me = (int)(long)argument;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != me) pthread_cond_wait(&condition, &mutex);
        turn = !me;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *die_with_mutex(void *argument) {
    pthread_mutex_lock(&robust);
    return argument;
}

static void *change_local(void *argument) {
    (void)argument;
    return (void *)(long)++local;
}

static void *sleep_for_ever(void *argument) {
    for (;;) pause();
    return argument;
}

static void many_at_once(void) {
    pthread_t threads[8];
    long results = 0;
    pthread_barrier_init(&barrier, NULL, 8);
    for (long i = 0; i < 8; i++) CHECK(pthread_create(&threads[i], NULL, add, (void *)i) == 0);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        results += (long)result;
    }
    CHECK(sum == 40000 && results == 28);
    for (long i = 0; i < 2; i++) pthread_create(&threads[i], NULL, take_turns, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 100; i++) {
        void *result;
        pthread_create(threads, NULL, change_local, NULL);
        pthread_join(threads[0], &result);
        CHECK((long)result == 6);
    }
    CHECK(local == 5);
}

static void robust_mutex(void) {
    pthread_t thread;
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    pthread_create(&thread, NULL, die_with_mutex, NULL);
    pthread_join(thread, NULL);
    CHECK(pthread_mutex_lock(&robust) == EOWNERDEAD);
}

static void timeouts_and_cancelling(void) {
    sem_t semaphore;
    struct timespec time;
    sem_init(&semaphore, 0, 0);
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += 20000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    FAILS(ETIMEDOUT, sem_timedwait(&semaphore, &time));

    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, sleep_for_ever, NULL);
    usleep(10000);
    CHECK(pthread_cancel(thread) == 0);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED);
}

static void between_processes(void) {
    sem_t *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status;
    sem_init(&both[0], 1, 0);
    sem_init(&both[1], 1, 0);
    if (fork() == 0) {
        for (int i = 0; i < 100; i++) sem_wait(&both[0]), sem_post(&both[1]);
        _exit(0);
    }
    for (int i = 0; i < 100; i++) sem_post(&both[0]), sem_wait(&both[1]);
    wait(&status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// A child of a program with several threads has one; execve ends the others.
static void fork_and_exec(void) {
    pthread_t thread;
    int status;
    pthread_create(&thread, NULL, sleep_for_ever, NULL);
    fflush(NULL);
    if (fork() == 0) {
        pthread_create(&thread, NULL, sleep_for_ever, NULL);
        execl("/proc/self/exe", "threads", "again", NULL);
        _exit(1);
    }
    wait(&status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 77);
}

int main(int argc, char **argv) {
    if (argc > 1) return strcmp(argv[1], "again") == 0 ? 77 : 1;
    many_at_once();
    robust_mutex();
    timeouts_and_cancelling();
    between_processes();
    fork_and_exec();
    return failures;
}
