/* librdkafka through its C API, as the load that a fast client makes.
 *
 *   rdkafka produce ADDRESS TOPIC PARTITIONS EVENTS SIZE ACKS
 *   rdkafka consume ADDRESS TOPIC PARTITIONS EVENTS
 *
 * Prints one line of JSON; ends with 1 when an event was not delivered. */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 10000, TIMEOUT_MS = 30000 };

static long failed;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "rdkafka: %s\n", what);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char error[256];
    if (rd_kafka_conf_set(conf, name, value, error, sizeof error)) die(error);
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    (void)client, (void)opaque;
    if (message->err && !failed++) fprintf(stderr, "rdkafka: %s\n", rd_kafka_err2str(message->err));
}

static rd_kafka_t *make(rd_kafka_type_t type, rd_kafka_conf_t *conf, const char *address)
{
    char error[256];
    set(conf, "bootstrap.servers", address);
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (!client) die(error);
    return client;
}

static void produce(char **argument)
{
    int partitions = atoi(argument[2]), size = atoi(argument[4]);
    long events = atol(argument[3]);
    char *payload = malloc(size);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (int i = 0; i < size; i++) payload[i] = 'a' + i % 26;
    set(conf, "acks", argument[5]);
    set(conf, "linger.ms", "5");
    set(conf, "batch.num.messages", "10000");
    set(conf, "queue.buffering.max.messages", "1000000");
    set(conf, "delivery.report.only.error", "true");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *client = make(RD_KAFKA_PRODUCER, conf, argument[0]);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, argument[1], NULL);
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(client, 0, topic, &metadata, TIMEOUT_MS)) die("no metadata");
    rd_kafka_metadata_destroy(metadata);
    double began = seconds();
    for (long i = 0; i < events;) {
        /* No flag: the payload is ours and stays, librdkafka keeps the pointer. */
        if (!rd_kafka_produce(topic, (i / 100) % partitions, 0, payload, size, NULL, 0, NULL)) {
            if (++i % BATCH == 0) rd_kafka_poll(client, 0);
        } else if (rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            rd_kafka_poll(client, 1);
        } else {
            die(rd_kafka_err2str(rd_kafka_last_error()));
        }
    }
    if (rd_kafka_flush(client, 4 * TIMEOUT_MS) || failed) die("not everything was delivered");
    double took = seconds() - began;
    printf("{\"done\": %ld, \"bytes\": %ld, \"seconds\": %.6f}\n", events, events * size, took);
}

static void consume(char **argument)
{
    int partitions = atoi(argument[2]);
    long events = atol(argument[3]), got = 0, bytes = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    static rd_kafka_message_t *messages[BATCH];
    set(conf, "group.id", "unused");
    set(conf, "enable.auto.commit", "false");
    /* With its queue full, librdkafka pauses a second: more room, so that it never is. */
    set(conf, "queued.min.messages", "1000000");
    set(conf, "queued.max.messages.kbytes", "1048576");
    rd_kafka_t *client = make(RD_KAFKA_CONSUMER, conf, argument[0]);
    rd_kafka_topic_partition_list_t *assigned = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(assigned, argument[1], i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(client, assigned)) die("cannot assign");
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    double began = 0;
    while (got < events) {
        /* It returns when it has as many as asked for: never ask for more than will come. */
        long room = events - got < BATCH ? events - got : BATCH;
        ssize_t n = rd_kafka_consume_batch_queue(queue, TIMEOUT_MS, messages, room);
        if (n <= 0) die("no events");
        if (!began) began = seconds();
        for (ssize_t i = 0; i < n; i++) {
            if (messages[i]->err) die(rd_kafka_message_errstr(messages[i]));
            bytes += messages[i]->len;
            rd_kafka_message_destroy(messages[i]);
        }
        got += n;
    }
    printf("{\"done\": %ld, \"bytes\": %ld, \"seconds\": %.6f}\n", got, bytes, seconds() - began);
}

int main(int count, char **argument)
{
    if (count == 8 && !strcmp(argument[1], "produce")) produce(argument + 2);
    else if (count == 6 && !strcmp(argument[1], "consume")) consume(argument + 2);
    else die("see the head of rdkafka.c");
    fflush(stdout);
    _Exit(0); /* closing the client nicely takes a second that belongs to nobody's figure */
}
