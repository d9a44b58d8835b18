import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** A read-process-write loop; see tests/interop/clients/confluent_loop.py. */
final class GroupLoop {
    private final Notes notes;
    private final KafkaConsumer<String, String> consumer;
    private final KafkaProducer<String, String> producer;
    private final String sink;

    GroupLoop(String address, Notes notes) {
        this.notes = notes;
        this.sink = notes.settings.get("sink").asText();
        Map<String, Object> reading = new HashMap<>(GroupMember.properties(address, notes.settings));
        reading.put("max.poll.records", 50);
        this.consumer = new KafkaConsumer<>(reading, new StringDeserializer(), new StringDeserializer());
        this.producer = new KafkaProducer<>(Map.of("bootstrap.servers", address, "transaction.timeout.ms", 10_000,
            "transactional.id", notes.settings.get("transactional").asText()), new StringSerializer(),
            new StringSerializer());
    }

    void run() {
        try (consumer; producer) {
            producer.initTransactions();
            consumer.subscribe(List.of(notes.settings.get("topic").asText()), notes.listener(consumer));
            for (int number = 0; !notes.leaving.get(); number++) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                if (!records.isEmpty()) {
                    turn(notes.settings.get("client").asText() + "." + number, records);
                }
            }
        }
    }

    private void turn(String name, ConsumerRecords<String, String> records) {
        producer.beginTransaction();
        Notes.print(notes.event("begun").put("transaction", name));
        Map<TopicPartition, OffsetAndMetadata> offsets = notes.consumed(records, name);
        try {
            for (ConsumerRecord<String, String> record : records) {
                write(name, record);
            }
            long begun = Notes.now();
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            notes.committed(begun, offsets, name);
            producer.flush();
            Notes.print(notes.event("ending").put("transaction", name).put("commit", true));
            producer.commitTransaction();
            Notes.print(notes.event("ended").put("transaction", name).put("commit", true));
        } catch (ProducerFencedException | OutOfOrderSequenceException | AuthorizationException | TimeoutException fatal) {
            throw fatal;
        } catch (KafkaException failed) {
            abort(name, records);
        }
    }

    private void write(String name, ConsumerRecord<String, String> record) {
        String out = record.value() + "|" + name;
        Notes.print(notes.event("produced").put("topic", sink).put("value", out).put("transaction", name));
        producer.send(new ProducerRecord<>(sink, record.partition(), null, out), (where, error) -> {
            if (error == null) {
                Notes.print(notes.event("acked").put("topic", sink).put("partition", where.partition())
                    .put("offset", where.offset()).put("value", out));
            }
        });
    }

    /** What aborts a transaction is read again. */
    private void abort(String name, ConsumerRecords<String, String> records) {
        Notes.print(notes.event("ending").put("transaction", name).put("commit", false));
        producer.abortTransaction();
        Notes.print(notes.event("ended").put("transaction", name).put("commit", false));
        for (TopicPartition where : records.partitions()) {
            if (consumer.assignment().contains(where)) {
                consumer.seek(where, records.records(where).get(0).offset());
            }
        }
    }
}
