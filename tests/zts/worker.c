/*
 * A server that keeps one script for many visits, as the worker modes of
 * thread-safe servers do: between two visits only the session module is ended
 * and begun again. Several threads, each with a script of its own.
 *
 *   worker SCRIPT PHP_INI THREADS VISITS ROUNDS
 *
 * SCRIPT calls next_visit(callable) until that returns false; a visit prints
 * "ok", or what is wrong. A script that a visit has ended (by a fatal error) is
 * begun again. After VISITS visits, SCRIPT is run once more with ?check=1 in
 * its URL, when nothing else runs; then PHP is shut down, and begun again in
 * the same process: ROUNDS times.
 * Exit code: 0 all visits went well, 1 some did not.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sapi/embed/php_embed.h>
#include <zend_exceptions.h>

static const char *script;
static int visits;
static atomic_int next_number, served, failures, scripts;
static _Thread_local char query[64], answer[4096];
static _Thread_local size_t length;
static _Thread_local int thread_number;

static size_t keep_output(const char *text, size_t size)
{
    size_t room = sizeof answer - 1 - length, kept = size < room ? size : room;
    memcpy(answer + length, text, kept);
    length += kept;
    return size;
}

static void judge(void)
{
    answer[length] = 0;
    if (strcmp(answer, "ok") != 0) {
        fprintf(stderr, "%s: %s\n", query, length ? answer : "no answer");
        atomic_fetch_add(&failures, 1);
    }
    length = 0;
}

static void session(int begin)
{
    zend_module_entry *module = zend_hash_str_find_ptr(&module_registry, "session", 7);
    if (begin) {
        module->request_startup_func(module->type, module->module_number);
    } else {
        module->request_shutdown_func(module->type, module->module_number);
        zend_hash_str_del(&EG(symbol_table), "_SESSION", 8);
    }
}

static int begin_visit(void)
{
    int number = atomic_fetch_add(&next_number, 1);
    if (number >= visits) {
        return 0;
    }
    snprintf(query, sizeof query, "thread=%d&visit=%d", thread_number, number);
    length = 0;
    SG(request_info).request_method = "GET";
    SG(request_info).query_string = query;
    SG(request_info).path_translated = (char *) script;
    SG(server_context) = query;
    php_output_activate();
    sapi_activate();
    SG(request_info).no_headers = 1;
    zend_auto_global *global = zend_hash_str_find_ptr(CG(auto_globals), "_GET", 4);
    global->armed = global->auto_global_callback(global->name);
    session(1);
    return 1;
}

static void end_visit(void)
{
    zend_try { php_output_end_all(); } zend_end_try();
    zend_try { session(0); } zend_end_try();
    zend_try { php_output_deactivate(); } zend_end_try();
    zend_try { sapi_deactivate(); } zend_end_try();
    judge();
    atomic_fetch_add(&served, 1);
}

ZEND_BEGIN_ARG_INFO_EX(arginfo_next_visit, 0, 0, 1)
    ZEND_ARG_CALLABLE_INFO(0, visit, 0)
ZEND_END_ARG_INFO()

PHP_FUNCTION(next_visit)
{
    zend_fcall_info fci;
    zend_fcall_info_cache fcc;
    zval result;

    ZEND_PARSE_PARAMETERS_START(1, 1)
        Z_PARAM_FUNC(fci, fcc)
    ZEND_PARSE_PARAMETERS_END();
    if (!begin_visit()) {
        RETURN_FALSE;
    }
    ZVAL_UNDEF(&result);
    fci.retval = &result;
    zend_call_function(&fci, &fcc);
    zval_ptr_dtor(&result);
    if (EG(exception)) {
        zend_clear_exception();
    }
    end_visit();
    RETURN_TRUE;
}

static const zend_function_entry functions[] = {
    PHP_FE(next_visit, arginfo_next_visit)
    PHP_FE_END
};

static zend_module_entry visits_module = {
    STANDARD_MODULE_HEADER, "visits", functions, NULL, NULL, NULL, NULL, NULL, "1", STANDARD_MODULE_PROPERTIES
};

static int startup(sapi_module_struct *sapi)
{
    return php_module_startup(sapi, &visits_module);
}

/* Runs the script once. */
static int run(void)
{
    zend_file_handle file;

    SG(server_context) = query;
    SG(options) |= SAPI_OPTION_NO_CHDIR;
    SG(request_info).request_method = "GET";
    SG(request_info).query_string = query;
    SG(request_info).path_translated = (char *) script;
    if (php_request_startup() == FAILURE) {
        atomic_fetch_add(&failures, 1);
        return 0;
    }
    SG(request_info).no_headers = 1;
    if (query[0] != 'c') {
        session(0); /* the visit that began the script is none */
        sapi_deactivate();
    }
    zend_stream_init_filename(&file, script);
    php_execute_script(&file);
    zend_destroy_file_handle(&file);
    php_request_shutdown(NULL);
    return 1;
}

static void *worker(void *number)
{
    thread_number = (int) (intptr_t) number;
    ts_resource(0);
    while (atomic_load(&next_number) < visits) {
        int before = atomic_load(&next_number);
        strcpy(query, "");
        length = 0;
        if (!run()) {
            break;
        }
        atomic_fetch_add(&scripts, 1);
        if (atomic_load(&next_number) == before) {
            answer[length] = 0;
            fprintf(stderr, "the script does not come to a visit: %s\n", answer);
            atomic_fetch_add(&failures, 1);
            break;
        }
    }
    ts_free_thread();
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: worker SCRIPT PHP_INI THREADS VISITS ROUNDS\n");
        return 2;
    }
    script = argv[1];
    int threads = atoi(argv[3]), rounds = atoi(argv[5]);
    pthread_t *handles = calloc((size_t) threads, sizeof *handles);
    visits = atoi(argv[4]);
    php_embed_module.ub_write = keep_output;
    php_embed_module.php_ini_path_override = argv[2];
    php_embed_module.startup = startup;
    for (int round = 0; round < rounds; round++) {
        if (!handles || php_embed_init(0, NULL) == FAILURE) {
            fprintf(stderr, "PHP does not start\n");
            return 1;
        }
        php_request_shutdown(NULL); /* the one that php_embed_init() has begun */
        atomic_store(&next_number, 0);
        for (int i = 0; i < threads; i++) {
            if (pthread_create(&handles[i], NULL, worker, (void *) (intptr_t) i) != 0) {
                fprintf(stderr, "cannot start thread %d\n", i);
                return 1;
            }
        }
        for (int i = 0; i < threads; i++) {
            pthread_join(handles[i], NULL);
        }
        length = 0;
        strcpy(query, "check=1");
        if (run()) {
            judge();
        }
        php_module_shutdown();
        sapi_shutdown();
        tsrm_shutdown();
    }
    fprintf(stderr, "%d visits, %d scripts\n", atomic_load(&served), atomic_load(&scripts));
    free(handles);
    return atomic_load(&failures) ? 1 : 0;
}
