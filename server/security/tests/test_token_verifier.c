/* SPDX-License-Identifier: MIT */
#include "server/security/token_verifier.h"

#include <errno.h>
#include <pthread.h>

#include "server/security/token_secret.h"
#include "tests/support/unit.h"

struct subject {
    struct token_secret token;
    char hash[TOKEN_HASH_SIZE];
};

static struct subject subject_make(void)
{
    struct subject subject;

    assert_int_equal(token_secret_make(&subject.token, NULL), 0);
    assert_int_equal(token_secret_hash(&subject.token, subject.hash, NULL), 0);
    return subject;
}

static void the_second_check_is_not_slow(void **state)
{
    struct subject subject = subject_make();
    struct token_verifier *verifier;

    assert_int_equal(token_verifier_new(10, 2, &verifier, NULL), 0);
    assert_int_equal(token_verifier_knows(verifier, &subject.token, subject.hash), 0);
    assert_int_equal(token_verifier_check(verifier, &subject.token, subject.hash, NULL), 0);
    assert_int_equal(token_verifier_check(verifier, &subject.token, subject.hash, NULL), 0);
    assert_int_equal(token_verifier_knows(verifier, &subject.token, subject.hash), 1);
    assert_int_equal(token_verifier_slow_count(verifier), 1);
    assert_null(token_verifier_free(verifier));
}

static void a_wrong_secret_is_never_remembered(void **state)
{
    struct subject subject = subject_make();
    struct token_secret wrong = subject.token;
    struct token_verifier *verifier;

    wrong.secret[0] = wrong.secret[0] == 'A' ? 'B' : 'A';
    assert_int_equal(token_verifier_new(10, 2, &verifier, NULL), 0);
    assert_int_equal(token_verifier_check(verifier, &subject.token, subject.hash, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(token_verifier_check(verifier, &wrong, subject.hash, NULL), -EPERM);
    assert_int_equal(token_verifier_knows(verifier, &wrong, subject.hash), 0);
    assert_int_equal(token_verifier_slow_count(verifier), 3);
    token_verifier_free(verifier);
}

static void another_stored_hash_is_checked_anew(void **state)
{
    struct subject subject = subject_make();
    struct subject rotated = subject_make();
    struct token_verifier *verifier;

    assert_int_equal(token_verifier_new(10, 2, &verifier, NULL), 0);
    assert_int_equal(token_verifier_check(verifier, &subject.token, subject.hash, NULL), 0);
    assert_int_equal(token_verifier_knows(verifier, &subject.token, rotated.hash), 0);
    assert_int_equal(token_verifier_check(verifier, &subject.token, rotated.hash, NULL), -EPERM);
    token_verifier_free(verifier);
}

static void the_oldest_is_forgotten(void **state)
{
    struct subject subjects[3];
    struct token_verifier *verifier;

    assert_int_equal(token_verifier_new(2, 2, &verifier, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        subjects[i] = subject_make();
        assert_int_equal(token_verifier_check(verifier, &subjects[i].token, subjects[i].hash, NULL),
                         0);
    }
    assert_int_equal(token_verifier_knows(verifier, &subjects[0].token, subjects[0].hash), 0);
    assert_int_equal(token_verifier_knows(verifier, &subjects[1].token, subjects[1].hash), 1);
    assert_int_equal(token_verifier_knows(verifier, &subjects[2].token, subjects[2].hash), 1);
    token_verifier_free(verifier);
}

struct worker {
    struct token_verifier *verifier;
    const struct subject *subject;
    int result;
};

static void *work(void *context)
{
    struct worker *worker = context;

    worker->result = token_verifier_check(worker->verifier, &worker->subject->token,
                                          worker->subject->hash, NULL);
    return NULL;
}

static void a_crowd_with_one_token_costs_few_checks(void **state)
{
    struct subject subject = subject_make();
    struct token_verifier *verifier;
    struct worker workers[8];
    pthread_t threads[8];

    assert_int_equal(token_verifier_new(10, 1, &verifier, NULL), 0);
    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){ verifier, &subject, -1 };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].result, 0);
    }
    assert_int_equal(token_verifier_slow_count(verifier), 1);
    token_verifier_free(verifier);
}

static int make(void)
{
    struct token_verifier *verifier = NULL;
    int r = token_verifier_new(5, 1, &verifier, NULL);

    token_verifier_free(verifier);
    return r;
}

static void making_survives_no_memory(void **state)
{
    assert_survives_no_memory(make());
}

static void without_memory_it_is_only_slow(void **state)
{
    struct subject subject = subject_make();
    struct token_verifier *verifier;

    assert_int_equal(token_verifier_new(5, 1, &verifier, NULL), 0);
    memory_fail_after(0);
    assert_int_equal(token_verifier_check(verifier, &subject.token, subject.hash, NULL), 0);
    memory_fail_after(-1);
    assert_int_equal(token_verifier_knows(verifier, &subject.token, subject.hash), 0);
    token_verifier_free(verifier);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_check_is_not_slow),
        cmocka_unit_test(a_wrong_secret_is_never_remembered),
        cmocka_unit_test(another_stored_hash_is_checked_anew),
        cmocka_unit_test(the_oldest_is_forgotten),
        cmocka_unit_test(a_crowd_with_one_token_costs_few_checks),
        cmocka_unit_test(making_survives_no_memory),
        cmocka_unit_test(without_memory_it_is_only_slow),
    };

    return cmocka_run_group_tests_name("token_verifier", tests, NULL, NULL);
}
