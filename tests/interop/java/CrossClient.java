import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes and reads topics beside the other clients. `write HOST:PORT` produces the topics that standard
 * input lists in JSON, each with its codec; `read HOST:PORT` reads topics to the count that is asked for
 * and prints their records as JSON. Bytes are hexadecimal, or null.
 */
public final class CrossClient {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final HexFormat HEX = HexFormat.of();
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private CrossClient() {}

    public static void main(String[] arguments) throws Exception {
        JsonNode topics = JSON.readTree(System.in);
        switch (arguments[0]) {
            case "write" -> {
                for (JsonNode topic : topics) {
                    write(arguments[1], topic);
                }
            }
            case "read" -> System.out.println(JSON.writeValueAsString(read(arguments[1], topics)));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void write(String address, JsonNode topic) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", address, "linger.ms", 20,
            "compression.type", topic.get("codec").asText());
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
            new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (JsonNode one : topic.get("records")) {
                ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic.get("topic").asText(), 0,
                    one.get("timestamp").asLong(), bytes(one.get("key")), bytes(one.get("value")));
                for (JsonNode header : one.get("headers")) {
                    record.headers().add(header.get(0).asText(), bytes(header.get(1)));
                }
                sent.add(producer.send(record));
            }
        }
        for (int number = 0; number < sent.size(); number++) {
            if (sent.get(number).get().offset() != number) {
                throw new AssertionError(number + " got offset " + sent.get(number).get().offset());
            }
        }
    }

    private static ObjectNode read(String address, JsonNode topics) {
        ObjectNode found = JSON.createObjectNode();
        Map<String, Object> settings =
            Map.of("bootstrap.servers", address, "auto.offset.reset", "earliest", "check.crcs", true);
        try (KafkaConsumer<byte[], byte[]> consumer =
            new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            int missing = 0;
            List<TopicPartition> partitions = new ArrayList<>();
            for (JsonNode topic : topics) {
                String name = topic.get("topic").asText();
                found.putArray(name);
                partitions.add(new TopicPartition(name, 0));
                missing += topic.get("count").asInt();
            }
            consumer.assign(partitions);
            for (long began = System.nanoTime(); missing > 0; ) {
                if (System.nanoTime() - began > PATIENCE.toNanos()) {
                    throw new AssertionError(missing + " records are missing");
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    ((ArrayNode) found.get(record.topic())).add(node(record));
                    missing--;
                }
            }
        }
        return found;
    }

    private static ObjectNode node(ConsumerRecord<byte[], byte[]> record) {
        ObjectNode node = JSON.createObjectNode().put("offset", record.offset())
            .put("timestamp", record.timestamp()).put("key", text(record.key())).put("value", text(record.value()));
        ArrayNode headers = node.putArray("headers");
        for (Header header : record.headers()) {
            headers.addArray().add(header.key()).add(text(header.value()));
        }
        return node;
    }

    private static byte[] bytes(JsonNode text) {
        return text.isNull() ? null : HEX.parseHex(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : HEX.formatHex(bytes);
    }
}
