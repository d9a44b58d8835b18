import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Transactions on a topic, by the Java client (whose markers carry a new producer epoch each): rounds
 * of two producers whose transactions overlap, one committed and one aborted, group offsets in the
 * committed ones, and at the end one that stays open. Usage: SwapTransactions HOST:PORT TOPIC ROUNDS SIZE
 */
public final class SwapTransactions {
    private static final int RECORDS = 20;

    private SwapTransactions() {}

    public static void main(String[] arguments) {
        String address = arguments[0];
        String topic = arguments[1];
        int rounds = Integer.parseInt(arguments[2]);
        byte[] padding = "x".repeat(Integer.parseInt(arguments[3])).getBytes(StandardCharsets.UTF_8);
        KafkaProducer<byte[], byte[]> first = producer(address, "java-first");
        KafkaProducer<byte[], byte[]> second = producer(address, "java-second");
        ConsumerGroupMetadata group = group(address);
        for (int round = 0; round < rounds; round++) {
            first.beginTransaction();
            second.beginTransaction();
            for (int number = 0; number < RECORDS; number++) {
                send(first, topic, "first-" + round, padding);
                send(second, topic, "second-" + round, padding);
                if (number % 5 == 4) {
                    first.flush();
                    second.flush();
                }
            }
            Map<TopicPartition, OffsetAndMetadata> offsets =
                Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(round, "round " + round));
            first.sendOffsetsToTransaction(offsets, group);
            if (round % 2 == 0) {
                first.commitTransaction();
                second.abortTransaction();
            } else {
                second.abortTransaction();
                first.commitTransaction();
            }
        }
        KafkaProducer<byte[], byte[]> open = producer(address, "java-open");
        open.beginTransaction();
        send(open, topic, "open", padding);
        open.flush();
        send(first, rounds, topic, padding);
        System.out.println("transactions done");
        System.out.flush();
        // Not closed: closing would abort what has to stay open.
        Runtime.getRuntime().halt(0);
    }

    /** One more committed transaction, which a reader of committed records must not see yet. */
    private static void send(KafkaProducer<byte[], byte[]> producer, int round, String topic, byte[] padding) {
        producer.beginTransaction();
        send(producer, topic, "behind-" + round, padding);
        producer.commitTransaction();
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, String key, byte[] padding) {
        producer.send(new ProducerRecord<>(topic, 0, key.getBytes(StandardCharsets.UTF_8), padding));
    }

    private static ConsumerGroupMetadata group(String address) {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "group.id", "java-group");
        ByteArrayDeserializer bytes = new ByteArrayDeserializer();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes)) {
            return consumer.groupMetadata();
        }
    }

    private static KafkaProducer<byte[], byte[]> producer(String address, String id) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", address);
        settings.put("transactional.id", id);
        settings.put("transaction.timeout.ms", 800_000);
        settings.put("linger.ms", 0);
        KafkaProducer<byte[], byte[]> made =
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
        made.initTransactions();
        return made;
    }
}
