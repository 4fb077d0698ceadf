/*
 * A site with several threads in one PHP process, as thread-safe servers have:
 * each thread serves visits, all with their sessions in one Redis.
 *
 *   threads SCRIPT PHP_INI THREADS VISITS
 *
 * A visit is a request of SCRIPT with ?thread=T&visit=N in its URL; it prints
 * "ok", or what is wrong. Half of the visits are served by threads that are
 * then ended, the other half by new ones in their place. At last SCRIPT is
 * asked with ?check=THREADS&visits=VISITS whether everything adds up.
 * Exit code: 0 all visits went well, 1 some did not.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sapi/embed/php_embed.h>

enum { GENERATIONS = 2 };

/* What a visit has printed. */
typedef struct {
    char text[4096];
    size_t length;
} answer_t;

typedef struct {
    pthread_t handle;
    int number, first, last;
} visitor_t;

static const char *script;
static pthread_barrier_t start;
static atomic_int failures;

static size_t keep_output(const char *text, size_t length)
{
    answer_t *answer = SG(server_context);
    if (answer) {
        size_t room = sizeof answer->text - 1 - answer->length;
        size_t kept = length < room ? length : room;
        memcpy(answer->text + answer->length, text, kept);
        answer->length += kept;
    }
    return length;
}

/* Runs the script once on this thread, as a web server would. */
static void visit(char *query)
{
    answer_t answer = {0};
    zend_file_handle file;

    SG(server_context) = &answer;
    SG(options) |= SAPI_OPTION_NO_CHDIR;
    SG(request_info).request_method = "GET";
    SG(request_info).query_string = query;
    SG(request_info).path_translated = (char *) script;
    if (php_request_startup() == FAILURE) {
        fprintf(stderr, "%s: PHP could not start the request\n", query);
        atomic_fetch_add(&failures, 1);
        return;
    }
    SG(request_info).no_headers = 1;
    zend_stream_init_filename(&file, script);
    php_execute_script(&file);
    zend_destroy_file_handle(&file);
    php_request_shutdown(NULL);

    if (strcmp(answer.text, "ok") != 0) {
        fprintf(stderr, "%s: %s\n", query, answer.length ? answer.text : "no answer");
        atomic_fetch_add(&failures, 1);
    }
}

static void *visitor(void *argument)
{
    const visitor_t *self = argument;
    char query[64];

    ts_resource(0);
    /* All at once, so that they meet in what is made at the first use. */
    pthread_barrier_wait(&start);
    for (int number = self->first; number < self->last; number++) {
        snprintf(query, sizeof query, "thread=%d&visit=%d", self->number, number);
        visit(query);
    }
    ts_free_thread();
    return NULL;
}

/* How many sockets this process has open. */
static int sockets(void)
{
    char target[64];
    int count = 0;
    DIR *descriptors = opendir("/proc/self/fd");
    for (struct dirent *entry; descriptors && (entry = readdir(descriptors));) {
        ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof target);
        count += length > 7 && memcmp(target, "socket:", 7) == 0;
    }
    closedir(descriptors);
    return count;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: threads SCRIPT PHP_INI THREADS VISITS\n");
        return 2;
    }
    script = argv[1];
    int threads = atoi(argv[3]), visits = atoi(argv[4]);
    visitor_t *visitors = calloc((size_t) threads, sizeof *visitors);
    int not_ours = sockets();
    char query[64];

    php_embed_module.ub_write = keep_output;
    php_embed_module.php_ini_path_override = argv[2];
    if (!visitors || php_embed_init(0, NULL) == FAILURE) {
        fprintf(stderr, "PHP does not start\n");
        return 1;
    }
    php_request_shutdown(NULL); /* the one that php_embed_init() has begun */

    pthread_barrier_init(&start, NULL, (unsigned) threads);
    for (int generation = 0; generation < GENERATIONS; generation++) {
        for (int i = 0; i < threads; i++) {
            visitors[i].number = i;
            visitors[i].first = visits * generation / GENERATIONS;
            visitors[i].last = visits * (generation + 1) / GENERATIONS;
            if (pthread_create(&visitors[i].handle, NULL, visitor, &visitors[i]) != 0) {
                fprintf(stderr, "cannot start thread %d\n", i);
                return 1;
            }
        }
        for (int i = 0; i < threads; i++) {
            pthread_join(visitors[i].handle, NULL);
        }
    }
    snprintf(query, sizeof query, "check=%d&visits=%d", threads, visits);
    visit(query);

    int used = sockets() - not_ours;
    php_module_shutdown();
    int left = sockets() - not_ours;
    if (used == 0 || left != 0) {
        fprintf(stderr, "%d of %d connections are left after the module's shutdown\n", left, used);
        atomic_fetch_add(&failures, 1);
    }
    sapi_shutdown();
    tsrm_shutdown();
    free(visitors);
    return failures ? 1 : 0;
}
